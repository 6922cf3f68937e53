"""An ONNX file for a person: what it consists of."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from surgeon.formats.onnx.metadata import DIGEST, LABELS, RECIPE, TARGET, VERSION, OnnxInfo, load_onnx
from surgeon.formats.onnx.native import DOMAIN
from surgeon.optional import require


@dataclass(frozen=True)
class Description:
    """What an ONNX file consists of.

    ``sizes`` maps the names of nodes and constants to bytes, nodes having none. ``ops`` counts operators, the
    most frequent first. ``plugins`` maps plugin nodes to their op, and those in standard operators to that.
    ``told`` is what the file says of itself.
    """

    info: OnnxInfo
    nodes: int
    constant_bytes: int
    sizes: Mapping[str, int]
    ops: Mapping[str, int]
    plugins: Mapping[str, str]
    told: Mapping[str, str]


def describe_onnx(path: Path) -> Description:
    """Return what an ONNX file consists of; weights beside it are not read.

    Raise SurgeonError as :func:`load_onnx`.
    """
    model, info = load_onnx(path)
    onnx = require("onnx", "reading ONNX")
    graph = model.graph
    constants = {tensor.name: _bytes(onnx, tensor) for tensor in graph.initializer}
    names = [node.name or (node.output[0] if node.output else node.op_type) for node in graph.node]
    counted = Counter(node.op_type for node in graph.node)
    plugins = {
        row["node"]: f"{row['op']}, {row['rendering']}"
        for row in info.plugins
        if {"node", "op", "rendering"} <= row.keys()
    }
    plugins |= {
        node.name: node.op_type for node in graph.node if node.domain == DOMAIN and node.name not in plugins
    }
    return Description(
        info,
        len(graph.node),
        sum(constants.values()),
        {**dict.fromkeys(names, 0), **constants},
        dict(sorted(counted.items(), key=lambda item: (-item[1], item[0]))),
        plugins,
        _told(model, info),
    )


def _told(model: Any, info: OnnxInfo) -> dict[str, str]:
    opsets = ", ".join(f"{one.domain or 'ai.onnx'} {one.version}" for one in model.opset_import)
    producer = " ".join(filter(None, [model.producer_name, model.producer_version]))
    found = {
        "opsets": opsets,
        "written by": producer,
        "recipe": info.properties.get(RECIPE, ""),
        "target": info.properties.get(TARGET, ""),
        "original graph": info.properties.get(DIGEST, ""),
    }
    if info.image is not None:
        height, width = info.image.size
        found["image"] = f"{height} x {width}, {info.image.color}, {info.image.interpolation}"
    if info.labels:
        found["labels"] = str(len(info.labels))
    ours = {VERSION, RECIPE, TARGET, DIGEST, LABELS}
    found |= {
        key: value
        for key, value in info.properties.items()
        if key not in ours and not key.startswith("surgeon.")
    }
    return {key: value for key, value in found.items() if value}


def _bytes(onnx: Any, tensor: Any) -> int:
    try:
        size = int(onnx.helper.tensor_dtype_to_np_dtype(tensor.data_type).itemsize)
    except (KeyError, ValueError, TypeError):
        return 0
    return size * math.prod(max(0, int(dim)) for dim in tensor.dims)
