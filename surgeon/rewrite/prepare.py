"""From what a recipe says to the nodes it puts in: fields derived, checked and complete."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from surgeon.catalog import Catalog, PluginSpec
from surgeon.catalog.availability import release_with
from surgeon.diagnostics import SurgeonError
from surgeon.families import Derivation, DerivationContext, derive_fields, derive_roles, input_spec
from surgeon.families.context import check_picture_size
from surgeon.families.fields import check_lacks, placed
from surgeon.graph import AttrValue, DType, Graph, Ref, Shape, TensorSpec, TensorValue
from surgeon.language import OPERANDS, Image, NamespaceRule, NodeDefinition, Recipe
from surgeon.rewrite.anchors import UNFIT, chosen, constant_or_plugin, makers, with_constant
from surgeon.rewrite.decoding import Rendering, chosen_decode, native_in_front, with_decoding
from surgeon.rewrite.explicit_batch import with_explicit_batch
from surgeon.rewrite.suppression import chosen_suppression, decoded_by_native, with_chosen_suppression
from surgeon.steps.step import NodeSpec
from surgeon.targets import Target


@dataclass(frozen=True)
class PreparedRecipe:
    """A recipe's nodes, namespaces and image as they stand for one graph and target.

    ``found`` are the derivations of fields and namespaces, ``shown`` those of the image. ``recipe`` has the
    plugin that was chosen for suppression.
    """

    recipe: Recipe
    rendering: Rendering
    found: tuple[Derivation, ...]
    shown: tuple[Derivation, ...] = ()
    image: Image | None = None

    @property
    def nodes(self) -> Mapping[str, NodeSpec]:
        """What the recipe puts in, by name."""
        return self.rendering.nodes

    @property
    def namespaces(self) -> Mapping[str, NamespaceRule]:
        """What the recipe takes out, and the node in its place."""
        return self.rendering.namespaces

    @property
    def derivations(self) -> tuple[Derivation, ...]:
        """Every value that was derived, with its evidence."""
        return (*self.rendering.corrected(self.found), *self.rendering.derivations, *self.shown)


def prepare_recipe(
    recipe: Recipe,
    graph: Graph,
    catalog: Catalog,
    target: Target | None,
    anchors: str | None = None,
    decode: str | None = None,
    suppression: str | None = None,
) -> PreparedRecipe:
    """Return the recipe's nodes, every ``auto`` derived and every field checked against the target's version.

    ``anchors``, ``decode`` and ``suppression`` override the recipe's. Raise SurgeonError: what derivations
    and the catalog raise, S401 for a plugin that the target does not have, S402 for inputs that are not the
    plugin's ports, S403 for an attribute that has no value of TensorFlow's, S409 for anchors that cannot be a
    constant, S410 for one of the three that means nothing, S414 for boxes that cannot be decoded in the
    graph, and S415 where SurgeonDetection cannot stand in for what suppresses.
    """
    context = DerivationContext(recipe, graph, catalog, None if target is None else target.most_rows)
    wanted = recipe.anchors if anchors is None else chosen(anchors)
    asked_decode = None if decode is None else chosen_decode(decode)
    wanted_suppression = recipe.suppression if suppression is None else chosen_suppression(suppression)
    recipe, suppressed = with_chosen_suppression(context, target, wanted_suppression, asked_decode)
    recipe, explicit = with_explicit_batch(recipe, target)
    suppressed = (*suppressed, *explicit)
    wanted_decode = asked_decode or recipe.decode
    context = context.with_recipe(recipe)
    decoded = None if native_in_front(context) else decoded_by_native(recipe)
    if asked_decode is None and wanted_decode == "graph" and decoded is not None:
        wanted_decode, suppressed = "auto", (*suppressed, decoded)
    namespaces, found = derive_roles(context)
    found += suppressed
    replaced = makers(context) if wanted == "constant" else []
    nodes: dict[str, NodeSpec] = {}
    problems: dict[str, SurgeonError] = {}
    for name, definition in recipe.nodes.items():
        if name in replaced:
            continue
        try:
            if definition.plugin is not None:
                nodes[name], derived = _plugin(context, name, definition, catalog, target)
            else:
                nodes[name], derived = _ordinary(context, name, definition)
            found += derived
        except SurgeonError as exc:
            problems[name] = exc
    unfit = {name: exc for name, exc in problems.items() if exc.diagnostics[0].code in UNFIT}
    reason = constant_or_plugin(context, wanted, unfit)
    if reason is not None or wanted == "constant":
        try:
            nodes, namespaces, derived_anchors = with_constant(context, nodes, namespaces, reason)
            problems = {name: exc for name, exc in problems.items() if exc is not reason}
            found.append(derived_anchors)
        except SurgeonError as exc:
            problems["anchors"] = exc
    image, shown = _image(context, problems)
    if problems:
        raise SurgeonError(*(diagnostic for exc in problems.values() for diagnostic in exc.diagnostics))
    rendering = with_decoding(context, nodes, namespaces, wanted_decode)
    return PreparedRecipe(recipe, rendering, tuple(found), tuple(shown), image)


def _image(
    context: DerivationContext, problems: dict[str, SurgeonError]
) -> tuple[Image | None, list[Derivation]]:
    """Return the recipe's image, derived where it is ``auto``; note a failure among the problems."""
    image = context.recipe.image
    if image != "auto":
        return image, []
    likes = [
        node.like
        for node in context.recipe.nodes.values()
        if node.op == "Placeholder" and node.like is not None
    ]
    try:
        found = context.family.image_at(Ref.parse(likes[0])) if len(likes) == 1 else context.family.image
    except SurgeonError as exc:
        problems["image"] = placed(exc, context, "image")
        return None, []
    plain = found.value.model_dump(exclude_none=True)
    return found.value, [
        Derivation("image", key, _listed(value), found.evidence if key == "size" else ())
        for key, value in plain.items()
    ]


