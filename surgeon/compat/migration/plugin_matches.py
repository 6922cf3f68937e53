"""Polygraphy's lists of subgraphs that a plugin replaces, as recipes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from surgeon.authoring import AuthoredRecipe
from surgeon.diagnostics import SurgeonError, error, nearest_note
from surgeon.graph import Graph, Ref
from surgeon.language import parse_recipe
from surgeon.language.writing import comment, one_line
from surgeon.request import Work


@dataclass(frozen=True)
class Match:
    """A subgraph that a plugin replaces: the tensors that it reads and gives, and the plugin's fields."""

    plugin: str
    node: str
    inputs: tuple[Ref, ...]
    outputs: tuple[Ref, ...]
    fields: Mapping[str, Any]


def recipe_of_matches(path: Path, work: Work, name: str, modeline: str) -> AuthoredRecipe:
    """Return a recipe that puts plugins in the place of the subgraphs that a config.yaml lists.

    The file is what ``polygraphy plugin match`` writes: for each plugin its name, and for each subgraph the
    tensors that it reads and gives, and attributes. Raise SurgeonError P138 for a file that is none, and for
    a subgraph that the graph does not have.
    """
    graph = work.graph
    # A node that another one reads is put in first, whatever the order of the file.
    order = {name: number for number, name in enumerate(graph.topological())}
    matches = sorted(_matches(path, graph), key=lambda each: max(order[ref.node] for ref in each.outputs))
    replaced = {
        output: Ref(match.node, slot) for match in matches for slot, output in enumerate(match.outputs)
    }
    outputs = [str(replaced.get(ref, ref)) for ref in graph.output_refs]
    lines = [
        *modeline.splitlines(),
        *comment(f"In place of Polygraphy's '{path.name}', whose subgraphs were looked up in the graph."),
        "recipe: 1",
        f"name: {one_line(name or 'matches')}",
        "",
        "nodes:",
    ]
    for match in matches:
        inputs = [str(replaced.get(ref, ref)) for ref in match.inputs]
        lines += [
            f"  {one_line(match.node)}:",
            f"    plugin: {one_line(match.plugin)}",
            f"    inputs: {one_line(inputs)}",
        ]
        if match.fields:
            lines += [
                "    fields:",
                *(f"      {key}: {one_line(each)}" for key, each in match.fields.items()),
            ]
    lines += ["", f"outputs: {one_line(outputs)}", "", "steps:"]
    for match in matches:
        lines += ["  - step: collapse", "    take:"]
        lines += [f"      {one_line(node)}: {one_line(match.node)}" for node in _inside(path, graph, match)]
        lines.append("    outputs:")
        lines += [
            f"      {one_line(str(output))}: {one_line(f'{match.node}:{slot}')}"
            for slot, output in enumerate(match.outputs)
        ]
    text = "\n".join([*lines, "  - prune", ""])
    recipe = parse_recipe(text, str(path.with_suffix(".recipe.yaml").name))
    return AuthoredRecipe(recipe.name, f"{len(matches)} subgraphs", text, recipe)


def _matches(path: Path, graph: Graph) -> Iterator[Match]:
    taken: set[str] = set()
    for entry in _documents(path):
        plugin, instances = str(entry["name"]), entry["instances"]
        for instance in instances:
            node = graph.free_name(plugin, taken)
            taken.add(node)
            fields = instance.get("attributes")
            yield Match(
                plugin,
                node,
                tuple(_tensor(each, path, graph, plugin) for each in _listed(instance, "inputs")),
                tuple(_tensor(each, path, graph, plugin) for each in _listed(instance, "outputs")),
                fields if isinstance(fields, dict) else {},
            )


def _documents(path: Path) -> list[Mapping[str, Any]]:
    try:
        documents = list(yaml.safe_load_all(path.read_bytes()))
    except OSError as exc:
        raise error("P138", f"the file cannot be read: {exc.strerror}", str(path)) from None
    except (yaml.YAMLError, ValueError, RecursionError) as exc:
        raise error("P138", f"the file is not YAML: {exc}".replace("\n", " "), str(path)) from None
    entries = [
        each for document in documents for each in (document if isinstance(document, list) else [document])
    ]
    if entries and all(map(_is_entry, entries)):
        return entries
    raise error(
        "P138",
        "the file lists no subgraphs; expected 'name' and 'instances' with 'inputs' and 'outputs'",
        str(path),
        help=["give the config.yaml that 'polygraphy plugin match' writes"],
    )


def _is_entry(entry: Any) -> bool:
    return (
        isinstance(entry, dict)
        and isinstance(entry.get("name"), str)
        and isinstance(entry.get("instances"), list)
        and bool(entry["instances"])
        and all(isinstance(each, dict) and _listed(each, "outputs") for each in entry["instances"])
    )


def _listed(instance: Mapping[str, Any], key: str) -> Sequence[str]:
    given = instance.get(key)
    return [each for each in given if isinstance(each, str)] if isinstance(given, list) else []


def _tensor(text: str, path: Path, graph: Graph, plugin: str) -> Ref:
    try:
        found = Ref.parse(text)
    except ValueError:
        found = Ref(text)
    if found.node in graph:
        return found
    raise _refused(
        f"a subgraph of '{plugin}' names the tensor '{text}', which is not in the graph",
        path,
        nearest_note(found.node, list(graph.nodes)),
        ["name the frozen graph's tensors; tf2onnx has others for what it made itself"],
    )


def _inside(path: Path, graph: Graph, match: Match) -> list[str]:
    """Return the nodes between a subgraph's inputs and outputs, in graph order."""
    inside: set[str] = set()
    borders = set(match.inputs)
    waiting = [ref.node for ref in match.outputs]
    while waiting:
        name = waiting.pop()
        if name in inside:
            continue
        node = graph[name]
        if not node.inputs and node.op != "Const":
            raise _refused(
                f"the subgraph of '{match.plugin}' with the output '{match.outputs[0]}' reaches '{name}' "
                f"({node.op}), which its inputs do not name",
                path,
                (f"its inputs are {', '.join(map(str, match.inputs)) or 'none'}",),
                ["add the tensor to the subgraph's inputs"],
            )
        inside.add(name)
        waiting += [ref.node for ref in node.inputs if ref not in borders]
    # A constant that others read as well stays.
    inside -= {
        name
        for name in inside
        if graph[name].op == "Const" and any(reader not in inside for reader in graph.readers[name])
    }
    for reader in graph:
        for ref in reader.inputs:
            if ref.node in inside and reader.name not in inside and ref not in match.outputs:
                raise _refused(
                    f"'{reader.name}' reads '{ref}', which the subgraph of '{match.plugin}' computes and "
                    "does not list among its outputs",
                    path,
                    (),
                    [f"add '{ref}' to the subgraph's outputs, or take the subgraph out of the file"],
                )
    return [node.name for node in graph if node.name in inside]


def _refused(message: str, path: Path, notes: Sequence[str], help: Sequence[str]) -> SurgeonError:
    return error("P138", message, str(path), tuple(notes), list(help))
