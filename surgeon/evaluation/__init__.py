"""Average precision on annotated pictures: of the original, the rewritten graph, and files made from it."""

from surgeon.evaluation.dataset import AnnotatedPicture, Dataset, read_dataset
from surgeon.evaluation.results import (
    ClassPrecision,
    Disagreement,
    Evaluation,
    PrecisionDifference,
    SideResult,
)

__all__ = [
    "AnnotatedPicture",
    "ClassPrecision",
    "Dataset",
    "Disagreement",
    "Evaluation",
    "PrecisionDifference",
    "SideResult",
    "read_dataset",
]
