"""The text of a recipe for a YOLO detector: the network as it is, decoding and suppression behind it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from surgeon.diagnostics import Diagnostic, Severity, SurgeonError
from surgeon.display import plural
from surgeon.families.family import BY_HAND, Draft, DraftOptions
from surgeon.families.finding import Finding
from surgeon.families.parts.detection_output_fields import TOP_K_LIMIT
from surgeon.families.yolo.anchors import USUAL
from surgeon.language import Image
from surgeon.language.document import to_plain
from surgeon.language.layers import default_steps
from surgeon.language.writing import Block, Item, Parameter, render, said

if TYPE_CHECKING:
    from surgeon.families.yolo.detector import YoloDetector

INPUT, BOXES, SCORES, NMS = "Input", "boxes", "scores", "NMS"
"""What the recipe calls its nodes; a name that the graph has already is lengthened."""

SCORE_THRESHOLD, IOU_THRESHOLD, MOST = 0.3, 0.45, 100
"""Numbers of suppression that a recipe begins with where the graph has none."""

OWN = "the recipe's own: the graph does not tell it"

UFF = {"target": "uff"}


def draft_recipe(detector: YoloDetector, options: DraftOptions) -> Draft:
    """Write a recipe; raise SurgeonError D147 where a part is not recognised."""
    problems: list[Diagnostic] = []
    for key in detector.keys:
        try:
            detector.finding(key)
        except SurgeonError as exc:
            problems += exc.diagnostics
    if problems:
        message = f"the graph is a YOLO detector, but not all of it is recognised: {problems[0].message}"
        where = detector.graph.source or None
        raise SurgeonError(Diagnostic("D147", message, where, (), BY_HAND), *problems)
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

    @cached_property
    def diagnostics(self) -> tuple[Diagnostic, ...]:
        """Warnings of what the recipe leaves out."""
        _, unfit = self._labels
        try:
            self.detector.image  # noqa: B018  raises what is not known
        except SurgeonError as exc:
            unfit += tuple(replace(each, severity=Severity.WARNING) for each in exc.diagnostics)
        return unfit

    def text(self) -> str:
        """Return the recipe."""
        block: dict[str, Item] = {
            "recipe": Item(1),
            "name": Item(self.name),
            "summary": Item(self.summary),
            "outputs": Item([f"{self._free(NMS)}:*"], ("the number of detections, boxes, scores, classes",)),
            "parameters": Item(self._parameters(), spaced=True),
            "nodes": Item(self._nodes(), spaced=True),
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
        return render(self._heading(), block)

    def _heading(self) -> tuple[str, ...]:
        source = PurePath(self.detector.graph.source).name or "a graph"
        return (
            f"{source}: {self.summary}. Written by 'surgeon init'.",
            "The graph ends with the heads, and the recipe adds what decodes and suppresses boxes. Compare "
            "the parameters with those that the network was trained and is used with: nothing in the graph "
            "tells them.",
        )

    def _parameters(self) -> Block:
        usual = USUAL[len(self.detector.heads.value)]
        anchors = [list(map(_plain, pair)) for pair in usual.anchors]
        return {
            "anchors": Item(
                anchors,
                (
                    f"width and height in pixels of the network's input; {OWN}. These are the anchors of "
                    f"{usual.source}",
                ),
            ),
            "masks": Item([list(mask) for mask in usual.masks], ("the anchors of each head, by number",)),
            "score_threshold": Item(SCORE_THRESHOLD, (OWN,)),
            "iou_threshold": Item(IOU_THRESHOLD, (OWN,)),
            "max_detections": Item(MOST, (OWN,)),
        }

    def _nodes(self) -> Block:
        detector = self.detector
        ref = detector.network_input.value
        own = detector._unsized.spec(ref)
        like: dict[str, Any] = {"op": "Placeholder", "like": str(ref)}
        comments = [*said(detector.network_input.evidence), f"'{ref}' is {own}"]
        dims = own.shape.dims
        if dims is None or None in dims[1:]:
            like["shape"] = [None, *detector.size, 3]
            comments.append("the graph leaves the size open: any multiple of 32 will do")
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
        return {
            self._free(INPUT): Item(like, tuple(comments)),
            self._free(NMS): Item(
                {"plugin": Item("BatchedNMS_TRT"), "inputs": Item(inputs), "fields": Item(fields)},
                ("suppresses overlapping boxes class by class",),
            ),
        }

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
        found: list[Item] = []
        for step in to_plain(default_steps()):
            if step["step"] == "prune":
                found += self._added()
            if step["step"] == "replace-op" and not any(
                node.op == step["from"] for node in self.detector.graph
            ):
                continue
            found.append(Item(step["step"] if len(step) == 1 else step))
        return found

    def _added(self) -> list[Item]:
        heads = self.detector.heads
        decode: dict[str, Any] = {
            "step": "decode-cells",
            "heads": [str(head.tensor) for head in heads.value],
            "picture": self._free(INPUT),
            "anchors": Parameter("anchors"),
            "masks": Parameter("masks"),
        }
        if any(head.channels_first for head in heads.value):
            decode["channels_first"] = True
        if len(heads.value) == 1:
            decode["class_scores"] = "softmax"
        decode |= {key: self._free(key) for key in (BOXES, SCORES) if self._free(key) != key}
        return [
            Item(decode, ("decodes " + "; ".join(heads.evidence),)),
            Item({"step": "add-node", "node": self._free(NMS)}),
        ]

    def _image(self) -> Item | None:
        try:
            found: Finding[Image] = self.detector.image
        except SurgeonError:
            return None
        image = found.value
        steps = [
            {
                key: list(value) if isinstance(value, tuple) else value
                for key, value in step
                if value is not None
            }
            for step in image.steps
        ]
        values = {
            "size": list(image.size),
            "resize": image.resize,
            "interpolation": image.interpolation,
            "color": image.color,
            "steps": steps,
        }
        return Item({key: Item(value) for key, value in values.items()}, said(found.evidence), spaced=True)

    @cached_property
    def _labels(self) -> tuple[dict[int, str], tuple[Diagnostic, ...]]:
        """The names of the classes, counted from 0, and a warning where they are not as many."""
        given, classes = self.options.labels, self.detector.classes
        named = {number - 1: label for number, label in given.items() if number <= classes.value}
        if not given or max(given) == classes.value:
            return named, ()
        warning = Diagnostic(
            "D145",
            f"the labels go up to class {max(given)}; the detector has "
            f"{plural(classes.value, 'class', 'classes')}",
            None,
            classes.evidence,
            ("check that the label map is the one of the training",),
            Severity.WARNING,
        )
        return named, (warning,)

    def _free(self, name: str) -> str:
        while name in self.detector.graph:
            name += "_plugin"
        return name


def _plain(value: float) -> float | int:
    return int(value) if float(value).is_integer() else round(value, 4)
