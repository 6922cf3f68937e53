"""What the command line does, as functions that return values; nothing here prints."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from surgeon.diagnostics import Diagnostic, SurgeonError, error
from surgeon.graph import Graph, Tensor
from surgeon.graphdef import load_graph, save_graph
from surgeon.language import Recipe, load_recipe, recipe_files
from surgeon.rewrite import Plan, apply
from surgeon.rewrite import plan as _plan
from surgeon.targets import Target, load_target, target_for_output

if TYPE_CHECKING:
    from surgeon.catalog import Catalog
    from surgeon.export.uff import UffModel
    from surgeon.graph.diff import GraphDiff

__all__ = ["Check", "Conversion", "Fit", "Inspection", "Namespace", "Unsupported", "apply", "check", "convert", "diff",
           "export_graph", "inspect", "plan", "read_model", "replay"]  # fmt: skip

PathLike: TypeAlias = "str | os.PathLike[str]"

DEFAULT_TARGET = "uff@tensorrt-8.5"
"""The target where neither an output nor the caller names one."""

_DEPTH = 12
"""Components of a namespace that are looked at in order to find recipes that fit."""

_BACKBONE = re.compile(r"[a-z]+_?v\d+")


@dataclass(frozen=True)
class Conversion:
    """What :func:`convert` did: the plan it applied, and the file it wrote."""

    plan: Plan
    output: Path
    target: str
    nodes_before: int
    nodes_after: int
    bytes_written: int


@dataclass(frozen=True)
class Check:
    """What :func:`check` found out.

    ``plan`` is None where no model was given. ``problems`` are what the target's exporter objects to; the recipe
    converts the model where there are none.
    """

    recipe: Recipe
    target: str
    plan: Plan | None = None
    problems: tuple[Diagnostic, ...] = ()


@dataclass(frozen=True)
class Namespace:
    """A namespace, or a node outside any: how many nodes it holds, and the bytes of its constants."""

    name: str
    depth: int
    nodes: int
    constant_bytes: int


@dataclass(frozen=True)
class Unsupported:
    """Nodes of one top-level namespace (empty: outside any) that a target cannot run, and what to do about them."""

    namespace: str
    nodes: int
    ops: Mapping[str, int]
    remedy: str


@dataclass(frozen=True)
class Fit:
    """A recipe whose namespaces and tensors are all in the graph; ``backbone`` is what its name and the graph share."""

    recipe: str
    summary: str
    backbone: str


@dataclass(frozen=True)
class Inspection:
    """What a graph or a UFF file consists of.

    ``inputs`` and ``outputs`` map names to what is known of them. ``ops`` counts nodes, the most frequent first.
    ``plugins`` maps the plugin nodes of a UFF file to their op. ``unsupported`` and ``fits`` are for graphs only.
    """

    source: str
    format: str
    nodes: int
    constant_bytes: int
    target: str
    inputs: Mapping[str, str]
    outputs: Mapping[str, str]
    namespaces: tuple[Namespace, ...]
    ops: Mapping[str, int]
    plugins: Mapping[str, str]
    unsupported: tuple[Unsupported, ...] = ()
    fits: tuple[Fit, ...] = ()


def plan(
    recipe: Recipe | PathLike,
    model: Graph | PathLike,
    *,
    target: Target | str | None = None,
    parameters: Mapping[str, Any] | None = None,
    recipe_paths: Iterable[PathLike] = (),
    plugin_paths: Iterable[PathLike] = (),
) -> Plan:
    """Return the edits that a recipe makes to a model, without making them.

    The arguments are those of :func:`convert`; the target is ``uff@tensorrt-8.5`` where none is given. The plan's
    ``result`` is the rewritten graph. Raise SurgeonError for whatever is wrong with recipe or model.
    """
    catalog = _catalog(plugin_paths)
    ready = _recipe(recipe, parameters, recipe_paths)
    return _plan(ready, _graph(model), target=_target(target), catalog=catalog)


def convert(
    recipe: Recipe | PathLike,
    model: Graph | PathLike,
    output: PathLike,
    *,
    target: Target | str | None = None,
    parameters: Mapping[str, Any] | None = None,
    recipe_paths: Iterable[PathLike] = (),
    plugin_paths: Iterable[PathLike] = (),
) -> Conversion:
    """Rewrite a model by a recipe and write it to ``output``, a ``.uff``, ``.pb`` or ``.pbtxt`` file.

    ``recipe`` is a loaded recipe, a recipe's name or its path; ``model`` a graph, a frozen graph's path or a
    SavedModel folder. ``target`` follows the output's suffix where it is None. ``parameters`` sets the recipe's
    parameters, to values or to text read as YAML; it goes with a recipe's name or path. ``recipe_paths`` and
    ``plugin_paths`` are folders of further recipes and plugins. The output may be the input: it is replaced when it
    is complete.

    Raise SurgeonError for whatever is wrong with recipe, model or output; nothing is written then. Raise TypeError
    where ``parameters`` come with a loaded recipe.
    """
    path = Path(output)
    chosen = _output_target(path, target)
    catalog = _catalog(plugin_paths)
    graph = _graph(model)
    made = _plan(_recipe(recipe, parameters, recipe_paths), graph, target=chosen, catalog=catalog)
    result = apply(made, graph)
    written = export_graph(result, path, chosen, catalog)
    return Conversion(made, path, chosen.name, len(graph), len(result), written)


def replay(
    plan: Plan,
    model: Graph | PathLike,
    output: PathLike,
    *,
    target: Target | str | None = None,
    plugin_paths: Iterable[PathLike] = (),
) -> Conversion:
    """Apply a plan to the model it was made for and write the result; the target is the plan's where it is None.

    Raise SurgeonError S404 where the plan is for another graph, and as :func:`convert` does; nothing is written then.
    """
    path = Path(output)
    chosen = _output_target(path, target or plan.target or None)
    catalog = _catalog(plugin_paths)
    graph = _graph(model)
    result = apply(plan, graph)
    written = export_graph(result, path, chosen, catalog)
    return Conversion(plan, path, chosen.name, len(graph), len(result), written)


def check(
    recipe: Recipe | PathLike,
    model: Graph | PathLike | None = None,
    *,
    target: Target | str | None = None,
    parameters: Mapping[str, Any] | None = None,
    recipe_paths: Iterable[PathLike] = (),
    plugin_paths: Iterable[PathLike] = (),
) -> Check:
    """Validate a recipe and, with a model, plan it and hold the result against the target; nothing is written.

    The arguments are those of :func:`convert`. Raise SurgeonError where the recipe is wrong or cannot be planned;
    what the exporter objects to is returned.
    """
    chosen = _target(target)
    catalog = _catalog(plugin_paths)
    ready = _recipe(recipe, parameters, recipe_paths)
    _check_plugins(ready, catalog, chosen)
    if model is None:
        return Check(ready, chosen.name)
    made = _plan(ready, _graph(model), target=chosen, catalog=catalog)
    assert made.result is not None
    return Check(ready, chosen.name, made, _lint(made.result, chosen, catalog))


def inspect(
    model: Graph | PathLike,
    *,
    depth: int = 1,
    target: Target | str | None = None,
    recipe_paths: Iterable[PathLike] = (),
    plugin_paths: Iterable[PathLike] = (),
) -> Inspection:
    """Return what a frozen graph, a SavedModel or a ``.uff`` file consists of.

    ``depth`` is how many components of a namespace are told apart. For a graph, tell also what the target cannot run
    and which recipes fit. Raise SurgeonError where the file cannot be read.
    """
    loaded = model if isinstance(model, Graph) else read_model(model)
    chosen = _target(target)
    if not isinstance(loaded, Graph):
        return _inspect_uff(loaded, os.fspath(model) if not isinstance(model, Graph) else "", depth)
    catalog = _catalog(plugin_paths)
    sizes = {node.name: _constant_bytes(node.attrs.values()) for node in loaded}
    read = loaded.readers
    # A placeholder that nothing reads is a leftover; only where all are unread do they count as inputs.
    fed = [n for n in loaded if n.op in ("Placeholder", "PlaceholderWithDefault")]
    live = [n for n in fed if read[n.name]] or fed
    return Inspection(
        source=loaded.source,
        format="graph",
        nodes=len(loaded),
        constant_bytes=sum(sizes.values()),
        target=chosen.name,
        inputs={n.name: f"{_text(n.attrs.get('dtype'))}{_text(n.attrs.get('shape')) or '[?]'}" for n in live},
        outputs={str(ref): loaded[ref.node].op for ref in loaded.output_refs},
        namespaces=_namespaces(sizes, depth),
        ops=_counted(node.op for node in loaded),
        plugins={node.name: node.op for node in loaded if node.op in catalog},
        unsupported=_unsupported(loaded, chosen, catalog),
        fits=_fits(loaded, [Path(p) for p in recipe_paths]),
    )


def diff(a: Graph | PathLike, b: Graph | PathLike) -> GraphDiff:
    """Return how two graphs differ: nodes only in one, and nodes that changed. Raise SurgeonError for a bad file."""
    from surgeon.graph.diff import diff_graphs

    return diff_graphs(_graph(a), _graph(b))


def read_model(path: PathLike) -> Graph | UffModel:
    """Read a model of any kind, by its suffix: ``.uff``, else a frozen graph or a SavedModel folder."""
    if Path(path).suffix.lower() == ".uff":
        from surgeon.export.uff import read_uff

        return read_uff(path)
    return load_graph(path)


def export_graph(graph: Graph, output: Path, target: Target, catalog: Catalog) -> int:
    """Write a rewritten graph in the format of the output's suffix; return the bytes written. Raise SurgeonError."""
    if output.suffix.lower() == ".uff":
        from surgeon.export.uff import export_uff, write_uff

        write_uff(export_uff(graph, plugins=catalog, target=_uff_view(target)), output)
    else:
        save_graph(graph, output)
    return output.stat().st_size if output.is_file() else 0


