"""Batch normalization, local response normalization and softmax."""

from __future__ import annotations

from surgeon.diagnostics import error
from surgeon.formats.uff.conversion import ConverterContext, converts
from surgeon.formats.uff.model import UffNode, UffValue


@converts("FusedBatchNorm", "FusedBatchNormV2", "FusedBatchNormV3")
def batch_norm(at: ConverterContext) -> list[UffNode]:
    """BatchNorm over the tensor, scale, offset, mean and variance.

    Raise X108 where the node is in training mode.
    """
    if at.attr("is_training", bool, True):
        raise error(
            "X108",
            f"'{at.node.name}' ({at.node.op}) is in training mode (is_training); "
            "UFF's BatchNorm takes the stored mean and variance",
            at.node.name,
            help=["export the model for inference (is_training=False) and freeze that graph"],
        )
    fields = {
        "epsilon": UffValue("d", at.number("epsilon", 1e-4)),
        "inputs_orders": at.orders(at.activations),
    }
    return [at.uff("BatchNorm", [at.edge(i) for i in range(5)], fields)]


@converts("LRN")
def local_response(at: ConverterContext) -> list[UffNode]:
    """LRN over channels, which are the last axis.

    TensorFlow sums over ``2 depth_radius + 1`` channels; TensorRT takes that width, and divides alpha by it.
    """
    window = 2 * at.attr("depth_radius", int, 5) + 1
    fields = {
        "window_size": UffValue("i", window),
        "alpha": UffValue("d", at.number("alpha", 1.0) * window),
        "beta": UffValue("d", at.number("beta", 0.5)),
        "k": UffValue("d", at.number("bias", 1.0)),
        "inputs_orders": at.orders("N+C"),
    }
    return [at.uff("LRN", (at.edge(0),), fields)]


@converts("Softmax")
def softmax(at: ConverterContext) -> list[UffNode]:
    """Softmax over the last axis.

    The parser passes over ``axis`` and orders and takes the first axis after the batch, so the last axis is
    brought there and back for tensors of rank 3 and 4. Raise X104 where the rank is unknown or above 4.
    """
    rank = at.export.rank(at.ref(0))
    fields = {"axis": UffValue("i", 0), "inputs_orders": at.orders("N+C")}
    if rank is None or rank > 4:
        raise at.refused(
            f"reads a tensor whose rank is {'unknown' if rank is None else rank}; expected 1 to 4",
            "reshape it to a matrix before the softmax, or fix the input's size",
        )
    if rank <= 2:
        return [at.uff("Softmax", (at.edge(0),), fields)]
    there = (0, rank - 1, *range(1, rank - 1))
    back = (0, *range(2, rank), 1)
    first = UffNode(
        at.export.fresh(f"{at.node.name}/last_first"),
        "Transpose",
        (at.edge(0),),
        {"permutation": UffValue.ints(there)},
    )
    middle = UffNode(at.export.fresh(f"{at.node.name}/softmax"), "Softmax", (first.id,), fields)
    return [first, middle, at.uff("Transpose", (middle.id,), {"permutation": UffValue.ints(back)})]
