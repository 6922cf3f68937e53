"""A family of another package: recognised, written, planned, verified and run, no file of this one touched."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from surgeon.formats.graphdef import save_graph
from surgeon.graph import DType, Graph, Node, Ref, Shape, TensorValue

HERE = Path(__file__).parent
CELLS, SIDE = 4, 32


def toy_graph() -> Graph:
    """Return a detector of 4 x 4 cells on float32[1, 32, 32, 3], two classes, one box a cell."""
    random = np.random.default_rng(7)
    nodes = [
        Node("picture", "Placeholder", attrs={"dtype": DType.UINT8, "shape": Shape.of(1, SIDE, SIDE, 3)})
    ]

    def const(name: str, value: object, dtype: DType = DType.FLOAT32) -> None:
        array = np.asarray(value, dtype.numpy())
        nodes.append(Node(name, "Const", attrs={"dtype": dtype, "value": TensorValue.of(array, dtype)}))

    def add(name: str, op: str, *inputs: str, **attrs: object) -> None:
        refs = tuple(Ref.parse(text) for text in inputs)
        nodes.append(Node(name, op, refs, attrs={"T": DType.FLOAT32, **attrs}))  # type: ignore[dict-item]

    nodes.append(
        Node("prepare/cast", "Cast", (Ref("picture"),), attrs={"SrcT": DType.UINT8, "DstT": DType.FLOAT32})
    )
    const("prepare/factor", 1 / 255)
    add("prepare/scale", "Mul", "prepare/cast", "prepare/factor")
    const("net/weights", random.normal(0, 0.3, (8, 8, 3, 6)))
    add(
        "net/conv",
        "Conv2D",
        "prepare/scale",
        "net/weights",
        strides=(1, 8, 8, 1),
        padding=b"VALID",
        data_format=b"NHWC",
        dilations=(1, 1, 1, 1),
    )
    for part, begin, size in (("boxes", 0, 4), ("scores", 4, 2)):
        const(f"decode/{part}_begin", [0, 0, 0, begin], DType.INT32)
        const(f"decode/{part}_size", [1, CELLS, CELLS, size], DType.INT32)
        bounds = (f"decode/{part}_begin", f"decode/{part}_size")
        add(f"decode/{part}_raw", "Slice", "net/conv", *bounds, Index=DType.INT32)
        add(f"decode/{part}_sigmoid", "Sigmoid", f"decode/{part}_raw")
    middle = (np.arange(CELLS) + 0.5) / CELLS
    y, x = np.meshgrid(middle, middle, indexing="ij")
    const("decode/reach", [-0.3, -0.3, 0.3, 0.3])
    const("decode/centres", np.stack([y, x, y, x], -1)[None])
    add("decode/side", "Mul", "decode/boxes_sigmoid", "decode/reach")
    add("decode/corners", "Add", "decode/side", "decode/centres")
    const("decode/boxes_shape", [1, CELLS * CELLS, 1, 4], DType.INT32)
    const("decode/scores_shape", [1, CELLS * CELLS, 2], DType.INT32)
    add("decode/boxes", "Reshape", "decode/corners", "decode/boxes_shape", Tshape=DType.INT32)
    add("decode/scores", "Reshape", "decode/scores_sigmoid", "decode/scores_shape", Tshape=DType.INT32)
    const("suppress/per_class", 8, DType.INT32)
    const("suppress/total", 8, DType.INT32)
    const("suppress/iou", 0.4)
    const("suppress/score", 0.3)
    inputs = (
        "decode/boxes",
        "decode/scores",
        *(f"suppress/{n}" for n in ("per_class", "total", "iou", "score")),
    )
    refs = tuple(map(Ref, inputs))
    flags = {"pad_per_class": False, "clip_boxes": False}
    nodes.append(Node("suppress/nms", "CombinedNonMaxSuppression", refs, attrs=flags))
    for slot, name in enumerate(("found_boxes", "found_scores", "found_classes", "found")):
        dtype = DType.INT32 if name == "found" else DType.FLOAT32
        nodes.append(Node(name, "Identity", (Ref("suppress/nms", slot),), attrs={"T": dtype}))
    return Graph(nodes, [Ref(name) for name in ("found_boxes", "found_scores", "found_classes", "found")])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("toy")
    save_graph(toy_graph(), path / "toy.pb")
    pixels = np.random.default_rng(3).integers(0, 255, (SIDE, SIDE, 3), endpoint=True, dtype=np.uint8)
    from PIL import Image

    (path / "pictures").mkdir()
    Image.fromarray(pixels).save(path / "pictures" / "one.png")
    return path


VERBS = """
import contextlib, io, json, sys
from surgeon.cli import main
printed = []
for command in json.loads(sys.argv[1]):
    with contextlib.redirect_stdout(io.StringIO()) as out:
        code = main(command)
    assert code == 0, (command, code, out.getvalue())
    printed.append(out.getvalue())
print(json.dumps(printed))
"""


def surgeon(folder: Path, *commands: list[str]) -> list[str]:
    """Return what some verbs print, in a process that finds the toy family's distribution."""
    found = subprocess.run(
        [sys.executable, "-c", VERBS, json.dumps(commands)],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(HERE)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert found.returncode == 0, found.stderr + found.stdout
    printed: list[str] = json.loads(found.stdout)
    return printed


def test_a_family_of_another_package_goes_all_the_way(folder: Path) -> None:
    pytest.importorskip("tensorflow", reason="TensorFlow computes the original")
    inspected, _, planned, verified, _ = surgeon(
        folder,
        ["inspect", "toy.pb", "--json"],
        ["init", "toy.pb", "-o", "toy.yaml", "--target", "onnx@tensorrt-10"],
        ["plan", "toy.yaml", "toy.pb", "--json"],
        ["verify", "toy.yaml", "toy.pb", "--images", "pictures", "--json"],
        ["run", "toy.yaml", "toy.pb", "pictures/one.png", "-o", "out"],
    )
    assert json.loads(inspected)["family"] == "cells"
    plan = json.loads(planned)
    fields = {each["field"]: each["value"] for each in plan["derivations"] if each["node"] == "NMS"}
    assert fields == {"classes": 2, "keep": 8, "threshold": pytest.approx(0.3), "iou": pytest.approx(0.4)}
    verdict = json.loads(verified)
    outcomes = {comparison["outcome"] for each in verdict["verdicts"] for comparison in each["comparisons"]}
    assert outcomes == {"passed"}
    assert {each["field"] for each in verdict["power"] if each["exercised"]} == {
        "classes",
        "keep",
        "threshold",
        "iou",
    }
    results = json.loads((folder / "out" / "detections.json").read_text())
    assert results["pictures"][0]["detections"]
