"""What the command line does, as functions that return values; nothing here prints."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from surgeon.diagnostics import Diagnostic, Severity, SurgeonError, error
from surgeon.graph import Graph, Tensor
from surgeon.graphdef import load_graph, save_graph
from surgeon.language import Image, Recipe, load_recipe, recipe_files
from surgeon.rewrite import Plan, apply
from surgeon.rewrite import plan as _plan
from surgeon.targets import Target, load_target, target_for_output

if TYPE_CHECKING:
    import numpy as np

    from surgeon.catalog import Catalog
    from surgeon.derive.authoring import Authored
    from surgeon.export.uff import UffModel
    from surgeon.graph.diff import GraphDiff
    from surgeon.verify import Verification

__all__ = ["Check", "Conversion", "Fit", "Inspection", "Namespace", "Unsupported", "apply", "check", "convert", "diff",
           "export_graph", "init", "inspect", "plan", "read_model", "replay", "verify"]  # fmt: skip

PathLike: TypeAlias = "str | os.PathLike[str]"

DEFAULT_TARGET = "uff@tensorrt-8.5"
"""The target where neither an output nor the caller names one."""

_DEPTH = 12
"""Components of a namespace that are looked at in order to find recipes that fit."""

_BACKBONE = re.compile(r"[a-z]+_?v\d+")


@dataclass(frozen=True)
class Conversion:
    """What :func:`convert` did: the plan it applied, the file it wrote, and what may go wrong in the target's runtime."""

    plan: Plan
    output: Path
    target: str
    nodes_before: int
    nodes_after: int
    bytes_written: int
    warnings: tuple[Diagnostic, ...] = ()


@dataclass(frozen=True)
class Check:
    """What :func:`check` found out.

    ``plan`` is None where no model was given. ``problems`` are what the target's exporter or runtime would refuse; the
    recipe converts the model where there are none. ``warnings`` are what may go wrong there.
    """

    recipe: Recipe
    target: str
    plan: Plan | None = None
    problems: tuple[Diagnostic, ...] = ()
    warnings: tuple[Diagnostic, ...] = ()


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
    anchors: str | None = None,
) -> Plan:
    """Return the edits that a recipe makes to a model, without making them.

    The arguments are those of :func:`convert`; the target is ``uff@tensorrt-8.5`` where none is given. The plan's
    ``result`` is the rewritten graph. Raise SurgeonError for whatever is wrong with recipe or model.
    """
    catalog = _catalog(plugin_paths)
    ready = _recipe(recipe, parameters, recipe_paths)
    return _plan(ready, _graph(model), target=_target(target), catalog=catalog, anchors=anchors)


def convert(
    recipe: Recipe | PathLike,
    model: Graph | PathLike,
    output: PathLike,
    *,
    target: Target | str | None = None,
    parameters: Mapping[str, Any] | None = None,
    recipe_paths: Iterable[PathLike] = (),
    plugin_paths: Iterable[PathLike] = (),
    anchors: str | None = None,
) -> Conversion:
    """Rewrite a model by a recipe and write it to ``output``, a ``.uff``, ``.pb`` or ``.pbtxt`` file.

    ``recipe`` is a loaded recipe, a recipe's name or its path; ``model`` a graph, a frozen graph's path or a
    SavedModel folder. ``target`` follows the output's suffix where it is None. ``parameters`` sets the recipe's
    parameters, to values or to text read as YAML; it goes with a recipe's name or path. ``recipe_paths`` and
    ``plugin_paths`` are folders of further recipes and plugins. ``anchors`` overrides the recipe's key: ``plugin``,
    ``constant`` (one constant with the graph's own anchors) or ``auto``. The output may be the input: it is replaced
    when it is complete.

    Raise SurgeonError for whatever is wrong with recipe, model or output; nothing is written then. Raise TypeError
    where ``parameters`` come with a loaded recipe.
    """
    path = Path(output)
    chosen = _output_target(path, target)
    catalog = _catalog(plugin_paths)
    graph = _graph(model)
    made = _plan(_recipe(recipe, parameters, recipe_paths), graph, target=chosen, catalog=catalog, anchors=anchors)
    result = apply(made, graph)
    warnings = _warnings(result, chosen, catalog, made.image)
    written = export_graph(result, path, chosen, catalog)
    return Conversion(made, path, chosen.name, len(graph), len(result), written, warnings)


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
    warnings = _warnings(result, chosen, catalog, plan.image)
    written = export_graph(result, path, chosen, catalog)
    return Conversion(plan, path, chosen.name, len(graph), len(result), written, warnings)


