"""The job ``verify-onnx``: does the ONNX file, in ONNX Runtime, detect what the original does?"""

from __future__ import annotations

from surgeon.api.verify import verify
from surgeon.cluster.job import JobCall, JobKind, JobResult
from surgeon.cluster.jobs.given_file import converted_file
from surgeon.cluster.jobs.verify import ORIGINAL, ToleranceOptions, judged


def _run(call: JobCall) -> JobResult:
    options: ToleranceOptions = call.options
    return judged(
        verify(
            onnx=converted_file(call),
            original=call.given["verify"] / ORIGINAL,
            **options.tolerances(),  # type: ignore[arg-type]
        )
    )


KIND = JobKind(
    "verify-onnx",
    "compare the ONNX file in ONNX Runtime with the original",
    ToleranceOptions,
    _run,
    uses=lambda values, earlier: ("convert", "verify"),
    requires=("convert", "verify"),
    tools=("numpy", "onnxruntime", "onnx", "Pillow"),
    memory=lambda model: (1 << 30) + 4 * model,
    columns=lambda result: {"verify-onnx": result["outcome"]},
)
