"""The job ``package``: a folder that carries the model to where it runs."""

from __future__ import annotations

from typing import Any

from pydantic import ConfigDict, Field

from surgeon.api.package import package
from surgeon.cluster.job import ByteCount, JobCall, JobKind, JobOptions, JobResult
from surgeon.cluster.jobs.build import ENGINE
from surgeon.cluster.jobs.given_file import converted_file, engine_settings
from surgeon.cluster.jobs.verify import ORIGINAL
from surgeon.engine.builds import calibration_path
from surgeon.language.recipe import Whole

FOLDER = "package"


class PackageOptions(JobOptions):
    """What may be said of ``package``; the options are those of the verb."""

    model_config = ConfigDict(populate_by_name=True)

    kind: str = Field("device", alias="for", description="Where the folder is for.")
    workspace: ByteCount | None = Field(None, description="Memory for tactics.")
    max_batch: Whole | None = Field(None, gt=0, description="The largest batch.")
    best_batch: Whole | None = Field(None, gt=0, description="The batch to tune an open batch for.")


def _uses(values: Any, earlier: frozenset[str]) -> tuple[str, ...]:
    wanted = ["convert", "verify"]
    if values.get("precision") == "int8":
        wanted.append("build")
    return tuple(name for name in wanted if name in earlier)


def _run(call: JobCall) -> JobResult:
    options: PackageOptions = call.options
    file = converted_file(call)
    section = engine_settings(call)
    precision = call.values.get("precision") or section.precision
    original = call.given["verify"] / ORIGINAL if "verify" in call.given else None
    scales = calibration_path(call.given["build"] / ENGINE) if "build" in call.given else None
    found = package(
        call.recipe if file is None else file,  # type: ignore[arg-type]
        call.model if file is None else None,
        call.folder / FOLDER,
        kind=options.kind,
        original=original,
        originals=original is not None,
        precision=precision,
        workspace=options.workspace or section.workspace,
        max_batch=options.max_batch or section.max_batch,
        best_batch=options.best_batch,
        calibration_cache=scales,
        **(call.request if file is None else {"plugin_paths": call.request["plugin_paths"]}),
    )
    result = {name: value for name, value in found.to_json().items() if name != "diagnostics"}
    return JobResult(result, diagnostics=found.diagnostics)


KIND = JobKind(
    "package",
    "write a folder for where the model runs",
    PackageOptions,
    _run,
    facts=("precision", "target"),
    uses=_uses,
    converts=True,
    memory=lambda model: (1 << 29) + 4 * model,
    columns=lambda result: {"package": sum(each["bytes"] for each in result["files"])},
)
