"""Boxes decoded by ordinary operations in front of the plugin that suppresses them, where that plugin treats
boxes otherwise than the graph does.

A plugin of the kind of NMS_TRT clips the boxes that are left after suppression. A graph that clips first, and
drops boxes without an area, is followed exactly where the plugin is fed boxes: codeType 0 (corners) with
anchors of zeros takes what it reads for the corners.

SurgeonDetection knows one coding; boxes of another are decoded in front of it.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any, cast, get_args

import numpy as np

from surgeon.catalog import PluginSpec
from surgeon.diagnostics import SurgeonError, error
from surgeon.families import Derivation, DerivationContext
from surgeon.families.finding import Finding
from surgeon.families.parts.detection_output_fields import CODE_TYPES
from surgeon.families.postprocessing import DECODED_IN_FRONT, PICTURE, Window, lies_inside
from surgeon.graph import Add, AttrValue, Drop, DType, Edit, Graph, Rewire, SetAttr, SetOutputs, TensorValue
from surgeon.language import NamespaceRule, Recipe
from surgeon.language.recipe import Decode
from surgeon.rewrite.anchors import makers
from surgeon.rewrite.choices import check_choice
from surgeon.steps.step import NodeSpec

CORNER, CENTER_SIZE, CORNER_SIZE, TF_CENTER = range(4)
"""Values of codeType."""

_ORDERS: Mapping[int, tuple[str, ...]] = {
    CENTER_SIZE: ("tx", "ty", "tw", "th"),
    CORNER_SIZE: ("xmin", "ymin", "xmax", "ymax"),
    TF_CENTER: ("ty", "tx", "th", "tw"),
}
"""The four encodings of a box, by codeType."""

DECODING_FIELDS = frozenset({"codeType", "varianceEncodedInTarget", "shareLocation", "numClasses"})
"""Fields of a plugin that decodes boxes, and can be told not to."""

DECODING_PORTS = frozenset({"loc", "conf", "prior"})

NATIVE = ("SurgeonDetection", "SurgeonDetectionDynamic")
"""Plugins of this project's library that suppress boxes by TensorFlow's rules."""

SAME_ANCHORS = 1e-6
"""Relative to the picture: anchors of the recipe's plugin that are nearer to the graph's are meant to be
these."""

STEEP = 32768.0
"""Factor by which a side or an area of a box is enlarged, three times over, until it is far from 0; float16
holds it, too.
"""

DROPPED = 100.0
"""A sixth of what is taken off the scores of a dropped box: its logistic function is 0 in float32."""


@dataclass(frozen=True)
class Decoding:
    """What decodes boxes in the rewritten graph.

    ``node`` is the plugin node that suppresses them. ``encodings`` and ``scores`` name the nodes that read
    what the plugin would have read at its ports ``loc`` and ``conf``; ``scores`` is empty where scores pass
    as they are. ``anchors`` names the zeros that it reads at ``prior``. ``clips`` says whether boxes are
    clipped to ``window`` (ymin, xmin, ymax, xmax). ``anchors`` is empty where the plugin reads none.
    """

    node: str
    anchors: str
    encodings: str
    scores: str = ""
    clips: bool = True
    window: Window = PICTURE
    code: int = TF_CENTER
    """The coding that the encodings have, a value of codeType."""
    makers: tuple[str, ...] = ()
    """The recipe's nodes whose anchors the constants hold; none where these are the graph's own."""

    nodes: frozenset[str] = frozenset()
    """All nodes that decode (membership only)."""
    constants: Mapping[str, str] = field(default_factory=dict)
    """The constants by which boxes are decoded and clipped, by what they do, such as ``shift_x``."""
    variants: Mapping[str, Mapping[str, np.ndarray]] = field(default_factory=dict, repr=False, compare=False)
    """What the constants would hold if a rule of the plugins that make the anchors were changed.

    By the name of the rule, then by that of the constant; those that stay the same are left out.
    """

    def without_strays(self, edits: Iterable[Edit], graph: Graph) -> list[Edit]:
        """Return a step's edits without new attributes for nodes that decode.

        A step that names the plugin's node means that one, though these stand in a namespace of its name.
        """
        return [
            edit
            for edit in edits
            if not isinstance(edit, SetAttr)
            or self.nodes.isdisjoint((edit.name, edit.name.rpartition("/")[0]))
            or edit.key in graph[edit.name].attrs
        ]

    def renamed(self, edits: Iterable[Edit]) -> Decoding:
        """Return the same with the names that nodes have after a step's edits."""
        names = {edit.name: edit.into for edit in edits if isinstance(edit, Drop) and edit.into is not None}
        if names.keys().isdisjoint((self.node, *self.nodes)):
            return self
        return replace(
            self,
            node=names.get(self.node, self.node),
            anchors=names.get(self.anchors, self.anchors),
            encodings=names.get(self.encodings, self.encodings),
            scores=names.get(self.scores, self.scores),
            nodes=frozenset(names.get(name, name) for name in self.nodes),
            constants={role: names.get(name, name) for role, name in self.constants.items()},
            variants={
                rule: {names.get(name, name): value for name, value in constants.items()}
                for rule, constants in self.variants.items()
            },
        )


