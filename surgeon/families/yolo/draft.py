"""The text of a recipe for a YOLO detector: the network as it is, decoding and suppression behind it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from surgeon.diagnostics import Diagnostic, Severity, SurgeonError
from surgeon.display import plural
from surgeon.families.context import DerivationContext
from surgeon.families.family import Draft, DraftOptions, not_all_recognised
from surgeon.families.fields import derive_fields
from surgeon.families.finding import Finding
from surgeon.families.parts.detection_output_fields import TOP_K_LIMIT
from surgeon.families.parts.image_block import image_block
from surgeon.families.parts.labels import named_classes
from surgeon.families.yolo.anchors import USUAL
from surgeon.families.yolo.heads import FIRST_CLASS
from surgeon.graph import DType, Ref
from surgeon.language import Image
from surgeon.language.document import to_plain
from surgeon.language.layers import default_steps
from surgeon.language.loading import parse_recipe
from surgeon.language.writing import Block, Item, Parameter, render, said

if TYPE_CHECKING:
    from surgeon.families.yolo.detector import YoloDetector

INPUT, BOXES, SCORES, NMS = "Input", "boxes", "scores", "NMS"
"""What the recipe calls its nodes; a name that the graph has already is lengthened."""

SCORE_THRESHOLD, IOU_THRESHOLD, MOST = 0.3, 0.45, 100
"""Numbers of suppression that a recipe begins with where the graph has none."""

OWN = "the recipe's own: the graph does not tell it"

MOST_ROWS = 4096
"""Detections of a picture that a recipe keeps at most."""

COLUMNS = {
    "yxyx": ("ymin", "xmin", "ymax", "xmax"),
    "xyxy": ("xmin", "ymin", "xmax", "ymax"),
    "xywh": ("x", "y", "width", "height"),
}
"""What the four numbers of a box are, by layout."""

WORDS = {
    "yxyx": "ymin, xmin, ymax, xmax",
    "xyxy": "xmin, ymin, xmax, ymax",
    "xywh": "x and y of the centre, width and height,",
}

UFF = {"target": "uff"}

_NATIVE_FIELDS = (
    "classes",
    "background",
    "shareLocation",
    "coding",
    "scoreConverter",
    "scoreThreshold",
    "scoreAtLeast",
    "iouThreshold",
    "softSigma",
    "classAgnostic",
    "maxPerClass",
    "maxTotal",
    "clip",
    "dropEmpty",
)


def draft_recipe(detector: YoloDetector, options: DraftOptions) -> Draft:
    """Write a recipe; raise SurgeonError D147 where a part is not recognised."""
    problems: list[Diagnostic] = []
    for key in detector.needed:
        try:
            detector.finding(key)
        except SurgeonError as exc:
            problems += exc.diagnostics
    count = len(detector.heads.value)
    if not problems and detector.form == "heads" and count not in USUAL:
        problems.append(
            Diagnostic(
                "D113",
                f"the graph does not tell the anchors of its {count} heads, and no configuration of Darknet "
                "has as many",
                detector.graph.source or None,
                detector.heads.evidence,
                ("write 'anchors' and 'masks' by hand: docs/steps.md, 'decode-cells'",),
            )
        )
    if problems:
        raise SurgeonError(not_all_recognised(detector, problems), *problems)
    writer = _RecipeWriter(detector, options)
    return Draft(writer.name, writer.summary, writer.text(), writer.diagnostics)


@dataclass(frozen=True)
class _RecipeWriter:
    detector: YoloDetector
    options: DraftOptions

    @property
    def name(self) -> str:
        return self.options.name or self.detector.kind

    @property
    def summary(self) -> str:
        """One line: kind, classes and the input's size."""
        height, width = self.detector.size
        classes = plural(self.detector.classes.value, "class", "classes")
        return f"{self.detector.kind} for {classes} at {height} x {width}"

    @property
    def _parts(self) -> tuple[str, ...]:
        """What the outputs hold, in words."""
        parts = "the number of detections, boxes, scores, classes"
        if not self.detector.suppresses or not self.detector.label_offset.value:
            return (parts,)
        return (parts, f"classes count from 0: {self.detector.label_offset.evidence[0]}")

    @cached_property
    def diagnostics(self) -> tuple[Diagnostic, ...]:
        """Warnings of what the recipe leaves out."""
        _, unfit = self._labels
        if self.detector.form == "heads":
            unfit += tuple(
                Diagnostic(
                    "D147",
                    f"the graph may be no YOLO detector: {doubt}",
                    self.detector.graph.source or None,
                    self.detector.heads.evidence,
                    ("write the recipe by hand where it is none: docs/recipes.md",),
                    Severity.WARNING,
                )
                for doubt in self.detector.doubts
            )
        try:
            self.detector.image  # noqa: B018  raises what is not known
        except SurgeonError as exc:
            unfit += tuple(replace(each, severity=Severity.WARNING) for each in exc.diagnostics)
        return unfit

    def text(self) -> str:
        """Return the recipe."""
        return render(self._heading(), self._block(self._derived()))

    def _block(self, derived: Block) -> Block:
        """Return the recipe's parts; ``derived`` holds the fields of the graph's suppression."""
        block: dict[str, Item] = {
            "recipe": Item(1),
            "name": Item(self.name),
            "summary": Item(self.summary),
            "outputs": Item([f"{self._free(NMS)}:*"], self._parts),
            **({"parameters": Item(self._parameters(), spaced=True)} if self._parameters() else {}),
            "nodes": Item(self._nodes(derived), spaced=True),
            "namespaces": Item(self._namespaces(), spaced=True),
            "steps": Item(list(self._steps()), spaced=True),
        }
        image = self._image()
        if image is not None:
            block["image"] = image
        labels, _ = self._labels
        if labels:
            named = {number: Item(label) for number, label in labels.items()}
            block["labels"] = Item(named, ("names of the classes, counted from 0",), spaced=True)
        engine = {"precision": "fp16", "max_batch": 1, "workspace": "1GiB"}
        block["engine"] = Item(engine, ("not from the graph: how an engine is built",), spaced=True)
        return block

    def _heading(self) -> tuple[str, ...]:
        source = PurePath(self.detector.graph.source).name or "a graph"
        what = {
            "heads": "The graph ends with the heads, and the recipe adds what decodes and suppresses boxes. "
            "Compare the parameters with those that the network was trained and is used with: nothing in the "
            "graph tells them.",
            "boxes": "The graph ends with decoded boxes, and the recipe adds what suppresses them. Compare "
            "the parameters with those that the network is used with: nothing in the graph tells them.",
            "detections": "The recipe decodes and suppresses boxes as the graph does; every value was read "
            "off the graph.",
        }
        return (f"{source}: {self.summary}. Written by 'surgeon init'.", what[self.detector.form])

    def _parameters(self) -> Block:
        suppression = {
            "score_threshold": Item(SCORE_THRESHOLD, (OWN,)),
            "iou_threshold": Item(IOU_THRESHOLD, (OWN,)),
            "max_detections": Item(min(MOST, self.detector.count.value), (OWN,)),
        }
        match self.detector.form:
            case "heads":
                return {**self._usual_anchors(), **suppression}
            case "boxes":
                return suppression
            case "detections":
                return {}

    def _usual_anchors(self) -> Block:
        usual = USUAL[len(self.detector.heads.value)]
        why = (
            f"width and height in pixels of the network's input; {OWN}. These are the anchors of "
            f"{usual.source}"
        )
        return {
            "anchors": Item([list(map(_plain, pair)) for pair in usual.anchors], (why,)),
            "masks": Item([list(mask) for mask in usual.masks], ("the anchors of each head, by number",)),
        }

    def _nodes(self, derived: Block) -> Block:
        detector = self.detector
        ref = detector.network_input.value
        own = detector.declared.spec(ref)
        like: dict[str, Any] = {"op": "Placeholder", "like": str(ref)}
        comments = [*said(detector.network_input.evidence), f"'{ref}' is {own}"]
        dims = own.shape.dims
        if dims is None or None in dims[1:]:
            like["shape"] = [None, *detector.size, 3]
            comments.append("the graph leaves the size open: any multiple of 32 will do")
        return {
            self._free(INPUT): Item(like, tuple(comments)),
            **(self._decoded_nodes() if detector.form == "boxes" else {}),
            **(self._native(derived) if detector.form == "detections" else self._suppression()),
        }

    def _suppression(self) -> Block:
        detector = self.detector
        boxes = detector.count.value
        fields = {
            "numClasses": Item(detector.classes.value, said(detector.classes.evidence)),
            "backgroundLabelId": Item(-1, ("YOLO has no class for the background",)),
            "shareLocation": Item(1, ("the classes share the box of an anchor",)),
            "scoreThreshold": Item(Parameter("score_threshold")),
            "iouThreshold": Item(Parameter("iou_threshold")),
            "topK": Item(min(boxes, TOP_K_LIMIT), self._top_k(boxes)),
            "keepTopK": Item(Parameter("max_detections")),
            "isNormalized": Item(1, ("boxes are relative to the picture",)),
            "clipBoxes": Item(0, ("boxes may reach over the edges, as they are decoded",)),
        }
        inputs = {"boxes": self._free(BOXES), "scores": self._free(SCORES)}
        node = {"plugin": Item("BatchedNMS_TRT"), "inputs": Item(inputs), "fields": Item(fields)}
        return {self._free(NMS): Item(node, ("suppresses overlapping boxes class by class",))}

    def _native(self, derived: Block) -> Block:
        """Return the suppression that follows every rule of the graph, and what it reads."""
        detector = self.detector
        rows, classes = detector.count.value, detector.classes
        fields = {**{key: derived.get(key, Item("auto")) for key in _NATIVE_FIELDS}, **self._most()}
        loc, conf = self._free("box_rows"), self._free("score_rows")
        flat = {
            loc: {"op": "Reshape", "inputs": [self._free(BOXES)], "shape": [-1, 4 * rows, 1, 1]},
            conf: {
                "op": "Reshape",
                "inputs": [self._free(SCORES)],
                "shape": [-1, classes.value * rows, 1, 1],
            },
        }
        node = {
            "plugin": Item("SurgeonDetection"),
            "inputs": Item({"loc": loc, "conf": conf}),
            "fields": Item(fields),
        }
        return {
            **{name: Item(value) for name, value in flat.items()},
            self._free(NMS): Item(node, ("suppresses overlapping boxes by the graph's own rules",)),
        }

    def _derived(self) -> Block:
        """Return the fields of the suppression as the graph's postprocessing gives them."""
        if self.detector.form != "detections":
            return {}
        recipe = parse_recipe(render((), self._block({})))
        context = DerivationContext(recipe, self.detector.graph, self.options.catalog, self.options.most_rows)
        context.family = self.detector
        fields, found = derive_fields(context, self._free(NMS))
        return {each.field: Item(fields[each.field], said(each.evidence)) for each in found}

    def _most(self) -> Block:
        """Return how many detections are kept, and why, where they are fewer than the graph may give."""
        found, bound = self.detector.max_total, self.options.most_rows or MOST_ROWS
        if found.value <= bound:
            return {}
        why = f"of the {found.value} that the graph may give, the {bound} best, which any target can sort"
        return {"maxTotal": Item(bound, (why, *said(found.evidence)))}

    def _decoded_nodes(self) -> Block:
        """Return the boxes and scores that the graph computes, as the suppression reads them."""
        detector, tensors = self.detector, self.detector.decoded_tensors
        decoding = detector.decoding.value
        rows, classes = detector.count.value, detector.classes.value
        nodes: dict[str, Item] = {}

        def add(
            name: str, op: str, inputs: list[str] | None = None, comment: str = "", **options: Any
        ) -> str:
            own = self._free(name)
            read = {"inputs": inputs} if inputs else {}
            nodes[own] = Item({"op": op, **read, **options}, (comment,) if comment else ())
            return own

        unit = "in pixels" if decoding.pixels else "relative to the picture"
        why = f"boxes are {WORDS[decoding.layout]} {unit}; {detector.decoding.evidence[-1]}"
        if tensors.rows:
            wide = FIRST_CLASS + classes
            parts = []
            for number, ref in enumerate(tensors.rows):
                name = f"rows_{number}" if len(tensors.rows) > 1 else "rows"
                count = self._rows_at(ref)
                parts.append(add(name, "Reshape", [str(ref)], shape=[-1, count, 1, wide]))
            joined = add("rows", "ConcatV2", parts, axis=1) if len(parts) > 1 else parts[0]

            def cut(name: str, begin: int, size: int, comment: str = "") -> str:
                ranges = {"begin": [0, 0, 0, begin], "size": [-1, -1, -1, size]}
                return add(name, "Slice", [joined], comment, **ranges)

            found = cut("decoded_boxes", 0, 4, why)
            factors = [cut("objectness", 4, 1), cut("class_scores", FIRST_CLASS, classes)]
        else:
            found = add("decoded_boxes", "Reshape", [str(tensors.boxes)], why, shape=[-1, rows, 1, 4])
            factors = [str(ref) for ref in (tensors.objectness, tensors.scores) if ref is not None]
        if decoding.layout != "yxyx":
            column = {
                name: add(f"decoded_{name}", "Slice", [found], begin=[0, 0, 0, at], size=[-1, -1, -1, 1])
                for at, name in enumerate(COLUMNS[decoding.layout])
            }
            if decoding.layout == "xywh":
                half = add("half", "Const", value=0.5, dtype="float32")
                for axis, side in (("x", "width"), ("y", "height")):
                    extent = add(f"decoded_half_{side}", "Mul", [column[side], half])
                    column[f"{axis}min"] = add(f"decoded_{axis}min", "Sub", [column[axis], extent])
                    column[f"{axis}max"] = add(f"decoded_{axis}max", "Add", [column[axis], extent])
            corners = [column[name] for name in COLUMNS["yxyx"]]
            found = add("decoded_corners", "ConcatV2", corners, axis=3)
        if decoding.pixels:
            height, width = detector.size
            pixel = [1 / height, 1 / width, 1 / height, 1 / width]
            share = add("pixel", "Const", value=pixel, dtype="float32")
            found = add("decoded_shares", "Mul", [found, share])
        add(
            BOXES,
            "Reshape",
            [found],
            "ymin, xmin, ymax and xmax relative to the picture",
            shape=[-1, rows, 1, 4],
        )
        product = add("products", "Mul", factors) if len(factors) > 1 else factors[0]
        add(SCORES, "Reshape", [product], shape=[-1, rows, classes])
        return nodes

    def _rows_at(self, ref: Ref) -> int:
        dims = self.detector.inference.spec(ref).shape.dims or ()
        known = [dim for dim in dims[1:-1] if dim is not None]
        return math.prod(known) if len(known) == len(dims) - 2 else self.detector.count.value

    def _top_k(self, boxes: int) -> tuple[str, ...]:
        if boxes <= TOP_K_LIMIT:
            return ("all boxes",)
        return (f"of {boxes} boxes the {TOP_K_LIMIT} best of each class, the most that the plugin takes",)

    def _namespaces(self) -> Block:
        detector = self.detector
        ref, picture = detector.network_input.value, detector.picture.value
        names = [ref.node]
        if ref.node != picture.node:
            behind = detector.graph.ancestors([ref.node])
            names = [
                node.name for node in detector.graph if node.name in behind and node.name in detector._varying
            ]
        return {name: Item(self._free(INPUT)) for name in names}

    def _steps(self) -> list[Item]:
        operations = {node.op for node in self.detector.graph}
        found: list[Item] = list(self._fixed())
        for step in to_plain(default_steps()):
            if step["step"] == "prune":
                found += self._added()
            if step["step"] == "collapse" and operations & {"Maximum", "ExtractImagePatches"}:
                found.append(
                    Item("fuse-layers", ("TensorRT fuses LeakyRelu, and lacks ExtractImagePatches",))
                )
            if step["step"] != "replace-op" or step["from"] in operations:
                found.append(Item(step["step"] if len(step) == 1 else step))
        return found

    def _fixed(self) -> Iterator[Item]:
        """Yield the step that fixes the size of the original picture, where the graph asks for it."""
        beside = self.detector.sizes_beside if self.detector.form != "heads" else {}
        if beside:
            sizes = {
                ref.node: [_number(side, dtype) for side in self.detector.size]
                for ref, dtype in beside.items()
            }
            yield Item(
                {"step": "fix-inputs", "values": sizes},
                ("the size of the original picture: detections are relative to the network's input",),
            )

    def _added(self) -> list[Item]:
        heads = self.detector.heads
        comment = "decodes the heads: " + "; ".join(heads.evidence)
        if self.detector.form == "boxes":
            comment = f"UFF decodes the heads anew, since it has no place for what the graph does; {comment}"
        return [
            Item(self._decode(), (comment, *self._decoding_evidence())),
            Item({"step": "add-node", "node": self._free(NMS)}),
        ]

    def _decoding_evidence(self) -> tuple[str, ...]:
        return () if self.detector.form == "heads" else said(self.detector.decoding.evidence)

    def _decode(self) -> dict[str, Any]:
        """Return the step that decodes heads; of heads that the graph decodes, in the order of its boxes."""
        heads = self.detector.heads.value
        anchors: Any = Parameter("anchors")
        masks: Any = Parameter("masks")
        decode: dict[str, Any] = {"step": "decode-cells"}
        options: dict[str, Any] = {}
        if self.detector.form != "heads":
            decoding = self.detector.decoding.value
            heads = tuple(heads[number] for number in decoding.order)
            pairs = [decoding.anchors[number] for number in decoding.order]
            anchors = [list(map(_plain, pair)) for part in pairs for pair in part]
            per_head = len(pairs[0])
            masks = [list(range(first, first + per_head)) for first in range(0, len(anchors), per_head)]
            scales = [decoding.scale_xy[number] for number in decoding.order]
            if any(scale != 1 for scale in scales):
                options["scale_xy"] = scales
            if decoding.class_scores != "sigmoid":
                options["class_scores"] = decoding.class_scores
        elif len(heads) == 1:
            options["class_scores"] = "softmax"
        if any(head.channels_first for head in heads):
            options["channels_first"] = True
        decode |= {
            "heads": [str(head.tensor) for head in heads],
            "picture": self._free(INPUT),
            "anchors": anchors,
            "masks": masks,
            "classes": self.detector.classes.value,
            **options,
        }
        decode |= {key: self._free(key) for key in (BOXES, SCORES) if self._free(key) != key}
        if self.detector.form == "boxes":
            decode["when"] = UFF
        return decode

    def _image(self) -> Item | None:
        try:
            found: Finding[Image] = self.detector.image
        except SurgeonError:
            return None
        return Item(image_block(found.value), said(found.evidence), spaced=True)

    @cached_property
    def _labels(self) -> tuple[dict[int, str], tuple[Diagnostic, ...]]:
        """The names of the classes, counted from 0, and a warning where they are not as many."""
        return named_classes(self.options.labels, self.detector.classes, -1)

    def _free(self, name: str) -> str:
        while name in self.detector.graph:
            name += "_plugin"
        return name


def _number(side: int, dtype: DType) -> float | int:
    return float(side) if dtype.value.startswith("float") else side


def _plain(value: float) -> float | int:
    return int(value) if float(value).is_integer() else round(value, 4)