def check(
    recipe: Recipe | PathLike,
    model: Graph | PathLike | None = None,
    *,
    target: Target | str | None = None,
    parameters: Mapping[str, Any] | None = None,
    recipe_paths: Iterable[PathLike] = (),
    plugin_paths: Iterable[PathLike] = (),
    anchors: str | None = None,
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
    made = _plan(ready, _graph(model), target=chosen, catalog=catalog, anchors=anchors)
    assert made.result is not None
    found = _lint(made.result, chosen, catalog, made.image)
    return Check(ready, chosen.name, made, _errors(found), tuple(d for d in found if d.severity is not Severity.ERROR))


def verify(
    recipe: Recipe | PathLike,
    model: Graph | PathLike,
    *,
    images: PathLike | Iterable[np.ndarray] | None = None,
    target: Target | str | None = None,
    parameters: Mapping[str, Any] | None = None,
    recipe_paths: Iterable[PathLike] = (),
    plugin_paths: Iterable[PathLike] = (),
    box_tolerance: float = 1e-4,
    score_tolerance: float = 1e-4,
    max_excused: int | None = None,
    anchors: str | None = None,
    seed: int = 0,
    output: PathLike | None = None,
) -> Verification:
    """Run a model and what a recipe makes of it on the CPU, and compare: is the same detected?

    TensorFlow runs the model and the ordinary operations of the rewritten graph, references run its plugin nodes.
    ``images`` is a picture file or a folder of them, or arrays uint8[H, W, 3]; without them a picture with texture is
    made from ``seed``. ``box_tolerance`` is the largest difference of a coordinate relative to the picture,
    ``score_tolerance`` that of a score. ``max_excused`` is how many differences of one picture a counterfactual may
    explain; where it is None, half of the detections for what no recipe can change, and none for the recipe's own
    numbers. Both sets of detections are drawn into the folder ``output``. The other arguments are those of
    :func:`plan`.

    Raise SurgeonError as :func:`plan` does; E108 where TensorFlow or Pillow is missing, V101, V102 and V111 for
    pictures, V103 for a tolerance that is none, V104 for the recipe's ``image``, V106 where TensorFlow refuses a graph,
    V107 for a plugin without a reference, V108 for one inside a loop, V109 and V110 for graphs that cannot be compared.
    """
    from surgeon.verify import Limits, Tolerances, given_pictures, verify_plan

    limits = Limits(Tolerances(box_tolerance, score_tolerance), max_excused).check()
    pictures = given_pictures(Path(images) if isinstance(images, str | os.PathLike) else images, seed)
    catalog = _catalog(plugin_paths)
    ready = _recipe(recipe, parameters, recipe_paths)
    made = _plan(ready, _graph(model), target=_target(target), catalog=catalog, anchors=anchors)
    return verify_plan(made, ready, catalog, pictures, made=images is None, limits=limits, seed=seed,
                       output=None if output is None else Path(output))  # fmt: skip


def init(
    model: Graph | PathLike,
    output: PathLike | None = None,
    *,
    pipeline_config: PathLike | None = None,
    labels: PathLike | Mapping[int, str] | None = None,
    name: str | None = None,
    unchecked: bool = False,
    plugin_paths: Iterable[PathLike] = (),
) -> Authored:
    """Write a recipe for a single-shot detector of the Object Detection API, every value read off its graph.

    ``output`` is a ``.yaml`` file; where it is None, nothing is written. A ``pipeline_config`` is compared with the
    graph, which wins; the label map that it names is taken where it lies beside it. ``labels`` is a label map's path,
    or the names of classes by number, from 1 on. The recipe is planned on the graph first, unless ``unchecked``; what
    the default target's exporter objects to is among the result's ``remarks``.

    Raise SurgeonError D140 to D143 for a config or label map that cannot be read, D146 where the graph is no such
    detector, D147 where a part of it is not recognised, D148 where the recipe cannot be planned, and D149 and E105 for
    the output. Nothing is written then.
    """
    from surgeon.atomic import write_text
    from surgeon.derive.authoring import author, check_output, read_witnesses

    path = None if output is None else check_output(Path(output))
    catalog = _catalog(plugin_paths)
    graph = _graph(model)
    named = path.stem if name is None and path is not None else name or ""
    witnesses = read_witnesses(None if pipeline_config is None else Path(pipeline_config), labels)
    made = author(graph, catalog, name=named, witnesses=witnesses)
    if not unchecked:
        made = made.planned(_planned_remarks(made.recipe, graph, catalog))
    if path is not None:
        write_text(path, made.text)
    return made


def _planned_remarks(recipe: Recipe, graph: Graph, catalog: Catalog) -> list[Diagnostic]:
    """Return what the default target objects to in a recipe's result; raise SurgeonError D148 where there is none."""
    chosen = _target(None)
    try:
        made = _plan(recipe, graph, target=chosen, catalog=catalog)
    except SurgeonError as exc:
        failed = Diagnostic("D148", "the recipe for this graph cannot be planned", graph.source or None, (),
                            ("write it all the same with --unchecked, and correct it by hand",))  # fmt: skip
        raise SurgeonError(failed, *exc.diagnostics) from None
    assert made.result is not None
    return [*made.remarks, *(replace(found, severity=Severity.WARNING) for found in _lint(made.result, chosen, catalog, made.image))]


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


def _lint(graph: Graph, target: Target, catalog: Catalog, image: Image | None = None) -> tuple[Diagnostic, ...]:
    """Return what the target's exporter refuses in a rewritten graph, then what its runtime would make of it."""
    from surgeon.export.lints import find_problems

    found = find_problems(graph, target, catalog, image)
    if target.format == "onnx":
        return (_no_onnx(f"a file for the target '{target.name}'"), *found)
    if target.format != "uff":
        return found
    from surgeon.export.uff import export_uff

    try:
        export_uff(graph, plugins=catalog, target=_uff_view(target))
    except SurgeonError as exc:
        return (*exc.diagnostics, *found)
    return found


def _warnings(graph: Graph, target: Target, catalog: Catalog, image: Image | None) -> tuple[Diagnostic, ...]:
    """Return what may go wrong in the target's runtime; raise SurgeonError for what will, and for what cannot be exported."""
    from surgeon.export.lints import find_problems

    found = find_problems(graph, target, catalog, image)
    if _errors(found):
        raise SurgeonError(*_errors(_lint(graph, target, catalog, image)))
    return found


def _errors(found: Iterable[Diagnostic]) -> tuple[Diagnostic, ...]:
    return tuple(diagnostic for diagnostic in found if diagnostic.severity is Severity.ERROR)


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