def _output_target(output: Path, target: Target | str | None) -> Target:
    """Return the target of an output, after checking that the two go together."""
    by_suffix = target_for_output(output)
    chosen = by_suffix if target is None else _target(target)
    if by_suffix.format == "onnx" or chosen.format == "onnx":
        raise SurgeonError(_no_onnx(f"'{output}' for the target '{chosen.name}'"))
    if by_suffix.format == "uff" and chosen.format != "uff":
        raise error("X131", f"'{output}' does not fit the target '{chosen.name}'; expected a suffix of its format", str(output),
                    help=["name the output '.pb' or '.pbtxt', or choose a target such as 'uff@tensorrt-8.5'"])  # fmt: skip
    return chosen


def _no_onnx(what: str) -> Diagnostic:
    return Diagnostic("X130", f"{what} cannot be written; ONNX export is not part of this version",
                      help=("write a '.uff', '.pb' or '.pbtxt' file; a '.pb' can go through another converter",))  # fmt: skip


def _target(target: Target | str | None) -> Target:
    return target if isinstance(target, Target) else load_target(target or DEFAULT_TARGET)


def _catalog(plugin_paths: Iterable[PathLike]) -> Catalog:
    from surgeon.catalog import load_catalog

    return load_catalog([Path(p) for p in plugin_paths])


