"""The text of a recipe for a detector of two stages."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from surgeon.diagnostics import Diagnostic, Severity, SurgeonError
from surgeon.display import plural
from surgeon.families.family import Draft, DraftOptions, not_all_recognised
from surgeon.families.finding import Finding
from surgeon.families.parts.image_block import image_block
from surgeon.families.parts.labels import named_classes
from surgeon.families.parts.namespaces import ahead_of, shortest_namespaces
from surgeon.families.parts.native_detection_fields import CLIPPINGS, SENSES
from surgeon.graph import Ref
from surgeon.graph.op_sets import PLACEHOLDERS
from surgeon.graph.reach import upstream
from surgeon.language.document import to_plain
from surgeon.language.layers import default_steps
from surgeon.language.writing import Block, Item, Parameter, render, said

if TYPE_CHECKING:
    from surgeon.families.faster_rcnn.detector import TwoStageDetector
    from surgeon.families.faster_rcnn.suppression import Stage

MOST = 60
"""Namespaces of one part of the graph; over that, its result alone is replaced."""

NEEDED = (
    "network_input",
    "size",
    "crop_size",
    "classes",
    "box_sets",
    "score_threshold",
    "iou_threshold",
    "max_per_class",
    "max_total",
    "soft_sigma",
    "clip",
    "drops_empty",
    "label_offset",
)
"""Findings that a recipe cannot do without, besides those of the first stage."""

_FIRST = (
    "score_threshold",
    "iou_threshold",
    "soft_sigma",
    "max_per_class",
    "max_total",
    "clip",
    "drops_empty",
)
"""Findings of the first stage that a recipe cannot do without."""

SUPPRESSION = "SurgeonDetectionDynamic"
CROP = "CropAndResizeDynamic"

_COMMENTS = {
    "Input": "the picture, resized and scaled",
    "proposals": "suppression of the first stage",
    "proposals_relative": "makes proposals relative to the input",
    "proposals_pixels": "makes pixels of them again",
    "NMS": "suppression of the second stage",
    "mask_boxes": "boxes that the third stage reads",
    "mask_classes": "classes that the third stage reads",
    "mask_crops": "cuts the regions of masks out of a feature map",
}


def draft_recipe(detector: TwoStageDetector, options: DraftOptions) -> Draft:
    """Write a recipe for a detector, every value literal, with its evidence.

    Raise SurgeonError D147 where a part is not recognised.
    """
    check_parts(detector)
    writer = RecipeWriter(detector, options)
    return Draft(writer.name, writer.summary, writer.text(), writer.warnings())


def check_parts(detector: TwoStageDetector) -> None:
    """Raise SurgeonError D147, followed by what is wrong, where a part is not recognised."""
    problems: dict[str, Diagnostic] = {}
    first = detector.first
    parts = [lambda key=key: getattr(detector, key) for key in (*NEEDED, "mask_stage")]
    parts += [lambda key=key: getattr(first, key) for key in _FIRST]
    for part in (*parts, detector.check_windows):
        try:
            part()
        except SurgeonError as exc:
            problems.update((f"{d.code} {d.message}", d) for d in exc.diagnostics)
    if problems:
        found = list(problems.values())
        raise SurgeonError(not_all_recognised(detector, found), *found)


@dataclass(frozen=True)
class RecipeWriter:
    """The text of a recipe for ``detector``."""

    detector: TwoStageDetector
    options: DraftOptions

    @property
    def name(self) -> str:
        return self.options.name or self.detector.kind

    @property
    def summary(self) -> str:
        """One line: kind, classes and the input's size."""
        height, width = self.detector.size.value
        classes = plural(self.detector.classes.value, "class", "classes")
        return f"{self.detector.kind} for {classes} at {height} x {width}"

    def text(self) -> str:
        """Return the recipe."""
        return render(self._heading(), self._block())

    def warnings(self) -> tuple[Diagnostic, ...]:
        """Return what the recipe says nothing of, or says otherwise than the graph, as warnings."""
        found: list[Diagnostic] = []
        try:
            assert self.detector.image
        except SurgeonError as exc:
            found += (replace(each, severity=Severity.WARNING) for each in exc.diagnostics)
        windows = self.detector.padded_windows
        if windows:
            found.append(
                Diagnostic(
                    "D162",
                    "the graph clips boxes to the part of the input that a picture fills; the recipe clips "
                    "them to the whole input",
                    self.detector.graph.source or None,
                    windows,
                    (
                        "verify with pictures of the shapes that you use: square ones fill a square input, "
                        "and others differ at the edge of what they fill",
                    ),
                    Severity.WARNING,
                )
            )
        return (*found, *self.labels[1])

    @cached_property
    def labels(self) -> tuple[dict[int, str], tuple[Diagnostic, ...]]:
        """The names of the classes, counted from 0, and a warning where they are not as many."""
        return named_classes(self.options.labels, self.detector.classes, -1)

    def _heading(self) -> tuple[str, ...]:
        source = PurePath(self.detector.graph.source).name or "a graph"
        return (
            f"{source}: {self.summary}. Written by 'surgeon init'.",
            "Every value was read off the graph; above it stand the nodes and constants that show it.",
            *self.options.config_verdict,
        )

    def _block(self) -> Block:
        rows = "NMS: image, label, score, xmin, ymin, xmax, ymax a row; NMS:1 is their number"
        block = {
            "recipe": Item(1),
            "name": Item(self.name, self.options.config_comments("name")),
            "summary": Item(self.summary),
        }
        kept = self.detector.keeps_size
        if kept is not None:
            height, width = self.detector.size.value
            sizes = {"height": Item(height), "width": Item(width)}
            why = "of the network's input; take a size that the graph leaves as it is"
            comments = (why, *said(kept.evidence))
            block["parameters"] = self._compared("parameters.height", Item(sizes, comments))
        about = rows.replace("NMS", self.named("NMS"))
        masks = self.detector.outputs.value.get("masks")
        outputs = [self.named("NMS")] if masks is None else [self.named("NMS"), str(masks)]
        block["outputs"] = Item(outputs, (about,))
        if masks is not None:
            why = f"a mask for each row, relative to its box: {self.detector.inference.spec(masks)}"
            block["detections"] = Item({"masks": str(masks)}, (why,))
        block["nodes"] = Item(self._nodes(), spaced=True)
        block["namespaces"] = Item(self._namespaces(), spaced=True)
        block["steps"] = Item([self._step(step) for step in to_plain(default_steps())], spaced=True)
        image = self._image()
        if image:
            block["image"] = Item(image, said(self.detector.image.evidence), spaced=True)
        labels, _ = self.labels
        if labels:
            named = {number: Item(label) for number, label in labels.items()}
            block["labels"] = Item(named, ("names of the numbers that detections carry",), spaced=True)
        engine = {"precision": "fp16", "max_batch": 1, "workspace": "1GiB"}
        block["engine"] = Item(engine, ("not from the graph: how an engine is built",), spaced=True)
        return block

    def _step(self, step: Mapping[str, Any]) -> Item:
        return Item(step["step"] if len(step) == 1 else step)

    def named(self, name: str) -> str:
        """Return a name for a node of the recipe that no node of the graph has."""
        while name in self.detector.graph:
            name += "_of_recipe"
        return name

    @cached_property
    def side(self) -> tuple[Any, Any]:
        """Height and width of the input, as the recipe writes them."""
        if self.detector.keeps_size is None:
            return self.detector.size.value
        return Parameter("height"), Parameter("width")

    def _nodes(self) -> Block:
        detector, named = self.detector, self.named
        height, width = self.side
        nodes: dict[str, Item] = {
            "Input": Item(
                {
                    "op": "Placeholder",
                    "like": str(detector.network_input.value),
                    "shape": [1, height, width, 3],
                    "dtype": "float32",
                },
                said(detector.network_input.evidence[:1]),
            ),
            "window": Item(
                {"op": "Const", "dtype": "float32", "value": [height, width, height, width]},
                ("bottom and right of the input, which boxes in pixels are clipped to and divided by",),
            ),
            "zero": Item({"op": "Const", "dtype": "float32", "value": 0.0}),
            "one": Item({"op": "Const", "dtype": "float32", "value": 1.0}),
            "shares": Item({"op": "RealDiv", "inputs": [named("one"), named("window")]}),
        }
        nodes |= self._first_stage()
        nodes |= self._proposals()
        nodes |= self._regions()
        nodes |= self._second_stage()
        nodes |= self._mask_stage()
        return {named(name): item for name, item in nodes.items()}

    def _clipped(self, name: str, boxes: str) -> dict[str, Item]:
        """Return the nodes that clip boxes in pixels to the input; the last is called ``name``."""
        inside = f"{name}_inside"
        return {
            inside: Item({"op": "Minimum", "inputs": [boxes, self.named("window")]}),
            name: Item({"op": "Maximum", "inputs": [self.named(inside), self.named("zero")]}),
        }

    def _first_stage(self) -> dict[str, Item]:
        detector, first = self.detector, self.detector.first
        boxes = str(detector.first_boxes.decoded)
        nodes: dict[str, Item] = {}
        clip, empty = 0, int(first.drops_empty.value)
        about = "first stage: boxes in pixels"
        if first.clip.value == "before":
            nodes |= self._clipped("first_boxes", boxes)
            about = "first stage: boxes in pixels, clipped before suppression"
        elif self._is_relative:
            nodes["first_boxes"] = Item({"op": "Mul", "inputs": [boxes, self.named("shares")]})
            clip, empty = CLIPPINGS["after"], 2 if first.drops_empty_after.value else empty
            about = "first stage: boxes relative to the input, clipped after suppression"
        if nodes:
            boxes = self.named("first_boxes")
        ports = {"loc": boxes, "conf": str(detector.first_scores)}
        fields = self._fields("first_stage", first, 1, True, clip, empty)
        nodes["first_stage"] = Item(
            {"plugin": Item(SUPPRESSION), "inputs": Item(ports), "fields": fields},
            (about, *said(first.clip.evidence)),
        )
        return nodes

    @property
    def _is_relative(self) -> bool:
        """Whether the first stage's boxes go into suppression relative to the input, which clips them."""
        return self.detector.first.clip.value == "after"

    def _proposals(self) -> dict[str, Item]:
        """Return the nodes between the first stage's rows and its boxes."""
        named, most = self.named, self.detector.first.max_total.value
        order = {"op": "GatherV2", "inputs": [named(name) for name in ("first_rows", "order", "order_axis")]}
        kept = "proposals_kept" if self._is_relative else "proposals"
        nodes = {
            "first_rows": Item(
                {
                    "op": "Slice",
                    "inputs": [named("first_stage")],
                    "begin": [0, 0, 0, 3],
                    "size": [-1, -1, -1, 4],
                },
                ("xmin, ymin, xmax, ymax of the rows",),
            ),
            "order": Item({"op": "Const", "dtype": "int32", "value": [1, 0, 3, 2]}),
            "order_axis": Item({"op": "Const", "dtype": "int32", "value": 3}),
            "first_corners": Item(order),
            kept: Item(
                {"op": "Reshape", "inputs": [named("first_corners")], "shape": [-1, most, 4]},
                ("ymin, xmin, ymax, xmax",),
            ),
        }
        if self._is_relative:
            nodes["proposals"] = Item({"op": "Mul", "inputs": [named(kept), named("window")]}, ("in pixels",))
        nodes |= {
            "proposals_relative": Item({"op": "Mul", "inputs": [named("proposals"), named("shares")]}),
            "proposals_pixels": Item({"op": "Mul", "inputs": [named("proposals_relative"), named("window")]}),
        }
        proposals = self.detector.proposals.value
        likes = {
            "proposals": proposals.kept,
            "proposals_relative": proposals.relative,
            "proposals_pixels": proposals.pixels,
        }
        for name, like in likes.items():
            nodes[name] = replace(nodes[name], value={**nodes[name].value, "like": str(like)})
        return nodes

    def _regions(self) -> dict[str, Item]:
        """Return the nodes that cut regions, each cut with the node in its place last."""
        most = self.detector.first.max_total.value
        nodes: dict[str, Item] = {}
        for number, cut in enumerate(self.detector.regions.value):
            boxes, name = self._boxes_of_cut(cut.boxes), self.cut_names[number]
            nodes |= self._cut(cut.features, boxes, name, most, self.detector.crop_size)
        return nodes

    @cached_property
    def cut_names(self) -> tuple[str, ...]:
        """Names of the nodes in the place of each cut."""
        count = len(self.detector.regions.value)
        return ("crops",) if count == 1 else tuple(f"crops_{number}" for number in range(count))

    def _boxes_of_cut(self, boxes: Ref) -> str:
        """Return the boxes that a cut reads: the proposals themselves, or one bin of each."""
        return str(boxes) if self.detector.position_sensitive else self.named("proposals_relative")

    def _cut(
        self, features: Ref, boxes: str, name: str, most: int, size: Finding[tuple[int, int]]
    ) -> dict[str, Item]:
        detector, named = self.detector, self.named
        height, width = size.value
        spec = detector.inference.spec(features)
        channels = spec.shape.dims[3] if spec.shape.dims is not None else None
        return {
            f"{name}_at": Item(
                {"op": "Reshape", "inputs": [boxes], "shape": [-1, most, 4, 1]},
                ("where regions are cut, relative to the input",),
            ),
            f"{name}_map": Item({"op": "Transpose", "inputs": [str(features)], "perm": [0, 3, 1, 2]}),
            f"{name}_cut": Item(
                {
                    "plugin": CROP,
                    "inputs": {"features": named(f"{name}_map"), "rois": named(f"{name}_at")},
                    "fields": {"crop_height": height, "crop_width": width},
                },
                (
                    *said((f"'{features}' is {spec}", *size.evidence)),
                    *self.options.config_comments(f"{name}.crop_height"),
                ),
            ),
            f"{name}_nchw": Item(
                {
                    "op": "Reshape",
                    "inputs": [named(f"{name}_cut")],
                    "shape": [-1, channels, height, width],
                }
            ),
            name: Item({"op": "Transpose", "inputs": [named(f"{name}_nchw")], "perm": [0, 2, 3, 1]}),
        }

    def _second_stage(self) -> dict[str, Item]:
        detector, named, second = self.detector, self.named, self.detector.second
        most = detector.first.max_total.value
        nodes = {
            "first_labels": Item(
                {
                    "op": "Slice",
                    "inputs": [named("first_stage")],
                    "begin": [0, 0, 0, 1],
                    "size": [-1, -1, -1, 1],
                },
                ("0 for a proposal, -1 for a row without one, whose scores count as 0",),
            ),
            "first_label": Item({"op": "Reshape", "inputs": [named("first_labels")], "shape": [-1, most, 1]}),
            "is_proposal": Item({"op": "Add", "inputs": [named("first_label"), named("one")]}),
        }
        clip, empty = CLIPPINGS[second.clip.value], int(second.drops_empty.value)
        if second.drops_empty_after.value:
            empty = 2
        fields = self._fields(
            "NMS", second, detector.classes.value, detector.box_sets.value == 1, clip, empty
        )
        nodes |= {
            "second_scores": Item(
                {"op": "Mul", "inputs": [str(detector.second_scores), named("is_proposal")]}
            ),
            "second_boxes": Item(
                {"op": "Mul", "inputs": [str(detector.second_boxes.decoded), named("shares")]},
                ("relative to the input",),
            ),
            "NMS": Item(
                {
                    "plugin": Item(SUPPRESSION),
                    "inputs": Item({"loc": named("second_boxes"), "conf": named("second_scores")}),
                    "fields": fields,
                },
                ("second stage", *said(second.clip.evidence)),
            ),
        }
        return nodes

    def _mask_stage(self) -> dict[str, Item]:
        """Return the nodes between the rows of the second stage and what the third one reads of them."""
        detector, named, stage = self.detector, self.named, self.detector.mask_stage
        if stage is None:
            return {}
        most = detector.second.max_total.value
        column = {"op": "Slice", "inputs": [named("NMS")]}
        corners = [named(name) for name in ("mask_rows", "order", "order_axis")]
        nodes = {
            "mask_rows": Item(
                {**column, "begin": [0, 0, 0, 3], "size": [-1, -1, -1, 4]},
                ("third stage: masks of the detections", *said(stage.evidence)),
            ),
            "mask_corners": Item({"op": "GatherV2", "inputs": corners}),
            "mask_boxes": Item({"op": "Reshape", "inputs": [named("mask_corners")], "shape": [-1, most, 4]}),
        }
        if stage.value.classes is not None:
            nodes |= {
                "mask_labels": Item({**column, "begin": [0, 0, 0, 1], "size": [-1, -1, -1, 1]}),
                "mask_labels_from_0": Item(
                    {"op": "Maximum", "inputs": [named("mask_labels"), named("zero")]},
                    ("rows without a detection have the label -1, of which there is no mask",),
                ),
                "mask_classes": Item(
                    {"op": "Reshape", "inputs": [named("mask_labels_from_0")], "shape": [-1, most]}
                ),
            }
        cut = stage.value.cut
        size = detector.size_of([cut])
        return nodes | self._cut(cut.features, named("mask_boxes"), "mask_crops", most, size)

    def _fields(self, node: str, stage: Stage, classes: int, shared: bool, clip: int, empty: int) -> Item:
        """Return the fields of a suppression, each with what the pipeline config says of it."""
        sigma = stage.soft_sigma
        values = {
            "classes": Item(classes),
            "background": Item(-1, ("scores have no column for the background",)),
            "shareLocation": Item(int(shared)),
            "coding": Item(0, ("boxes come decoded",)),
            "scoreConverter": Item(0, ("scores come as probabilities",)),
            "scoreScale": Item(1.0),
            "scoreThreshold": Item(stage.score_threshold.value, said(stage.score_threshold.evidence)),
            "scoreAtLeast": Item(SENSES[stage.score_sense.value]),
            "iouThreshold": Item(
                1.0 if sigma.value > 0 else stage.iou_threshold.value, said(stage.iou_threshold.evidence)
            ),
            "softSigma": Item(sigma.value),
            "classAgnostic": Item(0),
            "maxPerClass": Item(stage.max_per_class.value, said(stage.max_per_class.evidence)),
            "maxTotal": Item(stage.max_total.value, said(stage.max_total.evidence)),
            "clip": Item(clip),
            "dropEmpty": Item(empty, said(stage.drops_empty.evidence)),
        }
        return Item({name: self._compared(f"{node}.{name}", item) for name, item in values.items()})

    def _compared(self, key: str, item: Item) -> Item:
        """Return a value of the recipe with what the pipeline config says of it."""
        return replace(item, comments=(*item.comments, *self.options.config_comments(key)))

    @cached_property
    def replaced(self) -> Mapping[str, str]:
        """Namespaces to take out, each with the node in its place."""
        detector, graph = self.detector, self.detector.graph
        proposals = detector.proposals.value
        cuts = dict(zip(self.cut_names, detector.regions.value, strict=True))
        results = {
            "Input": detector.network_input.value,
            "proposals": proposals.kept,
            "proposals_relative": proposals.relative,
            "proposals_pixels": proposals.pixels,
            **{name: Ref(cut.node) for name, cut in cuts.items()},
            **self._ends_of_masks,
        }
        stay = self._staying({ref.node for ref in results.values()})
        kept = Ref(proposals.kept.node)
        ends = {
            "proposals": ([detector.first_boxes.decoded, detector.first_scores], [kept]),
            "proposals_relative": ([kept], [proposals.relative]),
            "proposals_pixels": ([proposals.relative], [proposals.pixels]),
            "NMS": (
                [detector.second_boxes.decoded, detector.second_scores],
                list(map(Ref, detector.suppressions.value)),
            ),
        }
        cores = {"Input": upstream(graph, [detector.network_input.value.node]) - stay}
        for name, (starts, stops) in ends.items():
            between = ahead_of(graph, starts) & upstream(graph, [ref.node for ref in stops])
            cores[name] = between - stay - set().union(*cores.values())
        cores |= {name: {cut.node} for name, cut in cuts.items()}
        for name, ref in self._ends_of_masks.items():
            cores = {other: core - {ref.node} for other, core in cores.items()} | {name: {ref.node}}
        nested = [("NMS", name) for name in self._ends_of_masks]
        found = shortest_namespaces(graph, cores, stay, nested)
        by_node: dict[str, list[str]] = {}
        for namespace, node in found.items():
            by_node.setdefault(node, []).append(namespace)
        for node, namespaces in by_node.items():
            if len(namespaces) > MOST and node in results and node != "Input":
                by_node[node] = [results[node].node]
        return {namespace: node for node, names in by_node.items() for namespace in names}

    @property
    def _ends_of_masks(self) -> dict[str, Ref]:
        """The tensors whose place nodes for the third stage take, by node."""
        stage = self.detector.mask_stage
        if stage is None:
            return {}
        found = {"mask_boxes": stage.value.boxes, "mask_crops": Ref(stage.value.cut.node)}
        return found if stage.value.classes is None else {**found, "mask_classes": stage.value.classes}

    def _staying(self, replaced: set[str]) -> set[str]:
        """Return the nodes that the recipe's nodes read, and what these depend on.

        ``replaced`` are nodes whose place others take.
        """
        detector = self.detector
        read = [
            detector.first_boxes.decoded,
            detector.first_scores,
            detector.second_boxes.decoded,
            detector.second_scores,
        ]
        for cut in detector.regions.value:
            read += [cut.features, *([cut.boxes] if detector.position_sensitive else [])]
        found: set[str] = set()
        waiting = [ref.node for ref in read]
        while waiting:
            name = waiting.pop()
            if name in found or name in replaced or detector.graph[name].op in PLACEHOLDERS:
                continue
            found.add(name)
            waiting += [ref.node for ref in detector.graph[name].inputs]
        return found

    def _namespaces(self) -> Block:
        return {
            namespace: Item(self.named(node), (_COMMENTS.get(node, "cuts regions out of a feature map"),))
            for namespace, node in self.replaced.items()
        }

    def _image(self) -> dict[str, Item]:
        try:
            image = self.detector.image.value
        except SurgeonError:
            return {}
        block = {**image_block(image), "size": Item(list(self.side))}
        return {key: self._compared(f"image.{key}", item) for key, item in block.items()}
