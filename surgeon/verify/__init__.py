"""Whether a rewritten graph computes what the original computes: runners, pictures and the comparison of detections."""

from surgeon.verify.comparison import Limits
from surgeon.verify.picture import Picture, given_pictures
from surgeon.verify.results import (
    DetectionComparison,
    Difference,
    Outcome,
    Row,
    TensorComparison,
    Tolerances,
    Verdict,
    Verification,
)
from surgeon.verify.runners import Execution, OriginalRunner, RewrittenRunner
from surgeon.verify.verification import verify_plan

__all__ = [
    "DetectionComparison",
    "Difference",
    "Execution",
    "Limits",
    "OriginalRunner",
    "Outcome",
    "Picture",
    "RewrittenRunner",
    "Row",
    "TensorComparison",
    "Tolerances",
    "Verdict",
    "Verification",
    "given_pictures",
    "verify_plan",
]