def _graph(model: Graph | PathLike) -> Graph:
    if isinstance(model, Graph):
        return model
    if Path(model).suffix.lower() == ".uff" and Path(model).is_file():
        raise error("E110", f"'{os.fspath(model)}' is a UFF file; expected a frozen graph or a SavedModel folder",
                    help=["give the graph that the UFF file was made from; 'surgeon inspect' reads UFF files"])  # fmt: skip
    return load_graph(model)


def _recipe(recipe: Recipe | PathLike, parameters: Mapping[str, Any] | None, paths: Iterable[PathLike]) -> Recipe:
    if isinstance(recipe, Recipe):
        if parameters:
            raise TypeError("'parameters' go with a recipe's name or path; give them to load_recipe")
        return recipe
    name = recipe if isinstance(recipe, str) else Path(recipe)
    return load_recipe(name, parameters=parameters, recipe_paths=[Path(p) for p in paths])


def _uff_view(target: Target) -> Any:
    # The exporter asks for a version where a target of any runtime has none.
    return target if target.format == "uff" else None


def _lint(graph: Graph, target: Target, catalog: Catalog) -> tuple[Diagnostic, ...]:
    if target.format == "onnx":
        return (_no_onnx(f"a file for the target '{target.name}'"),)
    if target.format != "uff":
        return ()
    from surgeon.export.uff import export_uff

    try:
        export_uff(graph, plugins=catalog, target=_uff_view(target))
    except SurgeonError as exc:
        return exc.diagnostics
    return ()


