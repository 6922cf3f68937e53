"""Pieces of HTML that show what a recipe says, and what a plugin is."""

from __future__ import annotations

from collections.abc import Mapping

from surgeon.catalog import FieldSpec, PluginSpec
from surgeon.display import some
from surgeon.language import Image, ImageStep, NodeDefinition, Recipe
from surgeon.viewer.html_parts import badge, lines_of, name_of, place_of, table, value_of
from surgeon.viewer.markup import Markup, element, join


def nodes(recipe: Recipe) -> Markup:
    """Return the nodes that a recipe puts in: what they are, what they read, and their fields."""
    rows = [
        (name_of(name), _kind(node), _inputs(node), _values(node), place_of(recipe.place("nodes", name)))
        for name, node in recipe.nodes.items()
    ]
    return table(["node", "operation", "reads", "says", "recipe"], rows)


def namespaces(recipe: Recipe) -> Markup:
    """Return what a recipe takes out, and the node that takes its place."""
    rows = [
        (
            name_of(name),
            name_of(rule.node),
            "may be absent" if rule.optional else "",
            place_of(recipe.place("namespaces", name)),
        )
        for name, rule in recipe.namespaces.items()
    ]
    return table(["namespace", "becomes", "condition", "recipe"], rows)


def rest(recipe: Recipe) -> Markup:
    """Return the recipe's parameters, steps, outputs, picture and engine."""
    engine = recipe.engine
    rows: list[tuple[str, object]] = [
        ("parameters", ", ".join(f"{key} = {value_of(value)}" for key, value in recipe.parameters.items())),
        ("steps", ", ".join(step.step for step in recipe.steps)),
        ("outputs", some(recipe.outputs, 8)),
        ("image", _image(recipe.image)),
        ("classes", some([f"{number} {label}" for number, label in recipe.labels.items()], 6)),
        ("anchors", recipe.anchors),
        ("engine", f"{engine.precision}, batches up to {engine.max_batch}"),
    ]
    return table(["", ""], [(name, text) for name, text in rows if text])


def _kind(node: NodeDefinition) -> Markup:
    return badge(node.plugin, "plugin") if node.plugin else element("code", node.op)


def _inputs(node: NodeDefinition) -> str:
    if isinstance(node.inputs, Mapping):
        return ", ".join(f"{port}: {source}" for port, source in node.inputs.items())
    return ", ".join(node.inputs or ())


def _values(node: NodeDefinition) -> Markup:
    keys = {
        key: value
        for key, value in node
        if value is not None and key not in ("plugin", "op", "inputs", "fields")
    }
    parts = [_value(key, value) for key, value in {**keys, **(node.fields or {})}.items()]
    return element("span", *parts)


def _value(key: str, value: object) -> Markup:
    text = badge("auto", "derived") if value == "auto" else element("b", value_of(value))
    return element("span", join(key, " ", text), class_="field")


def _image(image: Image | str | None) -> str:
    if image is None or isinstance(image, str):
        return image or ""
    height, width = image.size
    return "; ".join(
        [
            f"{height} × {width}, {image.color}, {image.resize}, {image.interpolation}",
            *map(_step, image.steps),
        ]
    )


def _step(step: ImageStep) -> str:
    return next(f"{name} {value_of(value)}" for name, value in step if value is not None)


def plugin(spec: PluginSpec) -> Markup:
    """Return what a plugin is: its inputs, outputs and fields."""
    kinds = {"input": spec.inputs, "output": spec.outputs}
    rows = [(kind, name_of(port.name), port.summary) for kind, ports in kinds.items() for port in ports]
    fields = [
        (name_of(name), field.type, _default(field), field.summary) for name, field in spec.fields.items()
    ]
    return join(
        element("p", badge(spec.op, "plugin"), " ", element("b", spec.title)),
        element("p", spec.summary),
        table(["kind", "port", "what it is"], rows),
        table(["field", "type", "default", "what it means"], fields),
        lines_of([remark.text for remark in spec.remarks]),
    )


def _default(field: FieldSpec) -> str:
    default = "required" if field.required else value_of(field.default)
    return f"{default}; can be derived" if field.derivable else default
