"""The job ``convert``: the model rewritten by the recipe, as a UFF or ONNX file."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from surgeon.api.convert import convert
from surgeon.cluster.job import JobCall, JobKind, JobOptions, JobResult
from surgeon.formats import all_formats
from surgeon.language.recipe import Whole
from surgeon.targets import load_target


class ConvertOptions(JobOptions):
    """What may be said of ``convert``; the options are those of the verb."""

    rendering: Literal["native", "standard", "auto", "efficient-nms"] | None = Field(
        None, description="How plugin nodes of an ONNX file are written."
    )
    opset: Whole | None = Field(None, ge=13, le=17, description="The operator set of an ONNX file.")
    batch: Whole | Literal["dynamic"] | None = Field(None, description="The batch of an ONNX file.")


def _run(call: JobCall) -> JobResult:
    form = all_formats()[load_target(call.request["target"]).format]
    own = {option.name for option in form.options}
    wanted = {"rendering": call.options.rendering, "opset": call.options.opset, "batch": call.options.batch}
    done = convert(
        call.recipe,  # type: ignore[arg-type]
        call.model,
        call.folder / f"model{form.suffixes[0]}",
        **{name: value for name, value in wanted.items() if name in own},
        **call.request,
    )
    result = {
        "output": done.output.name,
        "target": done.target,
        "recipe": done.plan.recipe,
        "bytes": done.bytes_written,
        "nodes": {"before": done.nodes_before, "after": done.nodes_after},
        "plugins": [each.to_json() for each in done.plugins],
    }
    return JobResult(result, diagnostics=done.diagnostics)


KIND = JobKind(
    "convert",
    "rewrite the model and export it",
    ConvertOptions,
    _run,
    facts=("target",),
    tools=("numpy", "onnx", "tf2onnx", "tensorflow"),
    memory=lambda model: (1 << 30) + 6 * model,
    columns=lambda result: {"file": result["bytes"]},
)
