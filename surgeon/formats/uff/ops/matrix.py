"""Matrix products."""

from __future__ import annotations

from surgeon.formats.uff.conversion import ConverterContext, converts
from surgeon.formats.uff.model import UffNode


@converts("MatMul")
def matmul(at: ConverterContext) -> list[UffNode]:
    """FullyConnected; the orders say which side is transposed."""
    left = "CN" if at.attr("transpose_a", bool, False) else "NC"
    right = "KC" if at.attr("transpose_b", bool, False) else "CK"
    return [at.uff("FullyConnected", (at.edge(0), at.edge(1)), {"inputs_orders": at.orders(left, right)})]
