"""Files that the stand-in for TensorRT parses, as sources of engines."""

from __future__ import annotations

import json
from pathlib import Path

from surgeon.engine import Output, PluginUse, Source, TensorInfo

INPUT = TensorInfo(name="Input", binding="Input", dtype="float32", shape=(None, 2, 4, 3), axes=(0, 3, 1, 2))
USES = (PluginUse("NMS", "NMS_TRT", {"inputOrder": (2, 1, 0), "numClasses": 91}),)


def uff(folder: Path, content: bytes = b"uff") -> Source:
    """Write a UFF file and return it; its network suppresses boxes."""
    path = folder / "net.uff"
    path.write_bytes(content)
    return Source(
        "uff",
        path,
        inputs=(INPUT,),
        marks=("MarkOutput_0",),
        outputs=(Output("NMS"), Output("NMS:1", "int32")),
        uses=USES,
        model="net.pb",
        recipe="r",
        target="uff@tensorrt-8.5",
        detections={"detections": "NMS"},
        labels={1: "cat"},
    )


def onnx(folder: Path, batch: int = -1) -> Source:
    """Write an ONNX file with an open batch, unless one is given, and return it."""
    path = folder / "net.onnx"
    path.write_text(json.dumps({"inputs": [["x", [batch, 2, 2]]], "outputs": [["y", [batch, 5]]]}))
    return Source(
        "onnx", path, inputs=(TensorInfo(name="x", binding="x", dtype="float32", shape=(None, 2, 2)),)
    )
