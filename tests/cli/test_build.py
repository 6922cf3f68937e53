"""`surgeon build` and `surgeon bench`, over a stand-in for TensorRT."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from surgeon.engine import load_engine, read_manifest
from surgeon.formats.graphdef import save_graph
from surgeon.graph import parse_graph
from surgeon.installation import help_for
from surgeon.zoo import demo

Run = Callable[..., Any]


@pytest.fixture
def work(fake: pytest.MonkeyPatch, tmp_path: Path, demo_recipe: Path) -> Path:
    """Give a working folder with the demo's recipe in it."""
    fake.setenv("FAKE_MARKS", json.dumps({"MarkOutput_0": [["NMS", [1, 100, 7]], ["NMS_1", [1, 1, 1]]]}))
    fake.chdir(tmp_path)
    (tmp_path / "ssd.yaml").write_text(demo_recipe.read_text().replace("name: demo\n", "name: ssd\n"))
    return tmp_path


def test_an_engine_from_recipe_and_model(work: Path, run: Run) -> None:
    done = run(
        "build",
        "ssd.yaml",
        demo.model_path(),
        "-o",
        "ssd.engine",
        "--fp16",
        "--batch",
        2,
        "--layers",
        "layers.json",
    )
    assert done.code == 0, done.err
    assert (
        "fp16, batch up to 2; built in" in done.err and "for TensorRT 8.5.3.1 on Fake GPU (9.0)" in done.err
    )
    assert json.loads((work / "layers.json").read_text())["Layers"]
    manifest = read_manifest(work / "ssd.engine")
    assert (
        manifest.target == "uff@tensorrt-8.5"
        and manifest.recipe == "ssd"
        and manifest.model == demo.model_path().name
    )
    assert (
        manifest.detections == {"detections": "NMS", "count": "NMS:1"}
        and manifest.labels[1]
        and manifest.image is not None
    )
    size = manifest.image.size
    assert [(t.name, t.shape, t.axes) for t in manifest.inputs] == [("Input", (None, *size, 3), (0, 3, 1, 2))]
    assert len(manifest.graph) == len(manifest.recipe_digest) == 64
    kept = run(
        "build",
        "ssd.yaml",
        demo.model_path(),
        "-o",
        "ssd.engine",
        "--fp16",
        "--batch",
        2,
        "--layers",
        "layers.json",
        "--json",
    )
    assert kept.json["reused"] and kept.json["manifest"]["precision"] == "fp16"


SCALAR = """
graph v1
x = Placeholder() {dtype: float32, shape: shape[?,4,4,3]}
bs = Placeholder() {dtype: int32, shape: shape[]}
rest = Const() {dtype: int32, value: tensor<int32[]: -1>}
sizes = Pack(bs, rest) {N: 2, T: int32, axis: 0}
r = Relu(x) {T: float32}
out = Reshape(r, sizes) {T: float32, Tshape: int32}
"""


def test_what_the_plan_notes_is_told_of_an_engine_too(work: Path, run: Run, fake: pytest.MonkeyPatch) -> None:
    fake.setenv("FAKE_MARKS", json.dumps({"MarkOutput_0": [["out", [1, 48]]]}))
    save_graph(parse_graph(SCALAR), work / "net.pb")
    (work / "net.yaml").write_text("recipe: 1\nname: net\noutputs: [out]\n")
    done = run("build", "net.yaml", "net.pb", "-o", "net.engine", "--fp32", "--json")
    assert done.code == 0, done.err
    assert "S227" in [each["code"] for each in done.json["diagnostics"]] and "'bs'" in done.err


def test_an_engine_from_a_uff_file(work: Path, run: Run) -> None:
    assert run("convert", "ssd.yaml", demo.model_path(), "-o", "ssd.uff").code == 0
    done = run("build", "ssd.uff", "-o", "ssd.engine", "--no-tf32")
    assert done.code == 0, done.err
    manifest = read_manifest(work / "ssd.engine")
    assert (
        manifest.image is None and not manifest.tf32 and manifest.precision == "fp32" and not manifest.graph
    )
    assert manifest.detections["detections"] == "NMS" and manifest.inputs[0].axes == (0, 3, 1, 2)


