"""What a graph, a UFF or an ONNX file consists of, what a target cannot run of it, and which recipes fit."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from surgeon.catalog import Catalog
from surgeon.diagnostics import SurgeonError, error, nearest_note
from surgeon.display import Displayed
from surgeon.graph import Graph, Tensor
from surgeon.graph.op_sets import PASSED_OVER, PLACEHOLDERS
from surgeon.language import load_recipe, recipe_files
from surgeon.targets import Target

if TYPE_CHECKING:
    from surgeon.formats.uff import UffModel

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
    """A recipe whose namespaces and tensors are all in the graph.

    ``backbone`` is what its name and the graph share.
    """

    recipe: str
    summary: str
    backbone: str


@dataclass(frozen=True)
class Inspection(Displayed):
    """What a graph, a UFF or an ONNX file consists of.

    ``inputs`` and ``outputs`` map names to what is known of them. ``ops`` counts nodes, the most frequent
    first. ``plugins`` maps the plugin nodes of a UFF file to their op. ``unsupported`` and ``fits`` are for
    graphs only.
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
    told: Mapping[str, str] = field(default_factory=dict)

    def __repr__(self) -> str:
        return (
            f"<Inspection of {self.source or 'a graph'}: {self.nodes} nodes, {self.constant_bytes} "
            "bytes of constants>"
        )


@dataclass(frozen=True)
class Depth:
    """Which namespaces are told apart.

    ``depth`` components of those under a namespace, or of all where it is empty.
    """

    depth: int = 1
    under: str = ""


def inspect_graph(
    graph: Graph, target: Target, catalog: Catalog, depth: Depth, recipe_paths: Sequence[Path]
) -> Inspection:
    """Return what a graph consists of, what the target cannot run of it, and which recipes fit."""
    sizes = {node.name: _constant_bytes(node.attrs.values()) for node in graph}
    read = graph.readers
    # A placeholder that nothing reads is a leftover; only where all are unread do they count as inputs.
    fed = [n for n in graph if n.op in PLACEHOLDERS]
    live = [n for n in fed if read[n.name]] or fed
    return Inspection(
        source=graph.source,
        format="graph",
        nodes=len(graph),
        constant_bytes=sum(sizes.values()),
        target=target.name,
        inputs={n.name: f"{_text(n.attrs.get('dtype'))}{_text(n.attrs.get('shape')) or '[?]'}" for n in live},
        outputs={str(ref): graph[ref.node].op for ref in graph.output_refs},
        namespaces=_namespaces(sizes, depth),
        ops=counted(node.op for node in graph),
        plugins={node.name: node.op for node in graph if node.op in catalog},
        unsupported=_unsupported(graph, target, catalog),
        fits=_fits(graph, recipe_paths),
    )


def inspect_onnx(path: Path, depth: Depth) -> Inspection:
    """Return what an ONNX file consists of."""
    from surgeon.formats.onnx.describing import describe_onnx

    found = describe_onnx(path)
    first = {name for name, layout in found.info.layout.items() if layout == "NCHW"}
    inputs = {
        name: f"{spec}" + (", channels first" if name in first else "")
        for name, spec in found.info.inputs.items()
    }
    sizes: dict[str, int] = {}
    for name, size in found.sizes.items():
        plain = name.lstrip("/") or name
        sizes[plain] = sizes.get(plain, 0) + size
    return Inspection(
        source=str(path),
        format="onnx",
        nodes=found.nodes,
        constant_bytes=found.constant_bytes,
        target="",
        inputs=inputs,
        outputs={name: f"{spec}" for name, spec in found.info.outputs.items()},
        namespaces=_namespaces(sizes, depth),
        ops=found.ops,
        plugins=found.plugins,
        told=found.told,
    )


def inspect_uff(model: UffModel, source: str, depth: Depth) -> Inspection:
    """Return what a UFF file consists of."""
    from surgeon.formats.uff import describe

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


def _constant_bytes(values: Iterable[object]) -> int:
    return sum(value.nbytes for value in values if isinstance(value, Tensor))


def _text(value: object) -> str:
    return "" if value is None else str(getattr(value, "value", value)).removeprefix("shape")


def counted(names: Iterable[str]) -> dict[str, int]:
    """Return how often each name occurs, the most frequent first."""
    return dict(sorted(Counter(names).items(), key=lambda item: (-item[1], item[0])))


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
    if target.format != "uff":
        return ()
    from surgeon.formats.uff.remedies import unsupported

    runs = supported_ops(target, catalog)
    needed = graph.ancestors(ref.node for ref in graph.output_refs)
    groups: dict[str, list[Any]] = {}
    for node in graph:
        if node.name in needed and node.op not in runs:
            groups.setdefault(node.name.partition("/")[0] if "/" in node.name else "", []).append(node)
    return tuple(
        Unsupported(
            namespace, len(nodes), counted(n.op for n in nodes), "; ".join(unsupported(graph, nodes)[0].help)
        )
        for namespace, nodes in groups.items()
    )


def supported_ops(target: Target, catalog: Catalog) -> set[str]:
    """Return the ops that can be in a graph for a UFF target.

    Converted ones, passed-over ones and its plugins.
    """
    from surgeon.formats.uff import converters

    return {
        *converters(),
        *PASSED_OVER,
        *(op for op, spec in catalog.items() if spec.exists_in(target.version)),
    }


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
        fits = (
            bool(wanted)
            and all(key in prefixes for key in wanted)
            and all(tensor in graph for tensor in like)
        )
        if fits and (backbone or not made_for):
            found.append((0 if backbone else 1, name, Fit(name, recipe.summary, backbone)))
    return tuple(fit for _, _, fit in sorted(found, key=lambda item: item[:2]))


def _plain(text: str) -> str:
    return re.sub(r"[^a-z0-9]", "", text.lower())