def _listed(value: Any) -> Any:
    return [_listed(item) for item in value] if isinstance(value, tuple | list) else value


def _plugin(
    context: DerivationContext, name: str, definition: NodeDefinition, catalog: Catalog, target: Target | None
) -> tuple[NodeSpec, list[Derivation]]:
    recipe = context.recipe
    assert definition.plugin is not None
    where = recipe.span("nodes", name, "plugin")
    spec = catalog.get_plugin(definition.plugin, where)
    version = release_with(catalog, spec.op, target, name, where) if target is not None else None
    check_lacks(context, name, spec)
    fields, derived = derive_fields(context, name)
    complete = spec.complete(
        fields, version=version, where=lambda key: recipe.span("nodes", name, "fields", key)
    )
    attrs: dict[str, AttrValue] = {k: v.encode() if isinstance(v, str) else v for k, v in complete.items()}
    like = Ref.parse(definition.like) if definition.like is not None else None
    return NodeSpec(
        name,
        spec.op,
        attrs,
        _ordered_inputs(context, name, definition, spec),
        (),
        tuple(spec.output_ports(complete)),
        like,
        TensorSpec(DType.FLOAT32),
        _ignores(spec),
        True,
        recipe.span("nodes", name),
    ), derived


def _ignores(spec: PluginSpec) -> bool:
    return not spec.inputs or all(port.unused for port in spec.inputs)