@dataclass(frozen=True)
class Rendering:
    """Nodes and namespaces with boxes decoded as it was chosen, and how that is told."""

    nodes: Mapping[str, NodeSpec]
    namespaces: Mapping[str, NamespaceRule]
    derivations: tuple[Derivation, ...] = ()
    decoding: Decoding | None = None
    by_plugin: Rendering | None = None
    """The same with the plugin to decode boxes, where the graph does."""
    auto: bool = False
    """Whether the recipe leaves the choice open."""
    makers: tuple[str, ...] = ()
    """The recipe's nodes that make the anchors."""

    def because(self, reason: str) -> Rendering:
        """Return the rendering with a reason why the plugin decodes boxes though the graph would be exact."""
        derivations = tuple(
            replace(each, evidence=(*each.evidence, f"the plugin decodes all the same: {reason}"))
            for each in self.derivations
        )
        return replace(self, derivations=derivations)

    def corrected(self, derivations: Iterable[Derivation]) -> tuple[Derivation, ...]:
        """Return derivations with the values that fields have where boxes are decoded in the graph."""
        if self.decoding is None:
            return tuple(derivations)
        name = self.decoding.node
        return tuple(
            replace(
                each, value=_OVERRIDDEN[each.field], evidence=("boxes are decoded in front of the plugin",)
            )
            if each.node == name and each.field in _OVERRIDDEN
            else each
            for each in derivations
        )


def chosen_decode(decode: str) -> Decode:
    """Return what the caller wants to decode boxes.

    Raise SurgeonError S410 for a text that means nothing.
    """
    return cast(Decode, check_choice(decode, get_args(Decode), "what decodes boxes"))


