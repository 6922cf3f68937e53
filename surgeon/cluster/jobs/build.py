"""The job ``build``: an engine of the GPU and the TensorRT that the cell names."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from surgeon.api.build import build_engine
from surgeon.api.keep_accuracy import MAX_BUILDS, not_reached
from surgeon.cluster.job import ByteCount, InputPath, JobCall, JobKind, JobOptions, JobResult
from surgeon.cluster.jobs.given_file import converted_file, engine_settings
from surgeon.language.recipe import Whole

ENGINE = "model.engine"
_MARGIN = 30
"""Seconds by which TensorRT's own limit is shorter than the job's, so that it tells what it was doing."""


class BuildJobOptions(JobOptions):
    """What may be said of ``build``; the options are those of the verb."""

    tf32: bool = Field(True, description="Whether FP32 layers may compute with TF32.")
    workspace: ByteCount | None = Field(None, description="Memory for tactics.")
    max_batch: Whole | None = Field(None, gt=0, description="The largest batch.")
    best_batch: Whole | None = Field(None, gt=0, description="The batch to tune an open batch for.")
    calibration: InputPath | None = Field(None, description="A folder of pictures for INT8.")
    calibration_pictures: Whole = Field(500, gt=0, description="How many of them are used.")
    calibrator: Literal["entropy", "minmax"] = Field("entropy", description="How scales are chosen.")
    keep_accuracy: float | None = Field(
        None, ge=0, le=100, description="Points of mean average precision that the engine may lose."
    )
    max_builds: Whole = Field(MAX_BUILDS, gt=0, description="Engines to build for 'keep_accuracy' at most.")
    plugin_library: InputPath | None = Field(None, description="A library of TensorRT plugins to load.")


def libraries_of(call: JobCall) -> tuple[Path, ...]:
    """Return the plugin libraries that a job names."""
    library = call.input("plugin_library")
    return () if library is None else (library,)


def _run(call: JobCall) -> JobResult:
    options: BuildJobOptions = call.options
    file = converted_file(call)
    section = engine_settings(call)
    precision = call.values.get("precision") or section.precision
    # Pictures are of no use to another precision, unless its accuracy is measured on them.
    pictures = call.input("calibration") if precision == "int8" or options.keep_accuracy is not None else None
    built = build_engine(
        call.recipe if file is None else file,  # type: ignore[arg-type]
        call.model if file is None else None,
        call.folder / ENGINE,
        precision=precision,
        tf32=options.tf32,
        workspace=options.workspace or section.workspace,
        max_batch=options.max_batch or section.max_batch,
        best_batch=options.best_batch,
        calibration=pictures,
        calibration_pictures=options.calibration_pictures,
        calibrator=options.calibrator,
        keep_accuracy=None if precision == "fp32" else options.keep_accuracy,
        max_builds=options.max_builds,
        plugin_libraries=libraries_of(call),
        timeout=max(1, options.timeout - min(_MARGIN, options.timeout // 10)),
        **(call.request if file is None else {"plugin_paths": call.request["plugin_paths"]}),
    )
    lost = not_reached(built)
    result = {name: value for name, value in built.to_json().items() if name != "diagnostics"}
    return JobResult(result, "failed" if lost else None, (*built.diagnostics, *lost))


KIND = JobKind(
    "build",
    "build an engine",
    BuildJobOptions,
    _run,
    facts=("precision", "target"),
    uses=lambda values, earlier: ("convert",) if "convert" in earlier else (),
    tools=("numpy", "Pillow"),
    converts=True,
    gpu=True,
    memory=lambda model: (3 << 30) + 6 * model,
    columns=lambda result: {"engine": result["manifest"]["engine"]["bytes"]},
)
