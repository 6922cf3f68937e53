"""Whether a rewritten graph computes what the original computes: records, one loop, verdicts."""

from surgeon.runners.image import Picture, given_pictures
from surgeon.verification.given_inputs import InputSet, by_tensor, read_input_sets, read_inputs
from surgeon.verification.graph_pair import GraphPair
from surgeon.verification.limits import Limits
from surgeon.verification.records import RunInfo, RunRecord, RunRecorder, read_records
from surgeon.verification.results import (
    DetectionComparison,
    Difference,
    FieldPower,
    Outcome,
    RecipePower,
    Row,
    TensorComparison,
    Tolerances,
    Verdict,
    Verification,
)
from surgeon.verification.verification import verify_rewritten, verify_runner

__all__ = [
    "DetectionComparison",
    "Difference",
    "FieldPower",
    "GraphPair",
    "InputSet",
    "Limits",
    "Outcome",
    "Picture",
    "RecipePower",
    "Row",
    "RunInfo",
    "RunRecord",
    "RunRecorder",
    "TensorComparison",
    "Tolerances",
    "Verdict",
    "Verification",
    "by_tensor",
    "given_pictures",
    "read_input_sets",
    "read_inputs",
    "read_records",
    "verify_rewritten",
    "verify_runner",
]
