"""What a graph, a UFF or an ONNX file consists of, what a target cannot run of it, and which recipes fit."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from surgeon.catalog import Catalog
from surgeon.deprecation import RenamedAttribute
from surgeon.diagnostics import Diagnostic, SurgeonError, error, nearest_note
from surgeon.display import Displayed
from surgeon.formats import Format, ModelFile, all_formats, format_of
from surgeon.formats.format import EXPANDED, frequencies
from surgeon.graph import Graph
from surgeon.graph.foreign import foreign_graph
from surgeon.language import Recipe, load_recipe, recipe_files
from surgeon.rewrite import plan
from surgeon.stages import tell_stage
from surgeon.targets import Target

_DEPTH = 12
"""Components of a namespace that are looked at in order to find recipes that fit."""

_BACKBONE = re.compile(r"[a-z]+_?v\d+")


@dataclass(frozen=True)
class Namespace:
    """A namespace, or a node outside any: how many nodes it holds, and the bytes of its constants.

    ``folded`` counts the namespaces directly inside that are not listed.
    """

    name: str
    depth: int
    nodes: int
    constant_bytes: int
    folded: int = 0


@dataclass(frozen=True)
class Unsupported:
    """Nodes of one top-level namespace (empty: outside any) that a target cannot run, and what to do about
    them.
    """

    namespace: str
    nodes: int
    ops: Mapping[str, int]
    remedy: str


@dataclass(frozen=True)
class Fit:
    """A recipe that can be planned on the graph.

    ``backbone`` is what its name and the graph share.
    """

    recipe: str
    summary: str
    backbone: str


@dataclass(frozen=True)
class Inspection(Displayed):
    """The contents of a graph, a UFF or an ONNX file.

    ``inputs`` and ``outputs`` map names to what is known of them. ``ops`` counts nodes, the most frequent
    first. ``plugins`` maps the plugin nodes of a UFF file to their plugins. The others are for graphs
    only: ``unsupported``, ``fits``, the name of the ``family``, empty for a graph that computes nothing,
    ``network``, which says what one of the family ``generic`` takes, computes and is for, and
    ``diagnostics``, which warn of a graph that another tool has changed.
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
    family: str = ""
    network: Mapping[str, str] = field(default_factory=dict)
    told: Mapping[str, str] = field(default_factory=dict)
    diagnostics: tuple[Diagnostic, ...] = ()

    remarks = RenamedAttribute("diagnostics", removal="0.2.0")

    def __repr__(self) -> str:
        return (
            f"<Inspection of {self.source or 'a graph'}: {self.nodes} nodes, {self.constant_bytes} "
            "bytes of constants>"
        )

    @property
    def kind(self) -> str:
        """What a file of this format is called, such as ``UFF file``."""
        form = all_formats().get(self.format) or format_of("")
        return form.noun.partition(" ")[2]


@dataclass(frozen=True)
class Depth:
    """Which namespaces are told apart.

    ``depth`` components of those under a namespace, or of all where it is empty.
    """

    depth: int = 1
    under: str = ""


def inspect_model(
    file: ModelFile,
    form: Format,
    target: Target,
    depth: Depth,
    catalog: Catalog,
    recipe_paths: Sequence[Path],
) -> Inspection:
    """Return what a file consists of; for one that recipes rewrite, also what the target cannot run of it,
    and which recipes fit.
    """
    description = file.describe()
    inspection = Inspection(
        source=file.source,
        format=form.name,
        nodes=description.nodes,
        constant_bytes=description.constant_bytes,
        target="",
        inputs=description.inputs,
        outputs=description.outputs,
        namespaces=_namespaces(description.sizes, depth),
        ops=description.ops,
        plugins=description.plugins,
        told=description.told,
    )
    if not form.rewritable:
        return inspection
    from surgeon.families import Family, recognise
    from surgeon.families.generic.network import GenericNetwork

    graph, _ = file.graph(catalog)
    foreign = foreign_graph(graph)
    found = recognise(graph)
    return replace(
        inspection,
        format="graph",
        target=target.name,
        plugins={node.name: node.op for node in graph if node.op in catalog},
        unsupported=_unsupported(graph, target, catalog),
        fits=tuple(_fits(graph, target, catalog, recipe_paths)),
        family=found.name if isinstance(found, Family) else "",
        network=found.described() if isinstance(found, GenericNetwork) else {},
        diagnostics=() if foreign is None else (foreign,),
    )


