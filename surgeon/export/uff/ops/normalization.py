"""Batch normalization, local response normalization and softmax."""

from __future__ import annotations

from surgeon.diagnostics import error
from surgeon.export.uff.conversion import Conversion, converts
from surgeon.export.uff.model import UffNode, UffValue


@converts("FusedBatchNorm", "FusedBatchNormV2", "FusedBatchNormV3")
def batch_norm(at: Conversion) -> list[UffNode]:
    """BatchNorm over the tensor, scale, offset, mean and variance; raise X108 where the node is in training mode."""
    if at.attr("is_training", bool, True):
        raise error("X108", f"'{at.node.name}' ({at.node.op}) is in training mode (is_training); "
                    "UFF's BatchNorm takes the stored mean and variance", at.node.name,
                    help=["export the model for inference (is_training=False) and freeze that graph"])  # fmt: skip
    fields = {"epsilon": UffValue("d", at.number("epsilon", 1e-4)), "inputs_orders": at.orders(at.activations)}
    return [at.uff("BatchNorm", [at.edge(i) for i in range(5)], fields)]


@converts("LRN")
def local_response(at: Conversion) -> list[UffNode]:
    """LRN over channels, which are the last axis."""
    fields = {
        "window_size": UffValue("i", at.attr("depth_radius", int, 5)),
        "alpha": UffValue("d", at.number("alpha", 1.0)),
        "beta": UffValue("d", at.number("beta", 0.5)),
        "k": UffValue("d", at.number("bias", 1.0)),
        "inputs_orders": at.orders("N+C"),
    }
    return [at.uff("LRN", (at.edge(0),), fields)]


@converts("Softmax")
def softmax(at: Conversion) -> list[UffNode]:
    """Softmax over the last axis: the orders ``N+C`` call it the channel, and axis 0 is the channel without the batch."""
    return [at.uff("Softmax", (at.edge(0),), {"axis": UffValue("i", 0), "inputs_orders": at.orders("N+C")})]
