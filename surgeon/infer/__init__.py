"""Shapes, element types and constant values of a graph's tensors: one rule per TensorFlow op."""

from surgeon.infer.evaluation import evaluate
from surgeon.infer.inference import Inference, infer
from surgeon.infer.registry import known_ops
from surgeon.infer.rule import Context, Mismatch, NoKernel, Partial, Rule, elementwise, moves

__all__ = [
    "Context",
    "Inference",
    "Mismatch",
    "NoKernel",
    "Partial",
    "Rule",
    "elementwise",
    "evaluate",
    "infer",
    "known_ops",
    "moves",
]
