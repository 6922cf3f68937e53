"""The text of a recipe for one detector.

What goes, what takes its place, and every value with its evidence.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import PurePath
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from surgeon.diagnostics import Diagnostic, Severity, SurgeonError
from surgeon.display import plural
from surgeon.families.context import Derivation, DerivationContext, input_spec
from surgeon.families.family import Draft, DraftOptions, not_all_recognised
from surgeon.families.fields import derive_known_fields
from surgeon.families.finding import Finding
from surgeon.families.parts.grid_fit import FITTED, GridFit, fit_grid
from surgeon.families.parts.image_block import image_block
from surgeon.families.parts.upsampling import Upsampling, upsamplings
from surgeon.families.postprocessing import differences
from surgeon.families.ssd.namespaces import (
    DetectorTensors,
    ReplacedNamespace,
    replaced_namespaces,
    shared_constants,
)
from surgeon.graph import Graph, Ref
from surgeon.language import Image
from surgeon.language.document import to_plain
from surgeon.language.layers import default_steps
from surgeon.language.loading import parse_recipe
from surgeon.language.writing import Block, Item, Parameter, render, said

if TYPE_CHECKING:
    from surgeon.families.ssd.detector import SingleShotDetector

INPUT, GRID, PRIOR, LOC, CONF, NMS = (
    "Input",
    "GridAnchor",
    "concat_priorbox",
    "concat_box_loc",
    "concat_box_conf",
    "NMS",
)
JOINED, SOFTMAX = "class_scores", "class_probabilities"
"""What the recipe calls its nodes; a name that the graph has already is lengthened."""

NMS_FIELDS: Mapping[str, tuple[Any, str]] = {
    "shareLocation": (1, "the classes share the box of an anchor"),
    "varianceEncodedInTarget": (0, "the plugin multiplies encodings by the variances"),
    "backgroundLabelId": ("auto", ""),
    "numClasses": ("auto", ""),
    "topK": ("auto", ""),
    "keepTopK": ("auto", ""),
    "confidenceThreshold": ("auto", ""),
    "nmsThreshold": ("auto", ""),
    "inputOrder": ("auto", ""),
    "confSigmoid": ("auto", ""),
    "isNormalized": (1, "boxes are relative to the picture"),
    "codeType": (3, "centre and size, in the order ty, tx, th, tw"),
}
"""Fields of NMS_TRT: derived, or following from the family of detectors, with the reason."""

_ADDED: Mapping[str, str] = {
    "nmsThreshold": "iou_threshold",
    "confidenceThreshold": "score_threshold",
    "keepTopK": "max_detections",
    "backgroundLabelId": "background",
}
"""Fields of NMS_TRT that parameters hold where the recipe adds suppression."""

NUMBERS = ("score_threshold", "iou_threshold", "max_per_class", "max_total")
"""Findings that only fill in fields: a recipe is of use without one, for its author may know the number."""

ROUNDING = ("FakeQuantWithMinMaxVars", "FakeQuantWithMinMaxArgs", "FakeQuantWithMinMaxVarsPerChannel")
"""Operations that round numbers as 8-bit arithmetic would."""

STEP_NOTES = {
    "remove-asserts": "the exporter's checks",
    "forward-identities": "what only passes a tensor on",
    "collapse": "here 'nodes' and 'namespaces' above are applied",
    "addv2": "exporters from TensorFlow 1.15 on; UFF knows the older names",
    "prune": "what no output needs any more",
}


def draft_recipe(
    detector: SingleShotDetector,
    options: DraftOptions,
    added: Mapping[str, Any] = MappingProxyType({}),
    original: Graph | None = None,
) -> Draft:
    """Write a recipe for a detector, every value literal, with its evidence.

    ``added`` are the recipe's parameters where it adds suppression; ``original`` is then the graph without.

    A number of ``NUMBERS`` that the graph does not tell is left open: its fields stay ``auto``, with a
    comment, and the draft has an error D147 for them. Raise SurgeonError D147 where another part is not
    recognised, or no plugin computes it.
    """
    check_parts(detector)
    labels, unfit = fit_labels(options.labels, detector)
    image, unknown = _image(detector)
    options = replace(options, labels=labels)
    writer = _RecipeWriter(detector, options, image, added, original or detector.graph)
    diagnostics = (*unfit, *unknown, *writer.rounding_warnings(), *writer.blank_warnings())
    return Draft(writer.name, writer.summary, writer.text(), diagnostics)


def check_parts(detector: SingleShotDetector) -> None:
    """Raise SurgeonError D147, followed by what is wrong, where a part that is not a number of ``NUMBERS`` is
    not recognised, or no plugin computes it.
    """
    known: list[str] = []
    problems: dict[str, Diagnostic] = {}
    unknown = _image(detector)[1]
    for key in detector.needed:
        if key in NUMBERS:
            continue
        try:
            value = detector.finding(key).value
        except SurgeonError as exc:
            problems.update((f"{d.code} {d.message}", d) for d in exc.diagnostics)
        else:
            known.append(
                f"{key.replace('_', ' ')}: "
                f"{plural(len(value), 'box', 'boxes') if key == 'anchors' else value}"
            )
    if problems:
        # A resizer without a fixed size leaves sizes unknown all over: then it is the first to be named.
        found = [*unknown, *problems.values()]
        raise SurgeonError(
            not_all_recognised(detector, found, (f"recognised: {text:.160}" for text in known)),
            *(replace(each, severity=Severity.ERROR) for each in found),
        )


def fit_labels(
    labels: Mapping[int, str], detector: SingleShotDetector
) -> tuple[dict[int, str], tuple[Diagnostic, ...]]:
    """Return the labels by the number that a detection carries, and a warning where they do not fit the
    detector.
    """
    if not labels:
        return {}, ()
    count = detector.object_classes
    # Without a background's column, the first class is number 0 in the detections.
    shift = 0 if detector.background.value >= 0 else -1
    named = {number + shift: label for number, label in labels.items() if number <= count.value}
    highest = max(labels)
    if highest == count.value:
        return named, ()
    if highest < count.value:
        labels_end = f"the labels end at class {highest}"
    else:
        labels_end = f"the labels go up to class {highest}"
    warning = Diagnostic(
        "D145",
        f"{labels_end}; the detector has {count.value} classes without the background",
        None,
        count.evidence,
        ("check that the label map is the one of the training",),
        Severity.WARNING,
    )
    return named, (warning,)


def _image(detector: SingleShotDetector) -> tuple[Finding[Image] | None, tuple[Diagnostic, ...]]:
    """Return how a picture becomes the input, or the reason why that is not known, as warnings."""
    try:
        return detector.image, ()
    except SurgeonError as exc:
        return None, tuple(replace(each, severity=Severity.WARNING) for each in exc.diagnostics)


@dataclass(frozen=True)
class _RecipeWriter:
    """The text of a recipe for ``detector``; ``image`` is None where it is not known.

    ``added`` are parameters of suppression that the recipe adds to ``original``.
    """

    detector: SingleShotDetector
    options: DraftOptions
    image: Finding[Image] | None
    added: Mapping[str, Any]
    original: Graph

    @property
    def name(self) -> str:
        return self.options.name or self.detector.kind

    @property
    def summary(self) -> str:
        """One line: kind, classes and the input's size."""
        classes = self.detector.object_classes.value
        height, width = self._size
        return f"{self.detector.kind} for {classes} class{'' if classes == 1 else 'es'} at {height} x {width}"

    @cached_property
    def _size(self) -> tuple[int, int]:
        dims = self.detector.inference.spec(self.detector.network_input.value).shape.dims or ()
        height, width = self.image.value.size if self.image is not None else dims[1:3]
        return height or 0, width or 0

    def text(self) -> str:
        """Return the recipe."""
        drafted = parse_recipe(render((), self._block({})))
        context = DerivationContext(
            drafted, self.detector.graph, self.options.catalog, self.options.most_rows
        )
        derived: dict[tuple[str, str], Item] = {}
        for name, definition in drafted.nodes.items():
            if definition.op == "Placeholder":
                spec = input_spec(context, name, definition)
                derived[name, "shape"] = Item(list(spec.value.shape.dims), said(spec.evidence))
                derived[name, "dtype"] = Item(spec.value.dtype.value)
            elif definition.plugin is not None:
                fields, found, unknown = self._derived(context, name)
                derived |= {
                    (name, each.field): Item(fields[each.field], said(each.evidence)) for each in found
                }
                derived |= {(name, key): _blank(reason) for key, reason in unknown.items()}
        return render(self._heading(), self._block(derived))

    def _derived(
        self, context: DerivationContext, name: str
    ) -> tuple[dict[str, Any], list[Derivation], dict[str, SurgeonError]]:
        """Return fields and evidence, and the fields that no finding of ``NUMBERS`` lets derive.

        Raise SurgeonError for a field that something else keeps open.
        """
        fields, found, unknown = derive_known_fields(context, name)
        expected = {reason.diagnostics[0].message for reason in self._unknown.values()}
        for reason in unknown.values():
            if reason.diagnostics[0].message not in expected:
                raise reason
        return fields, found, unknown

    @cached_property
    def _unknown(self) -> Mapping[str, SurgeonError]:
        """Why findings of ``NUMBERS`` are not known."""
        found: dict[str, SurgeonError] = {}
        for key in NUMBERS:
            try:
                self.detector.finding(key)
            except SurgeonError as exc:
                found[key] = exc
        return found

    def blank_warnings(self) -> tuple[Diagnostic, ...]:
        """Return an error for each number that the recipe leaves open."""
        return tuple(
            Diagnostic(
                "D147",
                f"the recipe leaves a number open: {reason.diagnostics[0].message}",
                self.detector.graph.source or None,
                reason.diagnostics[0].notes,
                ("write the number where the recipe's comment says 'not known'",),
            )
            for reason in self._unknown.values()
        )

    def _heading(self) -> tuple[str, ...]:
        source = PurePath(self.detector.graph.source).name or "a graph"
        lines = [
            f"{source}: {self.summary}. Written by 'surgeon init'.",
            "Every value was read off the graph; above it stand the nodes and constants that show it. 'auto' "
            "instead of a "
            "value derives it again.",
        ]
        if self.added:
            lines.append(
                "The graph ends before suppression, which the recipe adds: "
                f"{', '.join(self.added)} are the recipe's own."
            )
        if self._unknown:
            lines.append(
                "Look for 'not known': there the graph does not tell a number, and it is for you to write."
            )
        lines += self.options.config_verdict
        return tuple(lines)

    def _block(self, derived: Mapping[tuple[str, str], Item]) -> Block:
        nms, how = self._named(NMS), self._anchors[2]
        rows = f"{nms}: image, label, score, xmin, ymin, xmax, ymax a row; {nms}:1 is their number"
        made = (
            "the plugin below makes the graph's anchors"
            if how == "plugin"
            else "the graph's own anchors, as one constant"
        )
        block = {
            "recipe": Item(1),
            "name": Item(self.name, self.options.config_comments("name")),
            "summary": Item(self.summary),
            **self._parameters(),
            "outputs": Item([nms], (rows,)),
            "anchors": Item(how, (made,)),
            **self._choices(),
            "nodes": Item(self._nodes(derived), spaced=True),
            "namespaces": Item(self._namespaces(), spaced=True),
            "steps": Item(self._steps(), spaced=True),
        }
        if self.image is not None:
            block["image"] = Item(self._image(self.image), said(self.image.evidence), spaced=True)
        if self.options.labels:
            named = {number: Item(label) for number, label in self.options.labels.items()}
            block["labels"] = Item(named, ("names of the numbers that detections carry",), spaced=True)
        dims = self.detector.inference.spec(self.detector.network_input.value).shape.dims or (None,)
        engine = {"precision": "fp16", "max_batch": dims[0] or 1, "workspace": "1GiB"}
        block["engine"] = Item(engine, ("not from the graph: how an engine is built",), spaced=True)
        return block

    def _parameters(self) -> dict[str, Item]:
        if not self.added:
            return {}
        return {"parameters": Item(dict(self.added), ("not from the graph; '--set' gives others",))}

    def _choices(self) -> dict[str, Item]:
        """Return the recipe's key ``suppression``, where no NMS_TRT will do, else its key ``decode``."""
        if not self._lacking:
            return {"decode": self._decode()}
        return {"suppression": Item("native", ("SurgeonDetection in the place of NMS_TRT", *self._lacking))}

    @cached_property
    def _lacking(self) -> tuple[str, ...]:
        """What the graph does that NMS_TRT cannot do, whatever its fields are."""
        found = differences(self.detector.postprocessing, ("class_agnostic", "soft_sigma"))
        return tuple(f"{difference}: {finding.evidence[0]}" for _, difference, finding in found)

    @cached_property
    def _nms_fields(self) -> Mapping[str, tuple[Any, str]]:
        """The fields of NMS_TRT; those alone that SurgeonDetection takes over where it stands in."""
        if not self._lacking:
            return NMS_FIELDS
        without = {"topK", "inputOrder"}
        if self.detector.soft_sigma.value > 0:
            without.add("nmsThreshold")  # TensorFlow drops no box by it then
        return {key: value for key, value in NMS_FIELDS.items() if key not in without}

    def _decode(self) -> Item:
        """Return the recipe's key ``decode``, with what the graph does to boxes before suppression."""
        original = self.detector.postprocessing
        why = []
        if original.clip.value == "before":
            why.append(
                f"the graph clips boxes before suppression, NMS_TRT after it: {original.clip.evidence[0]}"
            )
        if original.drops_empty.value:
            why.append(f"the graph drops boxes without an area: {original.drops_empty.evidence[0]}")
        if self.added:
            return Item("plugin", ("the plugin below decodes boxes",))
        if not why:
            return Item("plugin", ("the plugin below decodes boxes", *said(original.clip.evidence)))
        return Item("graph", ("operations in front of the plugin decode boxes, and hold the anchors", *why))

    @cached_property
    def _names(self) -> Mapping[str, str]:
        """Names of the recipe's nodes: no node of the graph has them."""
        return {name: self._free(name) for name in (INPUT, GRID, PRIOR, LOC, CONF, NMS, JOINED, SOFTMAX)}

    def _free(self, name: str) -> str:
        while name in self.detector.graph:
            name += "_plugin"
        return name

    def _named(self, name: str) -> str:
        return self._names[name]

    def _nodes(self, derived: Mapping[tuple[str, str], Item]) -> Block:
        names = self._names
        detector = self.detector
        nodes: dict[str, Item] = {}
        like = {"op": Item("Placeholder"), "like": Item(str(detector.network_input.value))}
        stated = {key: derived[names[INPUT], key] for key in ("shape", "dtype") if derived}
        if not derived:
            # Where the graph alone does not tell the size, the picture does.
            dims = detector.inference.spec(detector.network_input.value).shape.dims
            stated = {"shape": Item([None, *dims[1:]])} if dims is not None and None not in dims else {}
        nodes[names[INPUT]] = Item(like | stated, said(detector.network_input.evidence[:1]))
        nodes[names[GRID]] = self._grid(derived)
        nodes[names[PRIOR]] = Item(
            {"op": "ConcatV2", "inputs": [f"{names[GRID]}:*"], "axis": 2},
            ("the anchors of all feature maps",),
        )
        flat: dict[str, Any] = {"plugin": "FlattenConcat_TRT", "fields": {"axis": 1, "ignoreBatch": 0}}
        boxes = self._joined_by(self._tensors.boxes)
        nodes[names[LOC]] = Item({**flat, **boxes}, said(detector.loc_concat.evidence))
        nodes |= self._scores(flat)
        nodes[names[NMS]] = Item(
            {
                "plugin": Item("NMS_TRT"),
                "inputs": Item({"loc": names[LOC], "prior": names[PRIOR], "conf": names[CONF]}),
                "fields": Item(
                    {
                        key: self._field(derived, NMS, key, value, why)
                        for key, (value, why) in self._nms_fields.items()
                    }
                ),
            },
            self._suppression(),
        )
        for each, name in zip(self._upsamplings, self._enlarged, strict=True):
            nodes |= _enlarging(each, name)
        return nodes

    def _field(
        self, derived: Mapping[tuple[str, str], Item], node: str, key: str, value: Any, why: str = ""
    ) -> Item:
        if node == NMS and _ADDED.get(key) in self.added:
            return Item(Parameter(_ADDED[key]), ("the recipe's own: the graph does not tell it",))
        item = derived.get((self._named(node), key)) or Item(value, (why,) if why else ())
        if self.added and node == NMS and key == "topK":
            item = Item(item.value, said(("all boxes go into suppression", *self.detector.count.evidence)))
        return Item(item.value, (*item.comments, *self.options.config_comments(f"{node}.{key}")))

    @cached_property
    def _anchors(self) -> tuple[str, GridFit, str]:
        """Return the anchor plugin, its fit, and the recipe's key ``anchors``."""
        square = all(height == width for height, width in self.detector.feature_maps.value)
        op = "GridAnchor_TRT" if square else "GridAnchorRect_TRT"
        fit = fit_grid(self.detector, self.options.catalog, op)
        # Before TensorRT 8.5.1 the plugin for oblong maps puts centres elsewhere in x.
        return op, fit, "plugin" if fit.expresses and square else "constant"

    def _grid(self, derived: Mapping[tuple[str, str], Item]) -> Item:
        op, fit, how = self._anchors
        wanted = ("numLayers", *(FITTED if fit.expresses else ()), "variance", "featureMapShapes")
        fields = {key: self._field(derived, GRID, key, "auto") for key in wanted}
        if derived and not fit.expresses:
            fields |= {key: Item("auto") for key in FITTED}
        comments: tuple[str, ...] = ()
        if not fit.expresses:
            why = fit.reason or f"at best, a coordinate differs by {fit.residual:.2g} of the picture"
            comments = (f"not used, by 'anchors: constant' above: {op} cannot make these anchors; {why}",)
        elif how == "constant":
            comments = (
                f"not used, by 'anchors: constant' above: before TensorRT 8.5.1, {op} puts the centres "
                "elsewhere",
            )
        return Item(
            {"plugin": Item(op), "fields": Item(fields)}, (*comments, *self.options.config_comments(GRID))
        )

    def _scores(self, flat: Mapping[str, Any]) -> dict[str, Item]:
        """Return the nodes from the class heads to the suppression."""
        names, detector = self._names, self.detector
        evidence = said(detector.conf_concat.evidence)
        scores = self._joined_by(self._tensors.scores)
        if detector.score_converter.value != "softmax":
            return {names[CONF]: Item({**flat, **scores}, evidence)}
        return {
            names[JOINED]: Item({"op": "ConcatV2", **scores, "axis": 1}, evidence),
            names[SOFTMAX]: Item(
                {"op": "Softmax", "inputs": [names[JOINED]], "attrs": {"T": "float32"}},
                said(detector.score_converter.evidence),
            ),
            names[CONF]: Item({**flat, "inputs": [names[SOFTMAX]]}, ("probabilities, class by class",)),
        }

    def _joined_by(self, heads: Sequence[Ref]) -> dict[str, Any]:
        """Return the inputs of a join, where the axis of the graph's own may be a constant that stays."""
        return {"inputs": [str(ref) for ref in heads]} if self._shared else {}

    @cached_property
    def _shared(self) -> tuple[str, ...]:
        """Constants inside the namespaces taken out that the rest of the graph reads, too."""
        return shared_constants(self.original, self._replaced) if self.added else ()

    def _suppression(self) -> tuple[str, ...]:
        if self._lacking:
            return ("its fields are those of SurgeonDetection, which takes all others from the graph",)
        if self._decode().value == "plugin":
            return ("decodes boxes, and suppresses overlapping ones class by class",)
        return ("suppresses overlapping boxes class by class; the fields say how boxes are encoded",)

    @cached_property
    def _upsamplings(self) -> tuple[Upsampling, ...]:
        graph, cut = self.detector.graph, self._tensors
        needed = graph.ancestors(ref.node for ref in (*cut.boxes, *cut.scores)) - graph.ancestors(
            [cut.network_input.node]
        )
        return upsamplings(graph, self.detector.inference, needed)

    @cached_property
    def _enlarged(self) -> tuple[str, ...]:
        """Names of the nodes that enlarge feature maps."""
        return tuple(self._free(f"upsampling_{number}") for number in range(len(self._upsamplings)))

    @cached_property
    def _tensors(self) -> DetectorTensors:
        detector = self.detector
        boxes, scores = (
            tuple(head.tensor for head in heads.value) for heads in (detector.box_heads, detector.class_heads)
        )
        return DetectorTensors(
            detector.network_input.value,
            detector.anchor_source,
            boxes,
            scores,
            detector.encodings.value,
            detector.logits.value,
        )

    @cached_property
    def _replaced(self) -> tuple[ReplacedNamespace, ...]:
        found = replaced_namespaces(self.detector.graph, self._tensors, shared=bool(self.added))
        if not self.added:
            return found
        names = {node.name for node in self.original}
        return tuple(
            each
            for each in found
            if any(name == each.namespace or name.startswith(f"{each.namespace}/") for name in names)
        )

    def _namespaces(self) -> Block:
        joined = JOINED if self.detector.score_converter.value == "softmax" else CONF
        block: dict[str, Item] = {}
        for replaced in self._replaced:
            node = self._named(joined if replaced.node == CONF else replaced.node)
            block[replaced.namespace] = Item(node, (replaced.comment,))
        for each, name in zip(self._upsamplings, self._enlarged, strict=True):
            for namespace in self._around(each):
                block[namespace] = Item(
                    name if each.channels_first else f"{name}_nhwc", ("enlarges a feature map",)
                )
        return block

    def _around(self, each: Upsampling) -> tuple[str, ...]:
        """Return the namespace that holds an enlargement and nothing else that stays, or its nodes."""
        graph = self.detector.graph
        scope = graph[each.result.node].namespace
        inside = [node for node in graph if node.name.startswith(scope + "/")] if scope else []
        read = {ref.node for node in graph if not node.name.startswith(scope + "/") for ref in node.inputs}
        alone = (
            scope
            and all(name.startswith(scope + "/") for name in each.nodes)
            and not any(node.name in read and node.name != each.result.node for node in inside)
        )
        return (scope,) if alone else each.nodes

    @cached_property
    def rounding(self) -> tuple[str, ...]:
        """Names of the nodes of the network that round numbers as 8-bit arithmetic would, in graph order."""
        found = [node.name for node in self.detector.graph if node.op in ROUNDING]
        needed = (
            self.detector.graph.ancestors(ref.node for ref in (*self._tensors.boxes, *self._tensors.scores))
            if found
            else ()
        )
        return tuple(name for name in found if name in needed)

    def rounding_warnings(self) -> tuple[Diagnostic, ...]:
        """Return a warning where the recipe leaves out that the graph rounds numbers."""
        if not self.rounding:
            return ()
        warning = Diagnostic(
            "D150",
            f"the network rounds numbers as 8-bit arithmetic would, in {len(self.rounding)} places; for UFF "
            "the recipe leaves that out",
            self.detector.graph.source or None,
            (f"for example '{self.rounding[0]}'",),
            ("detections differ a little: see 'surgeon verify'; with --target graphdef nothing is left out",),
            Severity.WARNING,
        )
        return (warning,)

    def _steps(self) -> list[Item]:
        """Return the steps of a recipe that names none, in full, and what this graph needs besides."""
        found: list[Item] = []
        for step in to_plain(default_steps()):
            label = step.get("id", step["step"])
            if label == "collapse" and self.rounding:
                nodes = [{"op": list(ROUNDING), "optional": True}]
                forward = {"step": "forward", "id": "rounding", "nodes": nodes, "when": {"target": "uff"}}
                found.append(
                    Item(
                        forward,
                        (
                            "UFF has no rounding to 8 bits; left out: "
                            f"{plural(len(self.rounding), 'node')}, such as "
                            f"'{self.rounding[0]}'",
                        ),
                    )
                )
            if label == "collapse" and self._shared:
                step = {**step, "keep": [f"{name}?" for name in self._shared]}
            found.append(
                Item(
                    step["step"] if len(step) == 1 else step,
                    (STEP_NOTES[label],) if label in STEP_NOTES else (),
                )
            )
        return found

    def _image(self, found: Finding[Image]) -> Block:
        return {
            key: Item(item.value, self.options.config_comments(f"image.{key}"))
            for key, item in image_block(found.value).items()
        }


def _blank(reason: SurgeonError) -> Item:
    """Return a field that stays open: ``auto``, which no command takes for a number, and why."""
    return Item("auto", (f"not known: {reason.diagnostics[0].message}; write the number here",))


def _enlarging(each: Upsampling, name: str) -> dict[str, Item]:
    """Return the nodes in the place of one enlargement; the plugin takes channels first."""
    evidence = said(each.evidence)
    fields = {"scale": float(each.factor)}
    if each.channels_first:
        return {
            name: Item(
                {"plugin": "ResizeNearest_TRT", "inputs": [str(each.source)], "fields": fields}, evidence
            )
        }
    return {
        f"{name}_nchw": Item(
            {"op": "Transpose", "inputs": [str(each.source)], "perm": [0, 3, 1, 2]}, evidence
        ),
        name: Item({"plugin": "ResizeNearest_TRT", "inputs": [f"{name}_nchw"], "fields": fields}),
        f"{name}_nhwc": Item({"op": "Transpose", "inputs": [name], "perm": [0, 2, 3, 1]}),
    }
