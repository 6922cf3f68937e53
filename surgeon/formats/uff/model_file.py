"""A UFF file that was read: what it consists of, and what goes into its network and comes out."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any

from surgeon.catalog import Catalog, PluginSpec, load_catalog
from surgeon.catalog.plugin_uses import PluginUse, ops_by_creator, plugin_uses
from surgeon.formats.format import Description, ModelFile, NetworkInterface, NetworkTensor, PathLike, Specs
from surgeon.formats.uff.as_graph import uff_graph
from surgeon.formats.uff.model import FIELD_SUFFIXES, UffModel, UffValue, field_name
from surgeon.formats.uff.printing import describe
from surgeon.formats.uff.reader import read_uff
from surgeon.graph import Graph, Ref, Shape, TensorSpec
from surgeon.infer import Inference

_PLUGIN_VERSION = "1"
"""The plugin version that the UFF parser asks for; the file does not say one."""

_TO_CHANNELS_FIRST = (0, 3, 1, 2)


class UffFile(ModelFile):
    """A UFF file; ``model`` is its content."""

    def __init__(self, path: PathLike) -> None:
        self.source = os.fspath(path)
        self.model = read_uff(path)

    def graph(self, catalog: Catalog | None = None) -> tuple[Graph, Specs]:
        """Return the file as :func:`uff_graph` does."""
        return uff_graph(self.model, catalog or load_catalog(), self.source)

    def describe(self) -> Description:
        """Return what the file consists of."""
        summary = describe(self.model)
        return Description(
            summary["nodes"],
            summary["weight_bytes"],
            {node.id: self._weight_bytes(node.fields.values()) for node in self.model.nodes},
            {each["name"]: _shown_input(each) for each in summary["inputs"]},
            {each["name"]: ", ".join(each["marks"]) for each in summary["outputs"]},
            summary["ops"],
            {each["name"]: each["op"] for each in summary["plugins"]},
        )

    def _weight_bytes(self, values: Iterable[UffValue]) -> int:
        blobs = [self.model.data.get(value.value) for value in values if value.kind == "ref"]
        return sum(blob.value.nbytes for blob in blobs if blob is not None and blob.kind == "blob")

    def plugin_uses(self, catalog: Catalog, rewritten: Graph | None = None) -> tuple[PluginUse, ...]:
        """Return the plugin nodes as :func:`plugin_uses_of_uff` does.

        Of those that the rewritten graph has, return what it says; operations may have become more.
        """
        known = {use.node: use for use in plugin_uses(rewritten, catalog)} if rewritten is not None else {}
        return tuple(known.get(use.node, use) for use in plugin_uses_of_uff(self.model, catalog))

    def interface(self, catalog: Catalog, rewritten: Graph | None = None) -> NetworkInterface:
        """Return inputs and outputs; the types and layout of the rewritten graph where that is given.

        Without it, an image input is taken for one of a channels-last model, and stated channels first; of
        outputs, those of plugins have shapes.
        """
        summary = describe(self.model)
        plugins = {plugin["name"]: plugin for plugin in summary["plugins"]}
        marked = [name for output in summary["outputs"] for name in output["marks"]]
        known = self._specs(catalog, plugins.keys() & marked, rewritten)
        return NetworkInterface(
            tuple(_input(each, rewritten) for each in summary["inputs"]),
            tuple(output for name in marked for output in _outputs(name, plugins.get(name), catalog, known)),
            tuple(each["name"] for each in summary["outputs"]),
        )

    def _specs(
        self, catalog: Catalog, plugins: Collection[str], rewritten: Graph | None
    ) -> Callable[[Ref], TensorSpec | None]:
        """Return what tells the type and shape of an output; None where nothing does."""
        if rewritten is not None:
            return Inference(rewritten, rules=catalog.rules()).spec
        # The file's own shapes of other nodes are channels first or last, which it does not state.
        shapes = self.graph(catalog)[1] if plugins else None
        return lambda ref: shapes.spec(ref) if shapes is not None and ref.node in plugins else None


def plugin_uses_of_uff(model: UffModel, catalog: Mapping[str, PluginSpec]) -> tuple[PluginUse, ...]:
    """Return the plugin nodes of a UFF file: those whose operation begins with an underscore."""
    nodes = [node for node in model.nodes if node.operation.startswith("_")]
    ops = ops_by_creator(catalog) if nodes else {}
    suffixes = tuple(FIELD_SUFFIXES.values())
    uses = []
    for node in nodes:
        creator = node.operation[1:]
        fields = {
            field_name(key): value.value
            for key, value in node.fields.items()
            if key.endswith(suffixes) and value.is_set
        }
        uses.append(PluginUse(node.id, ops.get(creator, creator), fields, version=_PLUGIN_VERSION))
    return tuple(uses)


def _shown_input(entry: Mapping[str, Any]) -> str:
    shape = "[?]" if entry["shape"] is None else str(entry["shape"]).replace(" ", "")
    return f"{entry['dtype'] or '?'}{shape}"


def _input(entry: Mapping[str, Any], graph: Graph | None) -> NetworkTensor:
    stated = tuple(entry["shape"] or ())
    shape: tuple[int | None, ...] = (None, *stated[1:])
    axes: tuple[int, ...] = ()
    own = graph[entry["name"]].attrs.get("shape") if graph is not None and entry["name"] in graph else None
    dims = own.dims if isinstance(own, Shape) else None
    if len(stated) == 4 and (dims is None or dims[1:] != stated[1:]):
        # The file states channels first what the graph has channels last.
        shape, axes = (None, stated[2], stated[3], stated[1]), _TO_CHANNELS_FIRST
    return NetworkTensor(entry["name"], shape=shape, axes=axes)


def _outputs(
    name: str,
    plugin: Mapping[str, Any] | None,
    catalog: Catalog,
    spec_of: Callable[[Ref], TensorSpec | None],
) -> list[NetworkTensor]:
    """Return what comes out of a marked node: everything that a plugin computes, else one tensor."""
    op = None if plugin is None else ops_by_creator(catalog).get(plugin["op"])
    count = 1 if plugin is None or op is None else len(catalog[op].output_ports(plugin["fields"]))
    outputs = []
    for slot in range(count):
        ref = Ref(name, slot)
        known = spec_of(ref)
        dtype = known.dtype.value if known is not None and known.dtype is not None else "float32"
        dims = known.shape.dims if known is not None else None
        outputs.append(NetworkTensor(str(ref), dtype, (None, *dims[1:]) if dims else ()))
    return outputs
