"""Frozen SSD detectors that end before suppression, as they are brought to TensorFlow.js."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from surgeon.formats.graphdef.reader import from_bytes
from surgeon.formats.graphdef.writer import to_bytes
from surgeon.graph import Graph, Node, Ref, TensorRef, TensorValue
from surgeon.zoo.options import SsdOptions
from surgeon.zoo.ssd import build_ssd

ENDS: Mapping[str, tuple[str, str]] = {
    "2017": ("Postprocessor/ExpandDims_1", "Postprocessor/convert_scores"),
    "2018": ("Postprocessor/ExpandDims_1", "Postprocessor/Slice"),
    "2019": ("raw_detection_boxes", "raw_detection_scores"),
}
"""The tensors of decoded boxes and of scores at which a detector of each date is cut; the scores of 2019 have
a column for the background.
"""


def build_cut_ssd(options: SsdOptions = SsdOptions(), *, share_constants: bool = True) -> bytes:
    """Return a serialized frozen GraphDef of an SSD MobileNet v1 without its suppression.

    With ``share_constants``, one constant stands for all that are equal, wherever they are read, as an
    optimiser leaves them.
    """
    graph = from_bytes(build_ssd(options))
    ends = tuple(map(Ref, ENDS[options.date]))
    needed = graph.ancestors(ref.node for ref in ends)
    cut = graph.replace([node for node in graph if node.name in needed], ends)
    return to_bytes(_sharing_constants(cut) if share_constants else cut)


def _sharing_constants(graph: Graph) -> Graph:
    first: dict[tuple[str, bytes], str] = {}
    stands_for: dict[str, str] = {}
    for node in graph:
        value = node.attrs.get("value")
        if node.op == "Const" and isinstance(value, TensorValue | TensorRef) and not node.control:
            array = value.array()
            if array.dtype.kind in "fi":
                key = (f"{array.dtype}{array.shape}", array.tobytes())
                stands_for[node.name] = first.setdefault(key, node.name)

    def rewired(node: Node) -> Node:
        inputs = tuple(Ref(stands_for.get(ref.node, ref.node), ref.slot) for ref in node.inputs)
        return node.with_inputs(inputs, node.control)

    kept = (node for node in graph if stands_for.get(node.name, node.name) == node.name)
    return graph.replace([rewired(node) for node in kept])


def _sample(date: str) -> Callable[[], bytes]:
    options = SsdOptions(date=date, height=96, width=96, depth_multiplier=0.125)  # type: ignore[arg-type]
    return lambda: build_cut_ssd(options)


SAMPLES: Mapping[str, Callable[[], bytes]] = {f"ssd_cut_{date}": _sample(date) for date in ENDS}
"""Detectors for the table of families, by name."""
