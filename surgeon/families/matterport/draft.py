"""The text of a recipe for one detector of Matterport's code, every value with its evidence."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from surgeon.diagnostics import Diagnostic, Severity, SurgeonError
from surgeon.families.family import BY_HAND, Draft, DraftOptions
from surgeon.families.finding import Finding
from surgeon.families.matterport.structure import Pyramid
from surgeon.families.parts.image_block import image_block
from surgeon.graph import DType, Ref
from surgeon.graph.op_sets import CONSTANTS, PLACEHOLDERS
from surgeon.language.writing import Block, Item, render, said

if TYPE_CHECKING:
    from surgeon.families.matterport.detector import MatterportMaskRcnn

SCALE = 8
"""Side of an anchor by the stride of its level: RPN_ANCHOR_SCALES of Matterport's default configuration."""

RATIOS = (0.5, 1, 2)
"""Ratios of width to height: RPN_ANCHOR_RATIOS of the default configuration."""

COLUMNS = ("ymin", "xmin", "ymax", "xmax", "class", "score")

LEAST_SCORE = 0.0071
"""EfficientNMS_TRT leaves out what is below a threshold from 0.007 on, and sorts it behind the rest else."""

MOST_CANDIDATES = 5000
"""What EfficientNMS_TRT compares at most."""

MOST_PROPOSED = 1024
"""What ProposalLayer_TRT compares at most."""

TENSORRT, UFF = "onnx@tensorrt", "uff"


def draft_recipe(detector: MatterportMaskRcnn, options: DraftOptions) -> Draft:
    """Write a recipe for a detector, every value literal, with its evidence.

    Raise SurgeonError D147 where a value is not told.
    """
    needed = [key for key in detector.keys if key != "masks" or detector.mask_crops is not None]
    problems = [found for key in needed if isinstance(found := detector.findings[key], SurgeonError)]
    unit = detector.findings["region_unit"]
    if not isinstance(unit, SurgeonError) and unit.value % 1:
        problems.append(
            detector.fail(
                "D113",
                f"regions of level 4 have a side of {unit.value:g} pixels; PyramidROIAlign_TRT takes a whole "
                "number",
                unit.evidence,
            )
        )
    if not problems and detector.max_per_class.value < detector.max_detections.value:
        problems = [_cap_of_a_class(detector)]
    if problems:
        first = problems[0].diagnostics[0]
        raise SurgeonError(
            Diagnostic(
                "D147",
                "the graph is a Mask R-CNN of Matterport's code, but not all of it is recognised: "
                f"{first.message}",
                detector.graph.source or None,
                first.notes,
                (*first.help, *BY_HAND),
            )
        )
    writer = _RecipeWriter(detector, options)
    return Draft(writer.name, writer.summary, writer.text(), tuple(writer.warnings()))


def _cap_of_a_class(detector: MatterportMaskRcnn) -> SurgeonError:
    one, all_classes = detector.max_per_class, detector.max_detections
    return detector.fail(
        "D113",
        f"a class has {one.value} detections at most, all classes {all_classes.value}; EfficientNMS_TRT has "
        "one cap for all",
        (*one.evidence, *all_classes.evidence),
        ["export the model with one DETECTION_MAX_INSTANCES for both"],
    )


