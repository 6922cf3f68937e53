"""The job ``verify-engine``: does the engine detect what the original does?"""

from __future__ import annotations

from pydantic import Field

from surgeon.api.verify import verify
from surgeon.cluster.job import InputPath, JobCall, JobKind, JobResult
from surgeon.cluster.jobs.build import ENGINE, libraries_of
from surgeon.cluster.jobs.verify import ORIGINAL, ToleranceOptions, judged


class VerifyEngineOptions(ToleranceOptions):
    """What may be said of ``verify-engine``; the options are those of ``verify --engine``."""

    plugin_library: InputPath | None = Field(None, description="A library of TensorRT plugins to load.")


def _run(call: JobCall) -> JobResult:
    options: VerifyEngineOptions = call.options
    engine = call.given["build"] / ENGINE
    original = call.given["verify"] / ORIGINAL
    return judged(
        verify(
            engine=engine,
            original=original,
            plugin_libraries=libraries_of(call),
            **options.tolerances(),  # type: ignore[arg-type]
        )
    )


KIND = JobKind(
    "verify-engine",
    "compare the engine with the original",
    VerifyEngineOptions,
    _run,
    uses=lambda values, earlier: ("build", "verify"),
    requires=("build", "verify"),
    tools=("numpy", "Pillow"),
    gpu=True,
    memory=lambda model: (2 << 30) + 2 * model,
    columns=lambda result: {"verify-engine": result["outcome"]},
)