def _check_plugins(recipe: Recipe, catalog: Catalog, target: Target) -> None:
    """Raise SurgeonError for plugins that the catalog or the target does not have, and for fields they lack."""
    from surgeon.catalog import span_of_versions

    version = target.version if target.runtime == "tensorrt" else None
    problems: list[Diagnostic] = []
    for name, node in recipe.nodes.items():
        if node.plugin is None:
            continue
        try:
            spec = catalog.get_plugin(node.plugin, recipe.span("nodes", name, "plugin"))
        except SurgeonError as exc:
            problems += exc.diagnostics
            continue
        if not spec.exists_in(version):
            problems.append(Diagnostic("S401", f"the plugin {spec.op} of '{name}' does not exist in {target.title}",
                                       recipe.span("nodes", name, "plugin"), (span_of_versions(spec),),
                                       (f"choose another target; 'surgeon explain {spec.op}' says what replaces it",)))  # fmt: skip
            continue
        known = {field.name for field in spec.fields_of(version)}
        given = {key: value for key, value in (node.fields or {}).items() if value != "auto" or key not in known}
        try:
            spec.complete(given, version=version, where=_places(recipe, name))
        except SurgeonError as exc:
            auto = {f"'{key}'" for key, value in (node.fields or {}).items() if value == "auto"}
            problems += [d for d in exc.diagnostics if d.code != "C103" or not any(a in d.message for a in auto)]
    if problems:
        raise SurgeonError(*problems)


def _places(recipe: Recipe, name: str) -> Any:
    return lambda key: recipe.span("nodes", name, "fields", key)


def _constant_bytes(values: Iterable[object]) -> int:
    return sum(value.nbytes for value in values if isinstance(value, Tensor))


def _text(value: object) -> str:
    return "" if value is None else str(getattr(value, "value", value)).removeprefix("shape")