@dataclass(frozen=True)
class _RecipeWriter:
    detector: MatterportMaskRcnn
    options: DraftOptions

    @cached_property
    def name(self) -> str:
        return self.options.name or PurePath(self.detector.graph.source).stem or self.detector.kind

    @cached_property
    def summary(self) -> str:
        """One line: what the network detects, and on what."""
        height, width = self._size
        what = "Mask R-CNN" if self._masks else "Faster R-CNN"
        return (
            f"{what} of Matterport's Keras code, {self.detector.classes.value - 1} classes, "
            f"{height} x {width} pixels"
        )

    def warnings(self) -> list[Diagnostic]:
        """Say what the graph does not tell and what some target does otherwise."""
        found = []
        if self.detector.anchors_input is not None:
            found.append(
                Diagnostic(
                    "D152",
                    "the graph does not tell the anchors, which are put into "
                    f"'{self.detector.anchors_input}'; {self._whose_anchors}",
                    self.detector.graph.source or None,
                    (f"scales {self._scales}, ratios {self._ratios}",),
                    (
                        "compare 'scales', 'ratios' and 'every' of the step 'anchor-input' with "
                        "RPN_ANCHOR_SCALES, RPN_ANCHOR_RATIOS and RPN_ANCHOR_STRIDE of the configuration",
                    ),
                    Severity.WARNING,
                )
            )
        return found

    def text(self) -> str:
        """Return the recipe."""
        outputs = ["detections", *([str(self.detector.masks.value)] if self._masks else [])]
        stated: dict[str, Any] = {"rows": "detections", "columns": list(COLUMNS)}
        if self._masks:
            stated |= {"masks": outputs[1], "mask_axes": list(self.detector.mask_axes)}
        block: dict[str, Item] = {
            "recipe": Item(1),
            "name": Item(self.name),
            "summary": Item(self.summary),
            "outputs": Item(outputs),
            "detections": Item(
                stated, ("what a row of the table holds; corners are relative to the network's input",)
            ),
            "nodes": Item(self._nodes(), spaced=True),
            "steps": Item(self._steps(), spaced=True),
            "image": Item(
                self._image(),
                (
                    "not in the graph: MEAN_PIXEL of the default configuration. Matterport's code resizes "
                    "with its proportions and pads; here the picture fills the input",
                ),
                spaced=True,
            ),
        }
        if self.options.labels:
            block["labels"] = Item(dict(self.options.labels))
        return render(self._heading(), block)

    def _heading(self) -> list[str]:
        source = PurePath(self.detector.graph.source).name or "a graph"
        return [
            f"{source}: {self.summary}. Written by 'surgeon init'.",
            "ONNX for ONNX Runtime keeps the network's own operations but for the last suppression. For "
            "TensorRT, plugins take the place of the regions' layers. docs/families/matterport.md tells "
            "the differences.",
        ]

    @property
    def _masks(self) -> bool:
        return self.detector.mask_crops is not None

    @property
    def _size(self) -> tuple[int, int]:
        return self.detector.picture_size.value

    @property
    def _scales(self) -> list[int]:
        return [SCALE * stride for stride in self.detector.strides.value]

    @property
    def _whose_anchors(self) -> str:
        if self.detector.anchors_of_cell.value == len(RATIOS):
            return "the recipe has those of Matterport's default configuration"
        return (
            "the recipe has the scales of Matterport's default configuration, and as many ratios as a cell "
            "has anchors, which are made up: powers of 2"
        )

    @property
    def _ratios(self) -> list[float]:
        """The ratios of the default configuration, or as many powers of 2 as a cell has anchors."""
        count = self.detector.anchors_of_cell.value
        if count == len(RATIOS):
            return list(RATIOS)
        return [2.0 ** (number - (count - 1) / 2) for number in range(count)]

    def _nodes(self) -> Block:
        return {
            **self._detection_nodes(),
            **self._proposal_nodes(),
            **self._crop_nodes(),
            **self._nodes_of_uff(),
        }

    def _detection_nodes(self) -> Block:
        """Return the last suppression, and what makes the table of it."""
        detector = self.detector
        part = detector.detection_layer
        probabilities = str(part.probabilities)
        # The best class of a region has at least an even share: nothing is lost by a threshold below that.
        least = max(detector.score_threshold.value, min(LEAST_SCORE, 0.99 / detector.classes.value))
        fields: Block = {
            "score_threshold": self._field(detector.score_threshold, least),
            "iou_threshold": self._field(detector.iou_threshold),
            "max_output_boxes": self._field(detector.max_detections),
            "background_class": Item(0),
            "score_activation": Item(0, (f"'{probabilities}' are probabilities",)),
            "box_coding": Item(0, ("corners",)),
        }
        op = _operation
        labels = (detector.inference.spec(part.labels).dtype or DType.INT64).value
        return {
            "class_numbers": Item(op("Const", value=list(range(detector.classes.value)), dtype=labels)),
            "own_class": Item(
                op("ExpandDims", [str(part.labels)], axis=1),
                ("each region counts for its best class alone, the first of equal ones",),
            ),
            "is_best": Item(op("Equal", ["own_class", "class_numbers"])),
            "is_best_number": Item(op("Cast", ["is_best"], attrs={"DstT": "float32"})),
            "best_class_scores": Item(op("Mul", [probabilities, "is_best_number"])),
            "region_boxes": Item(
                op("ExpandDims", [str(part.boxes)], axis=0),
                ("boxes of the regions' best classes, decoded and clipped",),
            ),
            "suppressed": Item(
                {
                    "plugin": Item("EfficientNMS_TRT"),
                    "inputs": Item({"boxes": "region_boxes", "scores": "best_class_scores"}),
                    "fields": Item(fields),
                },
                (f"in the place of the loop over classes with '{part.suppression}'",),
                spaced=True,
            ),
            "no_score": Item(op("Const", value=0.0, dtype="float32")),
            "is_detection": Item(op("Greater", ["suppressed:scores", "no_score"])),
            "class_number": Item(op("Cast", ["suppressed:classes"], attrs={"DstT": "float32"})),
            "no_class": Item(op("Const", value=-1.0, dtype="float32"), ("of rows without a detection",)),
            "class_or_none": Item(op("SelectV2", ["is_detection", "class_number", "no_class"])),
            "class_column": Item(op("ExpandDims", ["class_or_none"], axis=2)),
            "score_column": Item(op("ExpandDims", ["suppressed:scores"], axis=2)),
            "detections": Item(op("ConcatV2", ["suppressed:boxes", "class_column", "score_column"], axis=2)),
        }

    def _proposal_nodes(self) -> Block:
        """Return the first suppression as TensorRT's plugin, of all anchors."""
        detector = self.detector
        layer = detector.proposal_layer
        count = detector.anchor_count.value
        op = _operation
        halves = {
            "anchor_low": (str(layer.anchors), 0),
            "anchor_high": (str(layer.anchors), 2),
            "delta_middle": (str(layer.scaled), 0),
            "delta_size": (str(layer.scaled), 2),
        }
        nodes: dict[str, Item] = {
            name: Item(op("Slice", [source], begin=[0, 0, at], size=[1, count, 2]))
            for name, (source, at) in halves.items()
        }
        nodes["anchor_low"] = Item(
            nodes["anchor_low"].value,
            ("for TensorRT: all anchors are decoded, since its TopK takes no more than 3840 rows",),
            spaced=True,
        )
        nodes |= {
            "half": Item(op("Const", value=0.5, dtype="float32")),
            "one": Item(op("Const", value=1.0, dtype="float32")),
            "anchor_size": Item(op("Sub", ["anchor_high", "anchor_low"])),
            "anchor_half": Item(op("Mul", ["anchor_size", "half"])),
            "anchor_middle": Item(op("Add", ["anchor_low", "anchor_half"])),
            "moved": Item(op("Mul", ["delta_middle", "anchor_size"])),
            "box_middle": Item(op("Add", ["anchor_middle", "moved"])),
            "growth": Item(op("Exp", ["delta_size"])),
            "box_size": Item(op("Mul", ["anchor_size", "growth"])),
            "box_half": Item(op("Mul", ["box_size", "half"])),
            "box_low": Item(op("Sub", ["box_middle", "box_half"])),
            "box_high": Item(op("Add", ["box_low", "box_size"])),
            "boxes": Item(op("ConcatV2", ["box_low", "box_high"], axis=2)),
            "boxes_below_one": Item(op("Minimum", ["boxes", "one"])),
            "boxes_clipped": Item(op("Maximum", ["boxes_below_one", "no_score"])),
            "object_scores": Item(op("ExpandDims", [str(layer.foreground)], axis=2)),
            "regions": Item(
                {
                    "plugin": Item("EfficientNMS_TRT"),
                    "inputs": Item({"boxes": "boxes_clipped", "scores": "object_scores"}),
                    "fields": Item(
                        {
                            "score_threshold": Item(0.0),
                            "iou_threshold": self._field(detector.proposal_iou),
                            "max_output_boxes": self._field(detector.proposal_count),
                            "background_class": Item(-1),
                            "score_activation": Item(0),
                            "box_coding": Item(0),
                        }
                    ),
                },
                self._about_candidates(),
                spaced=True,
            ),
        }
        return nodes

    def _about_candidates(self) -> tuple[str, ...]:
        wanted = self.detector.candidates
        return (
            f"it compares the best {MOST_CANDIDATES} anchors, the graph {wanted.value} "
            f"({wanted.evidence[0]}); both give the same where the first "
            f"{min(MOST_CANDIDATES, wanted.value)} leave {self.detector.proposal_count.value} regions",
        )

    def _crop_nodes(self) -> Block:
        """Return what cuts out regions as TensorRT's plugin."""
        first = self.detector.classifier_crops.channels_first
        nodes: dict[str, Item] = {}
        if not first:
            for level, ref in zip(
                self.detector.levels.value, self.detector.classifier_crops.maps, strict=True
            ):
                nodes[f"p{level}"] = Item(_operation("Transpose", [str(ref)], perm=[0, 3, 1, 2]))
        boxes = ("regions:boxes", str(self.detector.mask_crops.regions) if self.detector.mask_crops else "")
        for (name, crops), source in zip(self._layers(), boxes, strict=False):
            nodes |= self._crop_node(name, crops, source)
        return nodes

    def _layers(self, suffix: str = "") -> list[tuple[str, Pyramid]]:
        layers = [(f"class_crops{suffix}", self.detector.classifier_crops)]
        if self.detector.mask_crops is not None:
            layers.append((f"mask_crops{suffix}", self.detector.mask_crops))
        return layers

    def _nodes_of_uff(self) -> Block:
        """Return NVIDIA's plugins for these models, which UFF needs."""
        detector = self.detector
        layer, part = detector.proposal_layer, detector.detection_layer
        regions, classes = detector.proposal_count.value, detector.classes.value
        op = _operation
        most = min(detector.candidates.value, MOST_PROPOSED)
        nodes: dict[str, Item] = {
            "proposal_scores": Item(
                op("ExpandDims", [str(layer.scores)], axis=3), ("for UFF, NVIDIA's own plugins",), spaced=True
            ),
            "proposal_deltas": Item(op("ExpandDims", [str(layer.deltas)], axis=3)),
            "proposals": Item(
                {
                    "plugin": Item("ProposalLayer_TRT"),
                    "inputs": Item({"scores": "proposal_scores", "deltas": "proposal_deltas"}),
                    "fields": Item(
                        {
                            "prenms_topk": Item(
                                most,
                                (
                                    f"the graph compares {detector.candidates.value}, the plugin "
                                    f"{MOST_PROPOSED} at most",
                                ),
                            ),
                            "keep_topk": self._field(detector.proposal_count),
                            "iou_threshold": self._field(detector.proposal_iou),
                            "image_size": Item([3, *self._size]),
                        }
                    ),
                },
                ("it makes the anchors itself: those of the default configuration",),
            ),
        }
        for (name, crops), source in zip(
            self._layers("_uff"), ("proposals:rois", "detection_boxes:boxes"), strict=False
        ):
            nodes |= self._crop_node(name, crops, source)
        nodes |= {
            "detection_deltas": Item(
                op("Reshape", [str(part.deltas)], shape=[1, regions, 4 * classes, 1, 1]), spaced=True
            ),
            "detection_scores": Item(
                op("Reshape", [str(part.probabilities)], shape=[1, regions, classes, 1, 1])
            ),
            "detections_uff": Item(
                {
                    "plugin": Item("DetectionLayer_TRT"),
                    "inputs": Item(
                        {"deltas": "detection_deltas", "scores": "detection_scores", "rois": "proposals:rois"}
                    ),
                    "fields": Item(
                        {
                            "num_classes": self._field(detector.classes),
                            "keep_topk": self._field(detector.max_detections),
                            "score_threshold": self._field(detector.score_threshold),
                            "iou_threshold": self._field(detector.iou_threshold),
                        }
                    ),
                },
                ("it rounds scores, by 0.00006 at most",),
            ),
        }
        if self._masks:
            nodes["detection_boxes"] = Item(
                {"plugin": "SpecialSlice_TRT", "inputs": {"detections": "detections_uff"}}
            )
        return nodes

    def _crop_node(self, name: str, crops: Pyramid, boxes: str) -> Block:
        height, width = self._size
        first = crops.channels_first
        whole = round(self.detector.region_unit.value)
        maps = [str(ref) for ref in crops.maps] if first else [f"p{level}" for level in crops.levels]
        ports = {f"p{number}": source for number, source in enumerate(maps, 2)}
        fields: Block = {
            "pooled_size": Item(crops.side[0], (f"'{crops.crops[0]}'",)),
            "fpn_scale": Item(whole, said(self.detector.region_unit.evidence)),
            "image_size": Item(
                [2 * height, width],
                (
                    "twice the height: the plugin changes levels where a region's side is a power of 2, the "
                    "graph rounds, at the root of 2 less",
                ),
            ),
            "roi_coords_absolute": Item(0),
            "roi_coords_swap": Item(1, ("y1, x1, y2, x2",)),
            "roi_coords_plusone": Item(0),
            "roi_coords_transform": Item(-1, ("corners on the middle of the outermost cells",)),
            "sampling_ratio": Item(1),
            "legacy": Item(0),
        }
        plugin = Item(
            {
                "plugin": Item("PyramidROIAlign_TRT"),
                "inputs": Item({"rois": boxes, **ports}),
                "fields": Item(fields),
            },
            (f"in the place of '{crops.crops[0]}' and the like",),
            spaced=True,
        )
        if first:
            return {name: plugin}
        return {
            f"{name}_channels_first": plugin,
            name: Item(_operation("Transpose", [f"{name}_channels_first"], perm=[0, 1, 3, 4, 2])),
        }

    def _steps(self) -> list[Item]:
        detector = self.detector
        height, width = self._size
        picture = str(detector.picture.value)
        shape = [1, 3, height, width] if detector.channels_first.value else [1, height, width, 3]
        found = [Item(dict(step)) for step in self.options.first_steps]
        found.append(
            Item(
                {"step": "set-shape", "nodes": {picture: shape}},
                ("the graph computes one picture at a time (IMAGES_PER_GPU = 1)",),
            )
        )
        if detector.meta_input is not None:
            found.append(
                Item(
                    {
                        "step": "fix-inputs",
                        "values": {detector.meta_input: [self._meta(detector.meta_input)]},
                    },
                    ("size of the picture, and the window that it fills: the whole input",),
                )
            )
        if detector.anchors_input is not None:
            found.append(
                Item(
                    {
                        "step": "anchor-input",
                        "node": detector.anchors_input,
                        "size": [height, width],
                        "strides": list(detector.strides.value),
                        "scales": self._scales,
                        "ratios": self._ratios,
                    },
                    (
                        *said(detector.strides.evidence),
                        f"scales and ratios are not in the graph; {self._whose_anchors}; "
                        f"{detector.anchors_of_cell.evidence[0]} are {detector.anchors_of_cell.value} ratios",
                    ),
                )
            )
        found.append(Item("forward-identities"))
        found += self._steps_of(TENSORRT, "regions:boxes", self._layers())
        found += self._steps_of_uff()
        found.append(
            Item(
                {
                    "step": "collapse",
                    "id": "detections",
                    "take": {f"{detector.detection_layer.table}?": "detections"},
                }
            )
        )
        found.append(Item("prune", ("the loop over classes, and what else no output needs",)))
        return found

    def _steps_of(self, target: str, regions: str, layers: list[tuple[str, Pyramid]]) -> list[Item]:
        """Return the steps that put plugins in the place of the regions' layers for a target."""
        proposed = str(self.detector.proposal_layer.regions)
        node = regions.partition(":")[0]
        when = {"target": target}
        first = {"step": "collapse", "id": node, "take": {proposed: node}, "outputs": {proposed: regions}}
        return [
            Item({**first, "when": when}, (f"for {target}, plugins in the place of the regions' layers",)),
            *(
                Item(
                    {
                        "step": "collapse",
                        "id": name,
                        "take": self._between(crops.pooled, (crops.regions, *crops.maps)),
                        "into": name,
                        "when": when,
                    }
                )
                for name, crops in layers
            ),
        ]

    def _steps_of_uff(self) -> list[Item]:
        part = self.detector.detection_layer
        layers = self._layers("_uff")
        sources = (self.detector.proposal_layer.regions, part.probabilities, part.deltas)
        when = {"target": UFF}
        table = Item(
            {
                "step": "collapse",
                "id": "detections-uff",
                "take": self._between(part.table, sources),
                "into": "detections_uff",
                "when": when,
            }
        )
        renamed = Item({"step": "rename", "nodes": {"detections_uff": "detections"}, "when": when})
        first, *masks = self._steps_of(UFF, "proposals:rois", layers)
        return [first, masks[0], table, *masks[1:], renamed]

    def _between(self, result: Ref, sources: tuple[Ref, ...]) -> list[str]:
        """Return the layer between tensors and what it computes: its namespace, else its nodes."""
        graph = self.detector.graph
        ends = {ref.node for ref in sources}
        inside: set[str] = set()
        waiting = [result.node]
        while waiting:
            name = waiting.pop()
            if name not in inside and name not in ends and graph[name].op not in CONSTANTS | PLACEHOLDERS:
                inside.add(name)
                waiting += [ref.node for ref in graph[name].inputs]
        names = [node.name for node in graph if node.name in inside]
        scope = _namespace([name.split("/") for name in names])
        apart = not any(f"{end}/".startswith(f"{scope}/") for end in ends)
        # An earlier step takes out what only passes a tensor on.
        return [scope] if scope and apart else [f"{name}?" for name in names]

    def _meta(self, name: str) -> list[int]:
        """Return what is known of a picture that fills the input, in the places where the graph reads it."""
        detector = self.detector
        dims = detector.inference.spec(Ref(name)).shape.dims or ()
        slices = detector.meta_slices
        length = dims[1] if len(dims) > 1 and dims[1] is not None else max(end for _, end in slices)
        values = [0] * length
        for begin, end in slices:
            own = [*self._size, 3] if end - begin == 3 else [0, 0, *self._size]
            values[begin:end] = own
        return values

    def _image(self) -> Block:
        return image_block(self.detector.image.value)

    def _field(self, finding: Finding[Any], value: Any = None) -> Item:
        return Item(finding.value if value is None else value, said(finding.evidence))


def _namespace(paths: list[list[str]]) -> str:
    """Return the namespace that all of these names are in; empty where there is none."""
    shared = [parts[0] for parts in zip(*paths, strict=False) if len(set(parts)) == 1]
    longest = min(len(path) for path in paths) - 1
    return "/".join(shared[:longest])


def _operation(op: str, inputs: list[str] | None = None, **values: Any) -> dict[str, Any]:
    return {"op": op, **({"inputs": inputs} if inputs else {}), **values}
