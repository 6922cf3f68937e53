"""The job ``evaluate-engine``: average precision of the engine, beside what ``evaluate`` found on a CPU.

What the CPU detected is kept, so where the GPU is only the engine runs.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from typing import Any

from pydantic import Field

from surgeon.api.evaluate import KEPT
from surgeon.cluster.job import InputPath, JobCall, JobKind, JobOptions, JobResult
from surgeon.cluster.jobs.build import ENGINE, libraries_of
from surgeon.cluster.jobs.evaluate import FOLDER, EvaluateOptions, evaluated, evaluation_result


class EvaluateEngineOptions(JobOptions):
    """What may be said of ``evaluate-engine``; the rest is what ``evaluate`` says."""

    max_drop: float | None = Field(
        None, ge=0, description="Points that the engine may lose; by default those of 'evaluate'."
    )
    plugin_library: InputPath | None = Field(None, description="A library of TensorRT plugins to load.")


def _run(call: JobCall) -> JobResult:
    options: EvaluateEngineOptions = call.options
    settings = call.options_of["evaluate"]
    assert isinstance(settings, EvaluateOptions)
    kept = call.folder / FOLDER / KEPT
    shutil.copytree(call.given["evaluate"] / FOLDER / KEPT, kept, copy_function=_copied)
    found = evaluated(
        call,
        settings,
        max_drop=settings.max_drop if options.max_drop is None else options.max_drop,
        engines=[call.given["build"] / ENGINE],
        plugin_libraries=libraries_of(call),
    )
    return evaluation_result(found)


def _copied(source: str, target: str) -> str:
    """Copy a file's content alone: a stored file is read-only."""
    return str(shutil.copyfile(source, target))


def _columns(result: Mapping[str, Any]) -> dict[str, Any]:
    return {"mAP of the engine": result["sides"][-1]["numbers"]["AP"]}


KIND = JobKind(
    "evaluate-engine",
    "average precision of the engine",
    EvaluateEngineOptions,
    _run,
    facts=("target",),
    uses=lambda values, earlier: ("build", "evaluate"),
    requires=("build", "evaluate"),
    tools=("numpy", "Pillow", "pycocotools", "faster-coco-eval"),
    gpu=True,
    memory=lambda model: (3 << 30) + 4 * model,
    columns=_columns,
)