def with_decoding(
    context: DerivationContext,
    nodes: Mapping[str, NodeSpec],
    namespaces: Mapping[str, NamespaceRule],
    wanted: Decode,
) -> Rendering:
    """Return nodes and namespaces in which the plugin or the graph decodes boxes, as ``wanted``.

    ``auto`` decodes in the graph where the original clips boxes to the picture before suppression or drops
    those without an area, which the plugin does not. Raise SurgeonError S414 where ``graph`` is wanted and
    the recipe's nodes do not allow it.
    """
    native = native_in_front(context)
    if native is not None:
        return _in_front_of_native(context, native, nodes, namespaces)
    name = _detecting(context)
    if wanted != "graph" and not _differs(context, name):
        return Rendering(nodes, namespaces)
    if name is None:
        raise context.fail(
            "S414",
            "boxes cannot be decoded in the graph: the recipe has no plugin node that decodes boxes, with "
            "the ports loc, conf and prior",
            "decode",
            help=[
                "name the inputs of NMS_TRT by port, or write 'decode: auto'",
                "with 'suppression: native' leave 'decode' out: that plugin follows the graph by itself",
            ],
        )
    rules = _rules(context, name)
    if wanted == "plugin":
        return Rendering(nodes, namespaces, _asked_for(name, nodes[name].op, rules))
    if wanted == "auto" and not rules:
        return Rendering(nodes, namespaces, _left_to_plugin(context, name))
    builder = _Builder(context, name, nodes, _window(context, name) if "clip" in rules else PICTURE)
    reason = builder.reason()
    by_plugin = Rendering(nodes, namespaces, (Derivation(name, "decode", "plugin", _words(rules)),))
    if reason and wanted == "auto":
        return by_plugin.because(reason)
    if reason:
        raise cannot_decode(context.recipe, name, reason)
    prior, is_own = builder.anchors()
    made, decoding = builder.nodes(prior, clips="clip" in rules, drops="drops_empty" in rules)
    replaced = makers(context)
    whose = "the graph's own" if is_own else "those of " + ", ".join(f"'{node}'" for node in replaced)
    kept, redirected = {**nodes, **made}, namespaces
    if not _needed_besides(context, name, replaced):
        kept = {key: node for key, node in kept.items() if key not in replaced}
        redirected = {
            key: NamespaceRule(node=decoding.anchors, optional=rule.optional)
            if rule.node in replaced
            else rule
            for key, rule in namespaces.items()
        }
    why = (
        (*_words(rules), f"{nodes[name].op} does not")
        if rules
        else (f"{nodes[name].op} would do the same as the graph; 'decode: graph' is asked for",)
    )
    shown = Derivation(name, "decode", "graph", (*why, f"constants hold the anchors, {whose}"))
    if not is_own:
        variants = _variants(builder, made, clips="clip" in rules, drops="drops_empty" in rules)
        decoding = replace(decoding, makers=tuple(replaced), variants=variants)
    return Rendering(kept, redirected, (shown,), decoding, by_plugin, wanted == "auto", tuple(replaced))


def native_in_front(context: DerivationContext) -> str | None:
    """Return the recipe's node of SurgeonDetection that reads boxes in a coding which it does not know."""
    for name, node in context.recipe.nodes.items():
        if node.plugin not in NATIVE or not isinstance(node.inputs, Mapping):
            continue
        with suppress(SurgeonError):
            coding = context.of(name).family.postprocessing.coding.value
            if set(node.inputs) >= DECODING_PORTS and coding in DECODED_IN_FRONT:
                return name
    return None


def _in_front_of_native(
    context: DerivationContext,
    name: str,
    nodes: Mapping[str, NodeSpec],
    namespaces: Mapping[str, NamespaceRule],
) -> Rendering:
    """Return nodes and namespaces with boxes decoded in front of SurgeonDetection, which reads corners."""
    original = context.of(name).family.postprocessing
    clips = original.clip.value == "before"
    builder = _Builder(context, name, nodes, _window(context, name) if clips else PICTURE)
    reason = builder.reason()
    if reason:
        raise cannot_decode(context.recipe, name, reason)
    prior = builder.prior()
    assert prior is not None
    made, decoding = builder.nodes(prior, clips=clips, drops=False)
    replaced = makers(context)
    kept = {key: node for key, node in {**nodes, **made}.items() if key not in replaced}
    rules = {key: rule for key, rule in namespaces.items() if rule.node not in replaced}
    evidence = (
        f"{nodes[name].op} does not know this coding: {original.coding.value}",
        *original.coding.evidence,
    )
    return Rendering(kept, rules, (Derivation(name, "decode", "graph", evidence),), decoding)


def _is_geometry(role: str) -> bool:
    """Return whether a constant places boxes, and does not just drop those without an area."""
    return not role.startswith(("has_", "kept", "dropped"))