def _namespaces(sizes: Mapping[str, int], at: Depth) -> tuple[Namespace, ...]:
    """Return the namespaces down to a depth, each before what is inside it, in graph order."""
    above = f"{at.under}/" if at.under else ""
    total: dict[tuple[str, ...], list[int]] = {}
    inside: dict[tuple[str, ...], dict[tuple[str, ...], None]] = {(): {}}
    for name, size in sizes.items():
        if not name.startswith(above):
            continue
        parts = tuple(name.removeprefix(above).split("/", at.depth + 1)[: at.depth + 1])
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
        nodes, size = total[key]
        shown = inside[key] if len(key) < at.depth else {}
        if len(key) == 1 or nodes > 1 or shown:
            folded = 0 if shown else sum(total[inner][0] > 1 for inner in inside[key])
            found.append(Namespace(above + "/".join(key), len(key), nodes, size, folded))
            stack.extend(reversed(shown))
    if not found and above:
        raise error(
            "G110",
            f"there is no namespace '{at.under}'",
            notes=nearest_note(at.under, _namespace_names(sizes)),
        )
    return tuple(found)


def _namespace_names(names: Iterable[str]) -> Iterable[str]:
    """Return every namespace of some names, each once."""
    return dict.fromkeys(
        "/".join(parts[:end])
        for name in names
        for parts in (name.split("/", _DEPTH),)
        for end in range(1, len(parts))
    )


def _unsupported(graph: Graph, target: Target, catalog: Catalog) -> tuple[Unsupported, ...]:
    """Return what the outputs need and the target cannot run, by top-level namespace in graph order."""
    form = all_formats()[target.format]
    operations = form.operations()
    if operations is None:
        return ()
    runs = {op for op, how in operations.items() if how != EXPANDED}
    runs |= {op for op, spec in catalog.items() if spec.exists_in(target.version)}
    graph = form.expanded(graph, target, catalog)
    needed = graph.ancestors(ref.node for ref in graph.output_refs)
    groups: dict[str, list[Any]] = {}
    for node in graph:
        if node.name in needed and node.op not in runs:
            groups.setdefault(node.name.partition("/")[0] if "/" in node.name else "", []).append(node)
    return tuple(
        Unsupported(namespace, len(nodes), frequencies(n.op for n in nodes), form.remedy(graph, nodes))
        for namespace, nodes in groups.items()
    )


def _fits(graph: Graph, target: Target, catalog: Catalog, recipe_paths: Sequence[Path]) -> Iterator[Fit]:
    """Yield the recipes that can be planned on a graph, those for its backbone first."""
    candidates = _candidates(graph, recipe_paths)
    for i, (recipe, fit) in enumerate(candidates):
        tell_stage("trying recipes", recipe.name, i, len(candidates))
        try:
            plan(recipe, graph, target=target, catalog=catalog)
        except SurgeonError:
            continue
        yield fit


def _candidates(graph: Graph, recipe_paths: Sequence[Path]) -> list[tuple[Recipe, Fit]]:
    """Return the recipes whose namespaces and tensors are in a graph, those for its backbone first."""
    prefixes: dict[str, None] = {}
    for node in graph:
        parts = node.name.split("/", _DEPTH)[:_DEPTH]
        prefixes.update(dict.fromkeys(("/".join(parts[:end]) for end in range(1, len(parts) + 1)), None))
        prefixes[node.name] = None
    components = {_plain(part) for prefix in prefixes for part in prefix.split("/")[:3]}
    found: list[tuple[int, Recipe, Fit]] = []
    for name, path in recipe_files(recipe_paths).items():
        try:
            recipe = load_recipe(path, recipe_paths=recipe_paths)
        except SurgeonError:
            continue
        made_for = [_plain(token) for token in _BACKBONE.findall(name)]
        backbone = next((token for token in made_for if token in components), "")
        wanted = [key for key, rule in recipe.namespaces.items() if not rule.optional]
        like = [node.like.partition(":")[0] for node in recipe.nodes.values() if node.like]
        fits = (
            bool(wanted)
            and all(key in prefixes for key in wanted)
            and all(tensor in graph for tensor in like)
        )
        if fits and (backbone or not made_for):
            found.append((0 if backbone else 1, recipe, Fit(name, recipe.summary, backbone)))
    found.sort(key=lambda item: (item[0], item[2].recipe))
    return [(recipe, fit) for _, recipe, fit in found]


def _plain(text: str) -> str:
    return re.sub(r"[^a-z0-9]", "", text.lower())