@pytest.mark.parametrize(("version", "rendering"), [("10.3.0", "native"), ("11.0.0", "standard")])
def test_an_engine_by_onnx_where_uff_has_ended(
    work: Path, run: Run, fake: pytest.MonkeyPatch, version: str, rendering: str
) -> None:
    fake.setenv("FAKE_TENSORRT", version)
    fake.setenv(
        "FAKE_CREATORS",
        "NMS_TRT,GridAnchor_TRT,FlattenConcat_TRT"
        if rendering == "native"
        else "GridAnchor_TRT,FlattenConcat_TRT",
    )
    done = run("build", "ssd.yaml", demo.model_path(), "-o", "ssd.engine", "--fp32", "--batch", 3)
    assert done.code == 0, done.err
    manifest = read_manifest(work / "ssd.engine")
    assert (
        manifest.target == f"onnx@tensorrt-{version[:2]}"
        and manifest.recipe == "ssd"
        and len(manifest.graph) == 64
    )
    assert manifest.inputs[0].axes == (0, 3, 1, 2) and manifest.inputs[0].shape == (None, 300, 300, 3)
    assert manifest.detections["detections"] == "NMS" and manifest.image is not None and manifest.labels[1]
    assert json.loads((work / "ssd.engine").read_bytes())["profiles"] == [
        {"Input": [[1, 3, 300, 300], *[[3, 3, 300, 300]] * 2]}
    ]


def test_a_fixed_batch_of_an_onnx_file_is_kept(work: Path, run: Run) -> None:
    assert run("convert", "ssd.yaml", demo.model_path(), "-o", "ssd.onnx").code == 0
    wrong = run("build", "ssd.onnx", "-o", "ssd.engine", "--batch", 2)
    assert wrong.code == 1 and "B101" in wrong.err and "--batch dynamic" in wrong.err
    assert run("build", "ssd.onnx", "-o", "ssd.engine").code == 0
    manifest = read_manifest(work / "ssd.engine")
    assert manifest.inputs[0].shape == (1, 300, 300, 3) and manifest.labels[1] and manifest.image is not None
    with load_engine("ssd.engine") as engine:
        assert engine.run({"Input": np.zeros((1, 300, 300, 3), np.float32)})["NMS"].shape[0] == 1


def test_calibration_on_pictures(work: Path, run: Run) -> None:
    folder = demo.picture_paths()[0].parent
    count = len(demo.picture_paths())
    done = run(
        "build",
        "ssd.yaml",
        demo.model_path(),
        "-o",
        "ssd.engine",
        "--int8",
        "--calibration",
        folder,
        "--batch",
        2,
    )
    assert done.code == 0, done.err
    manifest = read_manifest(work / "ssd.engine")
    assert manifest.calibration is not None and manifest.calibration.pictures == count // 2 * 2
    assert json.loads((work / "ssd.engine").read_bytes())["calibrated"] == f"{count // 2} batches"
    assert (work / "ssd.engine.calibration").read_bytes() == f"scales of {count // 2} batches".encode()
    few = run(
        "build",
        "ssd.yaml",
        demo.model_path(),
        "-o",
        "x.engine",
        "--int8",
        "--calibration",
        folder,
        "--batch",
        64,
    )
    assert few.code == 1 and "B110" in few.err
    bare = run("build", "ssd.yaml", demo.model_path(), "-o", "x.engine", "--int8")
    assert bare.code == 1 and "B107" in bare.err and not (work / "x.engine").exists()


def test_what_the_calibrator_sees_is_what_the_engine_gets(work: Path) -> None:
    from surgeon.engine import TensorInfo
    from surgeon.language import Image
    from surgeon.runners.calibration import calibration_batches
    from surgeon.runners.image import prepare, read_picture

    image = Image(size=(8, 10), color="RGB")
    tensor = TensorInfo(name="x", binding="x", dtype="float32", shape=(None, 8, 10, 3), axes=(0, 3, 1, 2))
    paths = demo.picture_paths()
    found = calibration_batches(paths[0].parent, image, [tensor], 2)
    assert found.batch is not None
    batch = found.batch(1)[0]
    wanted = prepare(image, read_picture(sorted(paths)[2]).pixels).tensor.transpose(0, 3, 1, 2)[0]
    assert (
        batch.shape == (2, 3, 8, 10)
        and np.array_equal(batch[0], wanted)
        and not np.array_equal(batch[1], wanted)
    )
    other = calibration_batches(paths[0].parent, Image(size=(8, 10), color="BGR"), [tensor], 2)
    assert other.digest != found.digest