def _variants(
    builder: _Builder, made: Mapping[str, NodeSpec], *, clips: bool, drops: bool
) -> dict[str, dict[str, np.ndarray]]:
    """Return what constants hold with each rule changed of the plugins that make the anchors."""
    context, found = builder.context, dict[str, dict[str, np.ndarray]]()
    references = [
        context.catalog.reference(builder.given[name].op)
        for name in makers(context)
        if name in builder.given and builder.given[name].is_plugin
    ]
    for rule in dict.fromkeys(rule for each in references if each is not None for rule in each.changes):
        prior = builder.prior(rule)
        if prior is None:
            continue
        other = _Builder(context, builder.name, builder.given, builder.window)
        nodes, _ = other.nodes(prior, clips=clips, drops=drops)
        values = {name: (_value(made[name]), _value(node)) for name, node in nodes.items()}
        found[rule] = {
            name: np.broadcast_to(changed, own.shape)
            for name, (own, changed) in values.items()
            if own is not None and changed is not None and not np.array_equal(own, changed)
        }
    return {rule: constants for rule, constants in found.items() if constants}


def _value(node: NodeSpec) -> np.ndarray | None:
    value = node.attrs.get("value")
    return value.array() if node.op == "Const" and isinstance(value, TensorValue) else None


def cannot_decode(recipe: Recipe, name: str, reason: str) -> SurgeonError:
    """Return the error of boxes that cannot be decoded in front of a plugin node."""
    return error(
        "S414",
        f"boxes cannot be decoded in front of '{name}': {reason}",
        recipe.span("decode"),
        help=["correct that, or write 'decode: plugin'"],
    )


DECIDING_STEPS = ("set-attr", "rename", "remove", "forward", "connect", "disconnect", "reorder-inputs")
"""Steps that can change what makes the anchors, or what the plugin makes of them."""


def disturbance(
    recipe: Recipe, edits: Sequence[Sequence[Edit]], node: str, others: Collection[str]
) -> tuple[str, bool]:
    """Return how the recipe's steps change the decoding of boxes, empty where they do not, and whether that
    is but a name.

    ``edits`` are those of each step; ``node`` is the plugin node that suppresses boxes, ``others`` are nodes
    that its boxes depend on.
    """
    named = ""
    for step, batch in zip(recipe.steps, edits, strict=True):
        if step.step not in DECIDING_STEPS:
            continue
        for edit in batch:
            name = "" if isinstance(edit, Add | SetOutputs) else edit.name
            if step.step == "rename":
                if name in others and isinstance(edit, Drop):
                    named = named or f"the step '{step.label}' renames '{name}'"
            elif name in others:
                return f"the step '{step.label}' changes '{name}'", False
            elif name == node and isinstance(edit, SetAttr) and edit.key in DECODING_FIELDS:
                return f"the step '{step.label}' sets '{edit.key}' of '{name}'", False
            elif name == node and isinstance(edit, Rewire) and step.step != "reorder-inputs":
                return f"the step '{step.label}' changes what '{name}' reads", False
    return named, bool(named)


def _needed_besides(context: DerivationContext, name: str, replaced: Collection[str]) -> bool:
    """Return whether the recipe names one of the nodes that make anchors outside of these and the plugin."""
    recipe = context.recipe
    read = list(recipe.outputs)
    for other, node in recipe.nodes.items():
        if other != name and other not in replaced and node.inputs:
            read += node.inputs.values() if isinstance(node.inputs, Mapping) else node.inputs
    if any(text.partition(":")[0] in replaced for text in read):
        return True
    return _in_steps(context, replaced)


def _in_steps(context: DerivationContext, names: Collection[str]) -> bool:
    """Return whether a step of the recipe names one of some nodes."""
    steps = " ".join(repr(step) for step in context.recipe.steps)
    return any(re.search(rf"(?<![\w/]){re.escape(name)}(?![\w/])", steps) for name in names)


def _asked_for(name: str, op: str, rules: Mapping[str, Finding[Any]]) -> tuple[Derivation, ...]:
    """Return the choice of the plugin where another one would follow the graph; nothing where none would."""
    if not rules:
        return ()
    evidence = (*_words(rules), f"{op} does not; 'decode: plugin' is asked for")
    return (Derivation(name, "decode", "plugin", evidence),)


