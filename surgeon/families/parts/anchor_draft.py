"""The text of a recipe for a detector whose encodings and scores are single tensors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import PurePath

from surgeon.diagnostics import Diagnostic, Severity, SurgeonError
from surgeon.display import plural
from surgeon.families.context import DerivationContext, input_spec
from surgeon.families.family import BY_HAND, Draft, DraftOptions, not_all_recognised
from surgeon.families.fields import derive_fields
from surgeon.families.finding import Finding
from surgeon.families.parts.anchor_detector import AnchorBoxDetector
from surgeon.families.parts.image_block import image_block
from surgeon.families.parts.labels import named_classes
from surgeon.families.parts.native_detection_fields import DERIVATIONS
from surgeon.families.postprocessing import differences
from surgeon.graph.op_sets import PASSED_OVER
from surgeon.graph.reach import upstream
from surgeon.language import Image
from surgeon.language.loading import parse_recipe
from surgeon.language.writing import Block, Item, render, said

INPUT, PRIOR, LOC, CONF, NMS = "Input", "prior_boxes", "box_encodings", "class_scores", "NMS"
"""What the recipe calls its nodes; a name that the graph has already is lengthened."""

_FIELDS = (
    "shareLocation",
    "varianceEncodedInTarget",
    "backgroundLabelId",
    "numClasses",
    "topK",
    "keepTopK",
    "confidenceThreshold",
    "nmsThreshold",
    "inputOrder",
    "confSigmoid",
    "isNormalized",
    "codeType",
)
"""Fields of NMS_TRT, all derived."""

_NOT_NATIVE = ("topK", "inputOrder")
"""Fields of NMS_TRT that SurgeonDetection has no use for."""

_DEPTH = 12


def draft_recipe(detector: AnchorBoxDetector, options: DraftOptions) -> Draft:
    """Write a recipe, every value literal, with its evidence.

    Raise SurgeonError D147 where a part is not recognised, or no plugin computes it.
    """
    _check_parts(detector)
    diagnostics: tuple[Diagnostic, ...] = ()
    image: Finding[Image] | None = None
    try:
        image = detector.image
    except SurgeonError as exc:
        diagnostics = tuple(replace(each, severity=Severity.WARNING) for each in exc.diagnostics)
    writer = _RecipeWriter(detector, options, image)
    return Draft(writer.name, writer.summary, writer.text(), (*diagnostics, *writer.labels[1]))


def _check_parts(detector: AnchorBoxDetector) -> None:
    problems: dict[str, Diagnostic] = {}
    known: list[str] = []
    for key in detector.needed:
        try:
            value = detector.finding(key).value
        except SurgeonError as exc:
            problems.update((f"{each.code} {each.message}", each) for each in exc.diagnostics)
        else:
            shown = plural(len(value), "anchor") if key == "anchors" else value
            known.append(f"{key.replace('_', ' ')}: {shown}")
    if problems:
        found = list(problems.values())
        notes, help = (f"recognised: {text:.160}" for text in known), (*found[0].help, *BY_HAND)
        raise SurgeonError(not_all_recognised(detector, found, notes, help), *found)


@dataclass(frozen=True)
class _RecipeWriter:
    """The text of a recipe for ``detector``; ``image`` is None where it is not known."""

    detector: AnchorBoxDetector
    options: DraftOptions
    image: Finding[Image] | None

    @property
    def name(self) -> str:
        return self.options.name or self.detector.kind

    @property
    def summary(self) -> str:
        """One line: kind, classes and the input's size."""
        classes = plural(self.detector.object_classes.value, "class", "classes")
        height, width = self.detector.size
        return f"{self.detector.kind} for {classes} at {height} x {width}"

    def text(self) -> str:
        """Return the recipe."""
        recipe = parse_recipe(render((), self._block({})))
        context = DerivationContext(recipe, self.detector.graph, self.options.catalog, self.options.most_rows)
        derived: dict[tuple[str, str], Item] = {}
        for name, definition in recipe.nodes.items():
            if definition.op == "Placeholder":
                spec = input_spec(context, name, definition)
                dtype = spec.value.dtype
                derived[name, "shape"] = Item(list(spec.value.shape.dims or ()), said(spec.evidence))
                derived[name, "dtype"] = Item("float32" if dtype is None else dtype.value)
            elif definition.plugin is not None:
                fields, found = derive_fields(context, name)
                derived |= {
                    (name, each.field): Item(fields[each.field], said(each.evidence)) for each in found
                }
        return render(self._heading(), self._block(derived))

    def _heading(self) -> tuple[str, ...]:
        source = PurePath(self.detector.graph.source).name or "a graph"
        return (
            f"{source}: {self.summary}. Written by 'surgeon init'.",
            "Every value was read off the graph; above it stand the nodes and constants that show it. 'auto' "
            "instead of a value derives it again.",
        )

    def _block(self, derived: Mapping[tuple[str, str], Item]) -> Block:
        nms = self._named(NMS)
        rows = f"{nms}: image, label, score, xmin, ymin, xmax, ymax a row; {nms}:1 is their number"
        block = {
            "recipe": Item(1),
            "name": Item(self.name),
            "summary": Item(self.summary),
            "outputs": Item([nms], (rows, "boxes are relative to the network's input", *self._counting)),
            **self._choice(),
            "nodes": Item(self._nodes(derived), spaced=True),
            "namespaces": Item(self._namespaces(), spaced=True),
            "image": self._image(),
        }
        labels, _ = self.labels
        if labels:
            named = {number: Item(label) for number, label in labels.items()}
            block["labels"] = Item(named, ("names of the numbers that detections carry",), spaced=True)
        engine = {"precision": "fp16", "max_batch": 1, "workspace": "1GiB"}
        block["engine"] = Item(engine, ("not from the graph: how an engine is built",), spaced=True)
        return block

    @cached_property
    def labels(self) -> tuple[dict[int, str], tuple[Diagnostic, ...]]:
        """The names of the classes by label, and a warning where they are not as many."""
        shift = 0 if self.detector.background.value >= 0 else -1
        return named_classes(self.options.labels, self.detector.object_classes, shift)

    @property
    def _counting(self) -> tuple[str, ...]:
        try:
            offset = self.detector.label_offset
        except SurgeonError:
            return ()
        return (f"labels are columns of the scores: {offset.evidence[0]}",) if offset.value else ()

    def _choice(self) -> dict[str, Item]:
        """Return the recipe's key ``suppression``, where no NMS_TRT will do, else its key ``decode``."""
        if self._lacking and not self._native_alone:
            why = ("SurgeonDetection in the place of NMS_TRT", *self._lacking)
            return {"suppression": Item("native", why)}
        why = ("operations in front of the plugin decode boxes, and hold the anchors",)
        clip = self.detector.clip
        if clip.value == "after" or self._native_alone:
            return {}
        late = f"the graph clips boxes before suppression, NMS_TRT after it: {clip.evidence[0]}"
        return {"decode": Item("graph", (*why, late))}

    @cached_property
    def _without_anchors(self) -> bool:
        """Whether the plugin takes boxes as they are."""
        return self.detector.postprocessing.coding.value == "none"

    @cached_property
    def _native_alone(self) -> bool:
        """Whether no field of NMS_TRT says what the graph does: boxes as they are, and soft suppression."""
        return self._without_anchors or self.detector.postprocessing.soft_sigma.value > 0

    @cached_property
    def _lacking(self) -> tuple[str, ...]:
        """What the graph does that NMS_TRT does not, whatever its fields are."""
        clip = self.detector.clip
        if clip.value != "none":
            return self._impossible
        clips = f"the graph clips no boxes, NMS_TRT those that it gives: {clip.evidence[0]}"
        return (*self._impossible, clips)

    @cached_property
    def _impossible(self) -> tuple[str, ...]:
        """What NMS_TRT refuses."""
        found = differences(self.detector.postprocessing, ("class_agnostic", "soft_sigma"))
        return tuple(f"{difference}: {finding.evidence[0]}" for _, difference, finding in found)

    @cached_property
    def _names(self) -> Mapping[str, str]:
        return {name: self._free(name) for name in (INPUT, PRIOR, LOC, CONF, NMS)}

    def _free(self, name: str) -> str:
        taken = {node.name.partition("/")[0] for node in self.detector.graph}
        while name in taken:
            name += "_plugin"
        return name

    def _named(self, name: str) -> str:
        return self._names[name]

    def _nodes(self, derived: Mapping[tuple[str, str], Item]) -> Block:
        detector = self.detector
        count, classes = detector.plugin_rows, detector.classes.value
        boxes, scores = map(str, detector.plugin_reads)
        ref = detector.network_input.value
        dims = detector.inference.spec(ref).shape.dims or ()
        named = self._named
        like: dict[str, Item] = {"op": Item("Placeholder"), "like": Item(str(ref))}
        stated = {key: derived[named(INPUT), key] for key in ("shape", "dtype") if derived}
        stated = stated or {"shape": Item([1, *dims[1:]])}
        nodes = {
            named(INPUT): Item(like | stated, said(detector.network_input.evidence[:1])),
        }
        anchors = ("anchors and variances, as the graph computes them", *said(detector.anchors.evidence))
        if not self._without_anchors:
            nodes[named(PRIOR)] = Item({"op": "Const", "value": "auto"}, anchors)
        for name, node in detector.box_nodes(named(LOC)).items():
            nodes[name] = Item(dict(node), said(detector.coding.evidence[:1]))
            boxes = name
        nodes[named(LOC)] = Item(
            {"op": "Reshape", "inputs": [boxes], "shape": [-1, 4 * count, 1, 1]},
            said((detector.coding.evidence[0], detector.count.evidence[0])),
        )
        for name, node in detector.score_nodes(named(CONF)).items():
            nodes[name] = Item(dict(node), said(detector.class_agnostic.evidence))
            scores = name
        nodes[named(CONF)] = Item(
            {"op": "Reshape", "inputs": [scores], "shape": [-1, classes * count, 1, 1]},
            said(detector.classes.evidence),
        )
        fields = {key: derived.get((named(NMS), key)) or Item("auto") for key in self._fields}
        inputs = {"loc": named(LOC), "prior": named(PRIOR), "conf": named(CONF)}
        if self._without_anchors:
            del inputs["prior"]
        plugin = "SurgeonDetection" if self._native_alone else "NMS_TRT"
        nodes[named(NMS)] = Item(
            {"plugin": Item(plugin), "inputs": Item(inputs), "fields": Item(fields)},
            ("suppresses overlapping boxes",),
        )
        return nodes

    @cached_property
    def _fields(self) -> tuple[str, ...]:
        if self._native_alone:
            return tuple(DERIVATIONS)
        if not self._impossible:
            return _FIELDS
        return tuple(key for key in _FIELDS if key not in _NOT_NATIVE)

    def _namespaces(self) -> Block:
        """Return what goes: the picture's placeholder, and what suppresses boxes."""
        detector = self.detector
        structure = detector.structure
        reads = [ref.node for ref in detector.plugin_reads]
        block = {
            detector.network_input.value.node: Item(self._named(INPUT), ("the prepared picture",)),
        }
        stay = upstream(detector.graph, reads)
        taken = _prefixes(stay)
        # What only passes a tensor on is forwarded before namespaces are taken out.
        computing = (name for name in structure.loop if detector.graph[name].op not in PASSED_OVER)
        for name in sorted(computing):
            block.setdefault(
                _shortest(name, taken), Item(self._named(NMS), ("suppression, in a loop over pictures",))
            )
        return block

    def _image(self) -> Item:
        if self.image is None:
            comment = "how a picture becomes the input is not in the graph, and not known: write it here"
            return Item(None, (comment,), spaced=True)
        return Item(image_block(self.image.value), said(self.image.evidence), spaced=True)


def _prefixes(names: set[str]) -> set[str]:
    """Return every namespace around the names, and the names (membership only)."""
    found: set[str] = set()
    for name in names:
        parts = name.split("/", _DEPTH)
        found.update("/".join(parts[:end]) for end in range(1, len(parts) + 1))
    return found


def _shortest(name: str, taken: set[str]) -> str:
    parts = name.split("/", _DEPTH)
    return next(
        (prefix for end in range(1, len(parts) + 1) if (prefix := "/".join(parts[:end])) not in taken), name
    )
