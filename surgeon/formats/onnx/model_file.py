"""An ONNX file that was read: what it consists of, and what goes into its network and comes out."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from surgeon.catalog import Catalog, PluginSpec
from surgeon.catalog.fields import FieldValue
from surgeon.catalog.plugin_uses import PluginUse, ops_by_creator
from surgeon.formats.format import (
    Description,
    FileFacts,
    ModelFile,
    NetworkInterface,
    NetworkTensor,
    Specs,
    frequencies,
)
from surgeon.formats.onnx.as_graph import onnx_graph
from surgeon.formats.onnx.metadata import DIGEST, LABELS, RECIPE, TARGET, VERSION, load_onnx
from surgeon.formats.onnx.native import DOMAIN
from surgeon.graph import Graph, TensorSpec
from surgeon.optional import require

_TO_CHANNELS_FIRST = (0, 3, 1, 2)


class OnnxFile(ModelFile):
    """An ONNX file; ``model`` is its ModelProto, weights beside it left aside, ``info`` what it says."""

    def __init__(self, path: Path) -> None:
        self.source = str(path)
        self.model, self.info = load_onnx(path)

    def graph(self, catalog: Catalog | None = None) -> tuple[Graph, Specs]:
        """Return the file as :func:`onnx_graph` does."""
        return onnx_graph(self.model, self.source)

    def describe(self) -> Description:
        """Return what the file consists of."""
        onnx = require("onnx", "reading ONNX")
        graph, info = self.model.graph, self.info
        constants = {tensor.name: _bytes(onnx, tensor) for tensor in graph.initializer}
        names = [node.name or (node.output[0] if node.output else node.op_type) for node in graph.node]
        sizes: dict[str, int] = {}
        for name, size in {**dict.fromkeys(names, 0), **constants}.items():
            plain = name.lstrip("/") or name
            sizes[plain] = sizes.get(plain, 0) + size
        inputs = {
            name: f"{spec}" + (", channels first" if info.layout[name] == "NCHW" else "")
            for name, spec in info.inputs.items()
        }
        return Description(
            len(graph.node),
            sum(constants.values()),
            sizes,
            inputs,
            {name: f"{spec}" for name, spec in info.outputs.items()},
            frequencies(node.op_type for node in graph.node),
            self._plugins(),
            self._told(),
        )

    def _plugins(self) -> dict[str, str]:
        """Return plugin nodes by name: their op, and for those that surgeon wrote also how."""
        plugins = {
            row["node"]: f"{row['op']}, {row['rendering']}"
            for row in self.info.plugins
            if {"node", "op", "rendering"} <= row.keys()
        }
        nodes = [node for node in self.model.graph.node if node.domain == DOMAIN]
        return plugins | {node.name: node.op_type for node in nodes if node.name not in plugins}

    def _told(self) -> dict[str, str]:
        facts = self.facts
        opsets = [f"{each.domain or 'ai.onnx'} {each.version}" for each in self.model.opset_import]
        told = {
            "opsets": ", ".join(opsets),
            "written by": " ".join(filter(None, [self.model.producer_name, self.model.producer_version])),
            "recipe": facts.recipe,
            "target": facts.target,
            "original graph": facts.digest,
        }
        if facts.image is not None:
            height, width = facts.image.size
            told["image"] = f"{height} x {width}, {facts.image.color}, {facts.image.interpolation}"
        if facts.labels:
            told["labels"] = str(len(facts.labels))
        ours = {VERSION, RECIPE, TARGET, DIGEST, LABELS}
        told |= {
            key: value
            for key, value in self.info.properties.items()
            if key not in ours and not key.startswith("surgeon.")
        }
        return {key: value for key, value in told.items() if value}

    @property
    def facts(self) -> FileFacts:
        """What the file says of itself where surgeon wrote it."""
        info = self.info
        recipe, digest, target = (info.properties.get(key, "") for key in (RECIPE, DIGEST, TARGET))
        return FileFacts(recipe, digest, target, info.image, info.labels, info.detections)

    def plugin_uses(self, catalog: Catalog, rewritten: Graph | None = None) -> tuple[PluginUse, ...]:
        """Return the plugin nodes as :func:`plugin_uses_of_onnx` does."""
        return plugin_uses_of_onnx(self.model, catalog)

    def interface(self, catalog: Catalog, rewritten: Graph | None = None) -> NetworkInterface:
        """Return inputs and outputs as the file states them."""
        info = self.info
        batches = {spec.shape.dims[0] for spec in info.inputs.values() if spec.shape.dims}
        return NetworkInterface(
            tuple(_input(name, spec, info.layout[name] == "NCHW") for name, spec in info.inputs.items()),
            tuple(
                NetworkTensor(name, _dtype(spec), spec.shape.dims or ())
                for name, spec in info.outputs.items()
            ),
            batch=batches.pop() if len(batches) == 1 else None,
        )


def plugin_uses_of_onnx(model: Any, catalog: Mapping[str, PluginSpec]) -> tuple[PluginUse, ...]:
    """Return the plugin nodes of an ONNX model (a ModelProto), subgraphs left aside.

    They are the nodes that surgeon wrote as such, and those whose operator the standard does not have: the
    parser looks for a plugin of that name, whatever the domain.
    """
    onnx = require("onnx", "reading ONNX")
    nodes = [node for node in model.graph.node if node.domain == DOMAIN or not onnx.defs.has(node.op_type)]
    ops = ops_by_creator(catalog) if nodes else {}
    uses = []
    for node in nodes:
        fields = {
            attribute.name: _field_value(onnx.helper.get_attribute_value(attribute))
            for attribute in node.attribute
        }
        version, namespace = (
            str(fields.pop(f"plugin_{key}", default))
            for key, default in (("version", "1"), ("namespace", ""))
        )
        uses.append(
            PluginUse(
                node.name or node.op_type,
                ops.get(node.op_type, node.op_type),
                fields,
                None,
                version,
                namespace,
            )
        )
    return tuple(uses)


def _field_value(value: Any) -> FieldValue:
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return tuple(value) if isinstance(value, Sequence) and not isinstance(value, str) else value


def _input(name: str, spec: TensorSpec, channels_first: bool) -> NetworkTensor:
    dims = spec.shape.dims or ()
    if channels_first:
        return NetworkTensor(name, _dtype(spec), (dims[0], dims[2], dims[3], dims[1]), _TO_CHANNELS_FIRST)
    return NetworkTensor(name, _dtype(spec), dims)


def _dtype(spec: TensorSpec) -> str:
    return spec.dtype.value if spec.dtype is not None else "float32"


def _bytes(onnx: Any, tensor: Any) -> int:
    try:
        size = int(onnx.helper.tensor_dtype_to_np_dtype(tensor.data_type).itemsize)
    except (KeyError, ValueError, TypeError):
        return 0
    return size * math.prod(max(0, int(dim)) for dim in tensor.dims)