def _ordered_inputs(
    context: DerivationContext, name: str, definition: NodeDefinition, spec: PluginSpec
) -> tuple[str, ...] | None:
    """Return the declared inputs.

    In the order written where the plugin takes any order, else in that of its ports.
    """
    given = definition.inputs
    if not isinstance(given, Mapping):
        return given
    ports = {port.name: port for port in spec.inputs if not port.unused}
    for key in given:
        if key not in ports:
            raise context.fail(
                "S402",
                f"the plugin {spec.op} has no input '{key}'",
                "nodes",
                name,
                "inputs",
                key,
                notes=[f"its inputs: {', '.join(ports) or 'none'}"],
                help=["name the plugin's own inputs"],
            )
    missing = [port.name for port in ports.values() if port.name not in given and not port.optional]
    if missing:
        raise context.fail(
            "S402",
            f"'{name}' leaves out the input '{missing[0]}' of {spec.op}",
            "nodes",
            name,
            "inputs",
            notes=[f"its inputs: {', '.join(ports)}"],
            help=[f"add '{missing[0]}: NODE'"],
        )
    if spec.order_field is not None:
        return tuple(given.values())
    return tuple(given[port] for port in ports if port in given)


def _ordinary(
    context: DerivationContext, name: str, definition: NodeDefinition
) -> tuple[NodeSpec, list[Derivation]]:
    recipe = context.recipe
    assert definition.op is not None
    attrs: dict[str, AttrValue] = {k: _attr(context, name, k, v) for k, v in (definition.attrs or {}).items()}
    spec: TensorSpec | None = None
    derived: list[Derivation] = []
    if definition.op == "Placeholder":
        found = input_spec(context, name, definition)
        spec = found.value
        assert spec is not None and spec.dtype is not None
        check_picture_size(context, name, definition, spec)
        attrs |= {"dtype": spec.dtype, "shape": spec.shape}
        derived.append(Derivation(name, "shape", str(spec), found.evidence))
    elif definition.op == "Const" and definition.value == "auto":
        anchors = context.family.anchor_constant()
        value = TensorValue.of(anchors.value, DType.FLOAT32)
        attrs |= {"dtype": value.dtype, "value": value}
        spec = value.spec
        derived.append(Derivation(name, "value", f"the graph's anchors, {spec}", anchors.evidence))
    elif definition.op == "Const":
        value = TensorValue.of(definition.value, DType(definition.dtype) if definition.dtype else None)
        attrs |= {"dtype": value.dtype, "value": value}
        spec = value.spec
    elif definition.dtype is not None:
        attrs["T"] = DType(definition.dtype)
        spec = TensorSpec(DType(definition.dtype), Shape())
    inputs = definition.inputs
    if isinstance(inputs, Mapping):
        raise context.fail(
            "S402",
            f"'{name}' ({definition.op}) names its inputs; an ordinary operation takes a list",
            "nodes",
            name,
            "inputs",
            help=[f"write a list: inputs: [{', '.join(inputs.values())}]"],
        )
    operands = tuple((key, _plain(getattr(definition, key))) for key in OPERANDS.get(definition.op, ()))
    like = Ref.parse(definition.like) if definition.like is not None else None
    return NodeSpec(
        name,
        definition.op,
        attrs,
        inputs,
        operands,
        ("output",),
        like,
        spec,
        False,
        False,
        recipe.span("nodes", name),
    ), derived


def _plain(value: Any) -> Any:
    return [_plain(item) for item in value] if isinstance(value, tuple) else value


_TYPES = {d.value: d for d in DType}


def _attr(context: DerivationContext, name: str, key: str, value: Any) -> AttrValue:
    """Return an attribute of an ordinary operation.

    A type's name under a type's key is a type, a string is bytes.
    """
    if isinstance(value, str):
        is_type = value in _TYPES and (key in ("dtype", "out_type", "SrcT", "DstT") or key.startswith("T"))
        return _TYPES[value] if is_type else value.encode()
    if isinstance(value, bool | int | float):
        return value
    if isinstance(value, list | tuple) and len({type(v) for v in value}) <= 1:
        items = [_attr(context, name, key, v) for v in value]
        return tuple(items)  # type: ignore[arg-type]
    raise context.fail(
        "S403",
        f"the attribute '{key}' of '{name}' cannot be {value!r:.40}; expected a number, a string, "
        "a truth value, or a list of one kind",
        "nodes",
        name,
        "attrs",
        key,
    )