def _counted(names: Iterable[str]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for name in names:
        counts[name] = counts.get(name, 0) + 1
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def _namespaces(sizes: Mapping[str, int], depth: int) -> tuple[Namespace, ...]:
    """Return the namespaces down to ``depth`` components, each before what is inside it, in graph order."""
    total: dict[tuple[str, ...], list[int]] = {}
    inside: dict[tuple[str, ...], dict[tuple[str, ...], None]] = {(): {}}
    for name, size in sizes.items():
        parts = tuple(name.split("/", depth)[:depth])
        for end in range(1, len(parts) + 1):
            key = parts[:end]
            if key not in total:
                total[key] = [0, 0]
                inside[key] = {}
                inside[parts[: end - 1]][key] = None
            total[key][0] += 1
            total[key][1] += size
    found: list[Namespace] = []
    stack = list(reversed(inside[()]))
    while stack:
        key = stack.pop()
        if len(key) == 1 or total[key][0] > 1 or inside.get(key):
            found.append(Namespace("/".join(key), len(key), *total[key]))
            stack.extend(reversed(inside[key]))
    return tuple(found)


def _unsupported(graph: Graph, target: Target, catalog: Catalog) -> tuple[Unsupported, ...]:
    """Return what the outputs need and the target cannot run, by top-level namespace in graph order."""
    if target.format != "uff":
        return ()
    from surgeon.export.uff.remedies import unsupported

    runs = supported_ops(target, catalog)
    needed = graph.ancestors(ref.node for ref in graph.output_refs)
    groups: dict[str, list[Any]] = {}
    for node in graph:
        if node.name in needed and node.op not in runs:
            groups.setdefault(node.name.partition("/")[0] if "/" in node.name else "", []).append(node)
    return tuple(
        Unsupported(namespace, len(nodes), _counted(n.op for n in nodes),
                    "; ".join(unsupported(graph, nodes)[0].help))
        for namespace, nodes in groups.items()
    )  # fmt: skip


def supported_ops(target: Target, catalog: Catalog) -> set[str]:
    """Return the ops that can be in a graph for a UFF target: converted ones, passed-over ones and its plugins."""
    from surgeon.export.uff import converters
    from surgeon.export.uff.exporting import PASSED_OVER

    return {*converters(), *PASSED_OVER, *(op for op, spec in catalog.items() if spec.exists_in(target.version))}


def _fits(graph: Graph, recipe_paths: Sequence[Path]) -> tuple[Fit, ...]:
    """Return the recipes that could be used on a graph, those for its backbone first."""
    prefixes: dict[str, None] = {}
    for node in graph:
        parts = node.name.split("/", _DEPTH)[:_DEPTH]
        prefixes.update(dict.fromkeys(("/".join(parts[:end]) for end in range(1, len(parts) + 1)), None))
        prefixes[node.name] = None
    components = {_plain(part) for prefix in prefixes for part in prefix.split("/")[:3]}
    found: list[tuple[int, str, Fit]] = []
    for name, path in recipe_files(recipe_paths).items():
        try:
            recipe = load_recipe(path, recipe_paths=recipe_paths)
        except SurgeonError:
            continue
        made_for = [_plain(token) for token in _BACKBONE.findall(name)]
        backbone = next((token for token in made_for if token in components), "")
        wanted = [key for key, rule in recipe.namespaces.items() if not rule.optional]
        like = [node.like.partition(":")[0] for node in recipe.nodes.values() if node.like]
        fits = bool(wanted) and all(key in prefixes for key in wanted) and all(tensor in graph for tensor in like)
        if fits and (backbone or not made_for):
            found.append((0 if backbone else 1, name, Fit(name, recipe.summary, backbone)))
    return tuple(fit for _, _, fit in sorted(found, key=lambda item: item[:2]))


def _plain(text: str) -> str:
    return re.sub(r"[^a-z0-9]", "", text.lower())


def _inspect_uff(model: UffModel, source: str, depth: int) -> Inspection:
    from surgeon.export.uff import describe

    summary = describe(model)
    sizes = {node.id: _uff_bytes(model, node.fields.values()) for node in model.nodes}
    return Inspection(
        source=source,
        format="uff",
        nodes=summary["nodes"],
        constant_bytes=summary["weight_bytes"],
        target="",
        inputs={i["name"]: f"{i['dtype']}{i['shape']}".replace(" ", "") for i in summary["inputs"]},
        outputs={o["name"]: ", ".join(o["marks"]) for o in summary["outputs"]},
        namespaces=_namespaces(sizes, depth),
        ops=summary["ops"],
        plugins={p["name"]: p["op"] for p in summary["plugins"]},
    )


def _uff_bytes(model: UffModel, values: Iterable[Any]) -> int:
    blobs = [model.data.get(value.value) for value in values if value.kind == "ref"]
    return sum(blob.value.nbytes for blob in blobs if blob is not None and blob.kind == "blob")