def _left_to_plugin(context: DerivationContext, name: str) -> tuple[Derivation, ...]:
    """Return the choice of the plugin with its reason; nothing where the graph does not tell it."""
    clip = context.of(name).family.postprocessing.clip
    try:
        evidence = ("the graph clips no boxes before suppression, and the plugin does not", *clip.evidence)
    except SurgeonError:
        return ()
    return (Derivation(name, "decode", "plugin", evidence),)


_OVERRIDDEN: Mapping[str, AttrValue] = {"codeType": CORNER, "varianceEncodedInTarget": 1}
"""Fields of a plugin that is fed boxes."""


def graph_code(context: DerivationContext) -> int:
    """Return the coding of the graph's boxes as a value of codeType; 3 where the graph does not tell one that
    operations can decode.
    """
    with suppress(SurgeonError):
        code = CODE_TYPES[context.family.postprocessing.coding.value]
        return code if code in _ORDERS else TF_CENTER
    return TF_CENTER


def decodes_boxes(spec: PluginSpec) -> bool:
    """Return whether a plugin decodes boxes, and can be told to take corners as they are."""
    return set(spec.fields) >= DECODING_FIELDS and {port.name for port in spec.inputs} >= DECODING_PORTS


def _detecting(context: DerivationContext) -> str | None:
    """Return the recipe's node of a plugin that decodes boxes, None where there is none."""
    found = [
        name
        for name, node in context.recipe.nodes.items()
        if node.plugin is not None
        and node.plugin in context.catalog
        and isinstance(node.inputs, Mapping)
        and set(node.inputs) >= DECODING_PORTS
        and decodes_boxes(context.catalog[node.plugin])
    ]
    return found[0] if len(found) == 1 else None


def _differs(context: DerivationContext, name: str | None) -> bool:
    """Return whether a plugin is known to treat boxes otherwise than a graph that decodes them may."""
    op = context.recipe.nodes[name].plugin if name is not None else None
    reference = context.catalog.reference(op) if op is not None else None
    return reference is not None and any(rule.of_decoding for rule in reference.counterfactuals.values())


def _rules(context: DerivationContext, name: str) -> dict[str, Finding[Any]]:
    """Return what the original does with boxes before suppression, by the name of the finding."""
    found: dict[str, Finding[Any]] = {}
    try:
        original = context.of(name).family.postprocessing
    except SurgeonError:
        return found
    with suppress(SurgeonError):
        if original.clip.value == "before":
            found["clip"] = original.clip
    with suppress(SurgeonError):
        if original.drops_empty.value:
            found["drops_empty"] = original.drops_empty
    return found


def _window(context: DerivationContext, name: str) -> Window:
    """Return the window to which boxes are clipped; the picture where it differs from picture to picture."""
    with suppress(SurgeonError):
        return context.of(name).family.postprocessing.clip_window.value or PICTURE
    return PICTURE


def _words(rules: Mapping[str, Finding[Any]]) -> tuple[str, ...]:
    words = {
        "clip": "the graph clips boxes before suppression",
        "drops_empty": "the graph drops boxes without an area before suppression",
    }
    return tuple(f"{words[key]}: {finding.evidence[0]}" for key, finding in rules.items())