def test_a_plugin_that_is_not_registered_is_told_before_parsing(
    work: Path, run: Run, fake: pytest.MonkeyPatch
) -> None:
    fake.setenv("FAKE_CREATORS", "GridAnchor_TRT,FlattenConcat_TRT")
    fake.setenv("FAKE_FAULT", "abort")
    done = run("build", "ssd.yaml", demo.model_path(), "-o", "ssd.engine")
    assert done.code == 1 and "B126" in done.err and "NMS_TRT" in done.err
    assert not (work / "ssd.engine").exists()


@pytest.mark.parametrize(
    ("arguments", "code", "text"),
    [
        (("ssd.yaml", "-o", "e.engine"), 1, "B109"),
        (("ssd.yaml", demo.model_path(), "-o", "e.uff"), 1, "B109"),
        (("ssd.yaml", demo.model_path(), "-o", "e.engine", "--target", "onnx@tensorrt-rtx"), 1, "B109"),
        (("missing.uff", "-o", "e.engine"), 1, "E101"),
        (("net.prototxt", "-o", "e.engine"), 1, "B109"),
        (("ssd.yaml", demo.model_path(), "-o", "e.engine", "--plugin-library", "none.so"), 1, "B120"),
        (("ssd.yaml", demo.model_path(), "-o", "e.engine", "--plugin-library", "ssd.yaml"), 1, "B121"),
        (("ssd.yaml", demo.model_path(), "-o", "e.engine", "--best-batch", "2"), 1, "B101"),
        (("ssd.yaml", demo.model_path(), "-o", "e.engine", "--dla-core", "0", "--fp32"), 1, "B101"),
        (("ssd.yaml", demo.model_path(), "-o", "missing/e.engine"), 1, "E105"),
        (("ssd.yaml", demo.model_path(), "-o", "e.engine", "--batch", "0"), 2, "expected 1 or more"),
        (("ssd.yaml", demo.model_path(), "-o", "e.engine", "--workspace", "lots"), 2, "is not a size"),
        (("ssd.yaml", demo.model_path(), "-o", "e.engine", "--fp16", "--int8"), 2, "not allowed with"),
        (("ssd.yaml", demo.model_path(), "-o", "e.engine", "--shape", "x=1,2"), 2, "gives no shapes"),
    ],
)
def test_mistakes_are_told(work: Path, run: Run, arguments: tuple[object, ...], code: int, text: str) -> None:
    done = run("build", *arguments)
    assert (done.code, text in done.err) == (code, True), done.err
    assert "Traceback" not in done.err and sorted(path.name for path in work.iterdir()) == ["ssd.yaml"]


def test_without_tensorrt_it_is_said(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("surgeon.engine.registry.find_spec", lambda name: None)
    done = run("build", "ssd", demo.model_path(), "-o", tmp_path / "e.engine")
    assert done.code == 1 and "E108" in done.err and help_for("tensorrt")[0] in done.err


def test_bench(work: Path, run: Run) -> None:
    assert run("build", "ssd.yaml", demo.model_path(), "-o", "ssd.engine", "--batch", 4).code == 0
    done = run("bench", "ssd.engine", "--rounds", 5, "--warm-up", 0)
    assert done.code == 0 and "batch 4, 5 rounds" in done.out and "pictures in a second" in done.out
    found = run("bench", "ssd.engine", "--rounds", 5, "--warm-up", 0, "--batch", 1, "--json").json
    assert found["graph_ms"]["p50"] > 0 and found["graph_problem"] == "" and found["layers_ms"]
    assert set(found["parts_ms"]) >= {"preprocessing", "copy_in", "enqueue", "network", "copy_out"}
    assert "as a CUDA graph, ms" in done.out and "where the time of a batch of 4 goes" in done.out
    assert found["batch"] == 1 and set(found["gpu_ms"]) == {"min", "mean", "max", "p50", "p90", "p95", "p99"}
    for arguments, code in ((("none.engine",), "E101"), (("ssd.engine", "--batch", 9), "B108")):
        done = run("bench", *arguments)
        assert done.code == 1 and code in done.err
    with load_engine("ssd.engine") as engine:
        assert engine.platform.gpu == "Fake GPU"
