"""Whether a rewritten graph computes what the original computes.

Runners, pictures and the comparison of detections.
"""

from surgeon.runners.image import Picture, given_pictures
from surgeon.runners.rewritten import Execution, OriginalRunner, RewrittenRunner
from surgeon.verification.comparison import Limits
from surgeon.verification.results import (
    DetectionComparison,
    Difference,
    Outcome,
    Row,
    TensorComparison,
    Tolerances,
    Verdict,
    Verification,
)
from surgeon.verification.verification import verify_plan

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