@dataclass
class _Builder:
    """The nodes that decode boxes in front of the plugin node ``name``."""

    context: DerivationContext
    name: str
    given: Mapping[str, NodeSpec]
    window: Window = PICTURE
    made: dict[str, NodeSpec] = field(default_factory=dict)
    constants: dict[str, str] = field(default_factory=dict)

    @property
    def plugin(self) -> NodeSpec:
        return self.given[self.name]

    @property
    def is_native(self) -> bool:
        """Whether the plugin is SurgeonDetection, which takes corners as they come, y first."""
        return self.plugin.op in NATIVE

    @property
    def code(self) -> object:
        """The coding of the boxes as a value of codeType."""
        if self.is_native:
            return CODE_TYPES[self.context.of(self.name).family.postprocessing.coding.value]
        return self.plugin.attrs.get("codeType")

    def reason(self) -> str:
        """Return why the boxes cannot be decoded in front of the plugin; empty where they can."""
        fields = self.plugin.attrs
        expected = graph_code(self.context.of(self.name))
        if self.code != expected:
            return f"codeType is {self.code!r}; expected {expected}, the coding of the graph"
        if fields.get("shareLocation") != 1 and fields.get("numClasses") != 1:
            return "shareLocation is 0; expected one box of an anchor for all classes"
        if self.prior() is None:
            return "the anchors are neither a constant nor made by plugins and ConcatV2 alone"
        if not lies_inside(self.window):
            return (
                f"the graph clips boxes to {list(self.window)}; expected a window inside the picture, to "
                f"which {self.plugin.op} clips in any case"
            )
        return ""

    def anchors(self) -> tuple[np.ndarray, bool]:
        """Return what the plugin would have read at its port ``prior``, and whether it is the graph's own.

        It is the graph's own where the recipe's nodes make the same anchors.
        """
        prior = self.prior()
        assert prior is not None
        with suppress(SurgeonError):
            own = self.context.family.anchor_constant().value
            if own.shape == prior.shape and np.abs(own - prior).max(initial=0) <= SAME_ANCHORS:
                return own, True
        return prior, False

    def prior(self, rule: str = "") -> np.ndarray | None:
        """Return what the plugin would have read at its port ``prior``, None where pictures change it.

        With ``rule``, the plugins that make it go by the graph's rule of that name.
        """
        node = self._declared("prior").partition(":")[0]
        value = self._computed(node, rule, frozenset())
        if value is None or len(value) != 1 or value[0].ndim != 4 or value[0].shape[:2] != (1, 2):
            return None
        return value[0] if value[0].shape[2] % 4 == 0 else None

    def _computed(self, name: str, rule: str, above: frozenset[str]) -> list[np.ndarray] | None:
        """Return the outputs of a node that no picture changes, None where it is of another kind."""
        node = self.given.get(name)
        if node is None or name in above:
            return None
        value = node.attrs.get("value")
        if node.op == "Const" and isinstance(value, TensorValue):
            return [value.array()]
        if node.is_plugin and node.ignores_inputs:
            reference = self.context.catalog.reference(node.op)
            if reference is None:
                return None
            return list(reference.run(node.attrs, [], (rule,) if rule in reference.changes else ()))
        axis = dict(node.operands).get("axis")
        if node.op != "ConcatV2" or not node.inputs or not isinstance(axis, int):
            return None
        parts: list[np.ndarray] = []
        for text in node.inputs:
            base, _, port = text.partition(":")
            outputs = self._computed(base, rule, above | {name})
            if outputs is None:
                return None
            ports = self.given[base].ports
            slot = ports.index(port) if port in ports else int(port or 0) if (port or "0").isdigit() else None
            if port != "*" and (slot is None or slot >= len(outputs)):
                return None
            parts += outputs if port == "*" else [outputs[slot or 0]]
        return [np.concatenate(parts, axis=axis)]

    def _declared(self, port: str) -> str:
        """Return what the recipe has the plugin read at a port."""
        given = self.context.recipe.nodes[self.name].inputs
        assert isinstance(given, Mapping)
        return given[port]

    def nodes(self, prior: np.ndarray, *, clips: bool, drops: bool) -> tuple[dict[str, NodeSpec], Decoding]:
        """Return the nodes that decode, with the plugin node that reads them.

        Each coordinate is a tensor of its own, float32[N, P, 1, 1], so that no parser can take an axis for
        another one, and no layer rounds it to fewer digits, as a convolution may.
        """
        count = prior.shape[2] // 4
        boxes_of_anchors, variances = prior.astype(np.float64).reshape(2, count, 4)
        low, high = boxes_of_anchors[:, :2].T, boxes_of_anchors[:, 2:].T  # x, y
        size, middle = high - low, (low + high) / 2
        # Coordinates count from the window's corner in units of its sides, so that clipping is exact.
        starts, ends = (self.window[1], self.window[0]), (self.window[3], self.window[2])
        encodings = self._reshaped("encodings", self._declared("loc"), count, 4, 1)
        code_type = self.code
        assert isinstance(code_type, int)
        by_corner = code_type == CORNER_SIZE
        code = {
            part: self._slice(f"t{part}" if by_corner else part, encodings, place)
            for place, part in enumerate(_ORDERS[code_type])
        }
        first: dict[str, str] = {}
        last: dict[str, str] = {}
        for at, axis in enumerate("xy"):
            side, unit = "wh"[at], ends[at] - starts[at]
            if by_corner:
                for end, corner, edges in (("min", low, first), ("max", high, last)):
                    factor = variances[:, at + 2 * (end == "max")] * size[at] / unit
                    moved = self._by("Mul", f"shift_{axis}{end}", code[f"{axis}{end}"], factor)
                    edges[axis] = self._by("Add", f"{axis}{end}", moved, (corner[at] - starts[at]) / unit)
                    if clips:
                        edges[axis] = self._clipped(f"{axis}{end}", edges[axis])
                continue
            shift = self._by("Mul", f"shift_{axis}", code[f"t{axis}"], variances[:, at] * size[at] / unit)
            centre = self._by("Add", f"centre_{axis}", shift, (middle[at] - starts[at]) / unit)
            growth = self._by("Mul", f"growth_{side}", code[f"t{side}"], variances[:, 2 + at])
            grown = self._of("Exp", f"exp_{side}", growth)
            half = self._by("Mul", f"half_{side}", grown, size[at] / unit / 2)
            first[axis] = self._of("Sub", f"{axis}min", centre, half)
            last[axis] = self._of("Add", f"{axis}max", centre, half)
            if clips:
                first[axis] = self._clipped(f"{axis}min", first[axis])
                last[axis] = self._clipped(f"{axis}max", last[axis])
        found = {
            name: self._in_picture(name, value, starts[at], ends[at])
            for name, value, at in (
                ("xmin", first["x"], 0),
                ("ymin", first["y"], 1),
                ("xmax", last["x"], 0),
                ("ymax", last["y"], 1),
            )
        }
        order = ("ymin", "xmin", "ymax", "xmax") if self.is_native else tuple(found)
        corners = [found[name] for name in order]
        boxes = self._reshaped("boxes", self._joined(corners), 4 * count, 1, 1)
        scores = self._scores(first, last, count) if drops else ""
        read = {"loc": boxes, "conf": scores or self._declared("conf")}
        anchors = ""
        if not self.is_native:
            zeros = TensorValue.of(np.zeros_like(prior), DType.FLOAT32)
            read["prior"] = anchors = self._constant("anchors", zeros)
        overridden = {} if self.is_native else {**_OVERRIDDEN, **self._one_set()}
        plugin = replace(
            self.plugin,
            attrs={**self.plugin.attrs, **overridden},
            inputs=tuple(read[port] for port in self._ports() if port in read),
        )
        first_scores = self._name("scores") if drops else ""
        return {**self.made, self.name: plugin}, Decoding(
            self.name,
            anchors,
            encodings,
            first_scores,
            clips,
            self.window,
            code_type,
            nodes=frozenset(self.made),
            constants={role: name for role, name in self.constants.items() if _is_geometry(role)},
        )

    def _ports(self) -> tuple[str, ...]:
        """Return the plugin's ports in the order in which it reads them."""
        given = self.context.recipe.nodes[self.name].inputs
        spec = self.context.catalog[self.plugin.op]
        assert isinstance(given, Mapping)
        if spec.order_field is not None:
            return tuple(given)
        return tuple(port.name for port in spec.inputs if port.name in given and not port.unused)

    def _one_set(self) -> Mapping[str, AttrValue]:
        """Return the field that says that all pictures share the anchors, zeros here, where it is there."""
        return {"isBatchAgnostic": 1} if "isBatchAgnostic" in self.plugin.attrs else {}

    def _scores(self, first: Mapping[str, str], last: Mapping[str, str], count: int) -> str:
        """Return the scores, with those of boxes without an area far below any threshold."""
        sides = []
        for axis, side in zip("xy", "wh", strict=True):
            length = self._of("Sub", f"side_{side}", last[axis], first[axis])
            sides.append(self._steep(f"has_{side}", length))
        area = self._of("Mul", "has_sides", *sides)
        for number in range(3):
            area = self._steep(f"has_area_{number}", area)
        penalty = self._by("Mul", "kept", area, DROPPED)
        penalty = self._by("Sub", "dropped", penalty, 6 * DROPPED)
        classes = self.plugin.attrs["numClasses"]
        assert isinstance(classes, int)
        scores = self._reshaped("scores", self._declared("conf"), count, classes, 1)
        kept = self._of("Add", "scores_kept", scores, penalty)
        return self._reshaped("kept_scores", kept, count * classes, 1, 1)

    def _steep(self, name: str, value: str) -> str:
        """Return 0 where a tensor is 0 or less, 6 where it is a little more."""
        return self._of("Relu6", name, self._by("Mul", f"{name}/steep", value, STEEP))

    def _clipped(self, name: str, value: str) -> str:
        """Return a coordinate clipped to 0 and 1, exactly, without Minimum, which UFF lacks for constants.

        Up to 6, ``z - 1`` has no rounding, and neither has ``z - (z - 1)``.
        """
        bounded = self._of("Relu6", f"{name}/bounded", value)
        over = self._of("Relu", f"{name}/over", self._by("Sub", f"{name}/beyond", bounded, 1.0))
        return self._of("Sub", f"{name}/clipped", bounded, over)

    def _in_picture(self, name: str, value: str, start: float, end: float) -> str:
        """Return a coordinate that counts from the window's corner as a share of the picture."""
        if (start, end) == (0.0, 1.0):
            return value
        scaled = self._by("Mul", f"{name}/scaled", value, end - start)
        return self._by("Add", f"{name}/moved", scaled, start)

    # --- single nodes

    def _name(self, name: str) -> str:
        return self.context.graph.free_name(f"{self.name}/decode/{name}", self.context.recipe.nodes)

    def _put(self, name: str, op: str, inputs: Iterable[str], **more: Any) -> str:
        full = self._name(name)
        attrs = more.pop("attrs", {}) if op == "Const" else {"T": DType.FLOAT32, **more.pop("attrs", {})}
        self.made[full] = NodeSpec(full, op, attrs, tuple(inputs), span=self.plugin.span, **more)
        return full

    def _of(self, op: str, name: str, *inputs: str) -> str:
        return self._put(name, op, inputs)

    def _by(self, op: str, name: str, value: str, number: float | np.ndarray) -> str:
        """Return arithmetic with a constant: one number, or one an anchor."""
        array = np.asarray(number, np.float32)
        array = array[0] if array.ndim and np.all(array == array[0]) else array
        tensor = TensorValue.of(array.reshape(-1, 1, 1) if array.ndim else array, DType.FLOAT32)
        self.constants[name] = self._constant(f"{name}/by", tensor)
        return self._put(name, op, (value, self.constants[name]))

    def _constant(self, name: str, value: TensorValue) -> str:
        return self._put(name, "Const", (), attrs={"dtype": DType.FLOAT32, "value": value}, spec=value.spec)

    def _reshaped(self, name: str, value: str, *dims: int) -> str:
        return self._put(name, "Reshape", (value,), operands=(("shape", [-1, *dims]),))

    def _slice(self, name: str, value: str, place: int) -> str:
        others = 0b1011  # every axis but the third is whole
        return self._put(
            name,
            "StridedSlice",
            (value,),
            attrs={
                "begin_mask": others,
                "end_mask": others,
                "ellipsis_mask": 0,
                "new_axis_mask": 0,
                "shrink_axis_mask": 0,
            },
            operands=(
                ("begin", [0, 0, place, 0]),
                ("end", [0, 0, place + 1, 0]),
                ("strides", [1, 1, 1, 1]),
            ),
        )

    def _joined(self, parts: Iterable[str]) -> str:
        return self._put("corners", "ConcatV2", parts, operands=(("axis", 2),))
