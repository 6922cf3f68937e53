"""The third stage of Mask R-CNN: regions cut out once more at the detections, and a mask for each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from surgeon.diagnostics import SurgeonError
from surgeon.families.faster_rcnn.structure import Regions
from surgeon.families.finding import Finding
from surgeon.graph import Ref

if TYPE_CHECKING:
    from surgeon.families.faster_rcnn.detector import TwoStageDetector


@dataclass(frozen=True)
class MaskStage:
    """What the third stage reads of the second one, and what cuts its regions.

    ``boxes`` is float32[N, K, 4], ymin, xmin, ymax, xmax relative to the network's input; ``classes``
    float32[N, K], counted from 0 without the background, None where one mask serves all classes.
    """

    boxes: Ref
    classes: Ref | None
    cut: Regions


def find_mask_stage(detector: TwoStageDetector) -> Finding[MaskStage] | None:
    """Return the third stage, None where the graph gives no masks.

    Raise SurgeonError D113 where the masks are not computed from the detections' boxes and classes alone.
    """
    outputs = detector.outputs.value
    if "masks" not in outputs:
        return None
    masks = outputs["masks"]
    boxes = _exits(detector, outputs["boxes"])
    classes = _exits(detector, outputs["classes"]) if "classes" in outputs else []
    read = _exits(detector, masks)
    strange = [ref for ref in read if ref not in (*boxes, *classes)]
    if len(boxes) != 1 or len(classes) > 1 or boxes[0] not in read or strange:
        raise _unknown(detector, "they do not come from the boxes and classes of the detections", read)
    graph = detector.graph
    needed = graph.ancestors([masks.node])
    cuts = [
        node
        for node in graph
        if node.op == "CropAndResize"
        and node.name in needed
        and boxes[0].node in graph.ancestors([node.inputs[1].node])
    ]
    if len(cuts) != 1:
        raise _unknown(detector, f"regions are cut {len(cuts)} times at the detections", read)
    cut = Regions(cuts[0].name, cuts[0].inputs[0], cuts[0].inputs[1])
    by_class = next((ref for ref in classes if ref in read), None)
    evidence = [f"'{cut.node}' cuts regions at '{boxes[0]}', and '{masks}' holds a mask of each"]
    if by_class is not None:
        evidence.append(f"'{by_class}' chooses the mask of the class")
    return Finding(MaskStage(boxes[0], by_class, cut), tuple(evidence))


def _exits(detector: TwoStageDetector, ref: Ref) -> list[Ref]:
    """Return what loops over pictures leave of the second suppression, as far as a tensor is computed from
    it.
    """
    graph, suppress = detector.graph, set(detector.suppressions.value)
    found: dict[Ref, None] = {}
    seen: set[str] = set()
    waiting = [ref]
    while waiting:
        at = waiting.pop()
        if detector.leaves_loop(at) and suppress & graph.ancestors([at.node]):
            found[at] = None
        elif at.node not in seen:
            seen.add(at.node)
            waiting += graph[at.node].inputs
    return list(found)


def _unknown(detector: TwoStageDetector, reason: str, read: list[Ref]) -> SurgeonError:
    return detector.fail(
        "D113",
        f"it is not known how the masks are computed: {reason}",
        [f"they read '{ref}'" for ref in read[:8]],
    )
