"""Reductions and positions of extremes."""

from __future__ import annotations

from surgeon.formats.uff.conversion import ConverterContext, converts
from surgeon.formats.uff.model import UffNode, UffValue

FUNC = {"Sum": "sum", "Prod": "prod", "Max": "max", "Min": "min", "Mean": "mean"}
_POSITION = {"ArgMax": "ArgMax", "ArgMin": "ArgMin"}


@converts(*FUNC)
def reduce(at: ConverterContext) -> list[UffNode]:
    """Reduce over constant axes, batch counted.

    The parser keeps reduced axes as 1, whatever ``keepdims`` says.
    """
    axes = tuple(map(at.axis, at.ints(1, "axes")))
    if 0 in axes and (at.export.rank(at.ref(0)) or 0) > 1:
        raise at.refused(f"reduces the batch (axes {list(axes)}); the parser reduces the axes after it")
    fields = {
        "func": UffValue("s", FUNC[at.node.op]),
        "axes": UffValue.ints(axes),
        "keepdims": UffValue("b", at.attr("keep_dims", bool, False)),
    }
    return [at.uff("Reduce", (at.edge(0),), fields)]


@converts(*_POSITION)
def position(at: ConverterContext) -> list[UffNode]:
    """ArgMax and ArgMin along a constant axis."""
    return [
        at.uff(_POSITION[at.node.op], (at.edge(0),), {"axis": UffValue("i", at.axis(at.integer(1, "axis")))})
    ]
