"""ONNX files in other runtimes than ONNX Runtime: OpenVINO, OpenCV, TensorRT-RTX; 'make test-runtimes' installs them."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import surgeon
from surgeon.catalog import load_catalog
from surgeon.formats.onnx import export_onnx
from surgeon.targets import load_target
from surgeon.zoo import demo

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")
onnx_inputs = importlib.import_module("onnx_inputs")

CATALOG = load_catalog()
ANY, RTX = "onnx@onnxruntime", "onnx@tensorrt-rtx"
CLOSE = 1e-5
BUILD = Path(__file__).parents[2] / "support" / "tensorrt_rtx_build.py"

Write = Callable[..., Path]


@pytest.fixture(scope="module")
def demo_file(tmp_path_factory: pytest.TempPathFactory) -> Write:
    """Give ``demo_file(target, line="", **choices) -> Path``: the demo model as an ONNX file, each made once.

    ``line`` is a line that the recipe has beside those of 'ssd'.
    """
    if find_spec("tensorflow") is None:
        pytest.skip("TensorFlow converts the model")
    folder = tmp_path_factory.mktemp("onnx")

    def written(target: str, line: str = "", **choices: Any) -> Path:
        words = (target.rpartition("-")[2], *line.replace(":", "").split(), *map(str, choices.values()))
        path = folder / ("-".join(words) + ".onnx")
        if not path.exists():
            recipe = surgeon.parse_recipe(f"recipe: 1\nname: own\nextends: [ssd]\n{line}\n", "own.yaml")
            graph = surgeon.plan(recipe, demo.model_path(), target=target).result
            assert graph is not None
            choices = {"plugins": CATALOG, "target": load_target(target), **choices}
            onnx.save(export_onnx(graph, **choices).model, path)
        return path

    return written


def picture(seed: int = 0) -> np.ndarray:
    """Return a picture with texture, float32[1, 3, 300, 300]."""
    coarse = np.random.default_rng(seed).uniform(-1, 1, (1, 3, 38, 38))
    return np.ascontiguousarray(np.kron(coarse, np.ones((1, 1, 8, 8)))[..., :300, :300], np.float32)


def in_onnxruntime(path: Path, feeds: dict[str, np.ndarray]) -> list[np.ndarray]:
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    found: list[np.ndarray] = session.run(None, feeds)
    return found


def in_openvino(path: Path, feeds: dict[str, np.ndarray]) -> list[np.ndarray]:
    openvino = importlib.import_module("openvino")
    model = openvino.Core().compile_model(path, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    found = model(feeds)
    return [np.asarray(found[output]) for output in model.outputs]


def in_opencv(path: Path, feeds: dict[str, np.ndarray]) -> list[np.ndarray]:
    net = importlib.import_module("cv2").dnn.readNetFromONNX(str(path))
    for name, value in feeds.items():
        net.setInput(value, name)
    found: list[np.ndarray] = list(net.forward([value.name for value in onnx.load(path).graph.output]))
    return found


RUNTIMES = {"openvino": in_openvino, "cv2": in_opencv}


@pytest.fixture(params=RUNTIMES)
def runtime(request: pytest.FixtureRequest) -> Callable[..., list[np.ndarray]]:
    """Give what runs a file in a runtime that is installed."""
    module = pytest.importorskip(request.param, reason="'make test-runtimes' installs it")
    if request.param == "cv2" and int(module.__version__.partition(".")[0]) < 5:
        pytest.skip(f"OpenCV {module.__version__} does not read these files; expected 5 or newer")
    return RUNTIMES[request.param]


@pytest.mark.parametrize(
    ("target", "line"),
    [(ANY, ""), (ANY, "suppression: native"), (RTX, "")],
    ids=["operator", "native", "loop"],
)
def test_the_demo_model_detects_the_same(
    runtime: Callable[..., list[np.ndarray]], demo_file: Write, target: str, line: str
) -> None:
    path, feeds = demo_file(target, line), {"Input": picture()}
    (found,), (wanted,) = runtime(path, feeds), in_onnxruntime(path, feeds)
    assert (wanted[..., 1] >= 0).sum() == 100
    assert float(np.abs(found.reshape(wanted.shape) - wanted).max()) < CLOSE
    (other,) = in_onnxruntime(path, {"Input": picture(1)})
    assert float(np.abs(found.reshape(wanted.shape) - other).max()) > 100 * CLOSE


@pytest.mark.parametrize("op", ["NMS_TRT", "BatchedNMS_TRT", "EfficientNMS_TRT", "SurgeonDetection"])
def test_suppression_by_a_loop_is_the_same_everywhere(
    runtime: Callable[..., list[np.ndarray]], op: str, tmp_path: Path
) -> None:
    samples = onnx_inputs.GENERATORS[op](np.random.default_rng(30))[:3]
    for sample in (*samples, *onnx_inputs.CATALOG.cases(op).cases[:2]):
        specs = onnx_inputs.specs_of(sample.inputs)
        rendering = onnx_inputs.render(op, sample.fields, specs, target=load_target(RTX))
        onnx.save(rendering.model, tmp_path / "plugin.onnx")
        feeds = {f"input{i}": np.ascontiguousarray(array) for i, array in enumerate(sample.inputs)}
        wanted = onnx_inputs.expected(op, sample.fields, sample.inputs)
        given = runtime(tmp_path / "plugin.onnx", feeds)
        found = {
            port: value.reshape(wanted[port].shape).astype(wanted[port].dtype)
            for port, value in zip(rendering.ports, given, strict=True)
        }
        assert onnx_inputs.differences(found, wanted, CLOSE, CLOSE) == [], sample.name


@pytest.fixture
def tensorrt_rtx() -> Callable[..., list[list[str]]]:
    """Give what builds files with the genuine TensorRT-RTX, and returns what prevents each engine."""
    if find_spec("tensorrt_rtx_bindings") is None:
        pytest.skip("TensorRT-RTX is not installed; 'make test-runtimes' installs it")
    return built


def built(*paths: Path) -> list[list[str]]:
    command = [sys.executable, str(BUILD), *map(str, paths)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=True)
    found: list[list[str]] = json.loads(done.stdout[done.stdout.index("[[") :])
    return found


@pytest.mark.slow
def test_tensorrt_rtx_builds_every_file_of_the_demo_model(
    tensorrt_rtx: Callable[..., list[list[str]]], demo_file: Write
) -> None:
    paths = [
        demo_file(RTX),
        demo_file(RTX, "decode: plugin"),
        demo_file(RTX, "suppression: native"),
        demo_file(RTX, batch="dynamic"),
        demo_file(RTX, opset=13),
    ]
    assert tensorrt_rtx(*paths) == [[]] * len(paths)


@pytest.mark.slow
def test_tensorrt_rtx_builds_every_suppression(
    tensorrt_rtx: Callable[..., list[list[str]]], tmp_path: Path
) -> None:
    paths = []
    for op in (
        "NMS_TRT",
        "BatchedNMS_TRT",
        "EfficientNMS_TRT",
        "SurgeonDetection",
        "Proposal",
        "ProposalLayer_TRT",
    ):
        for sample in onnx_inputs.GENERATORS[op](np.random.default_rng(31))[:2]:
            specs = onnx_inputs.specs_of(sample.inputs)
            model = onnx_inputs.render(op, sample.fields, specs, target=load_target(RTX)).model
            paths.append(tmp_path / f"{op}-{len(paths)}.onnx")
            onnx.save(model, paths[-1])
    assert tensorrt_rtx(*paths) == [[]] * len(paths)


def test_tensorrt_rtx_has_no_such_operator_and_sorts_no_more_rows(
    tensorrt_rtx: Callable[..., list[list[str]]], tmp_path: Path
) -> None:
    """The limits that the target states are those of the library."""
    target, helper = load_target(RTX), onnx.helper
    fields = {**onnx_inputs.NMS, "topK": 40, "keepTopK": 40}
    inputs = onnx_inputs.ssd(np.random.default_rng(32), fields, 40, 1)
    onnx.save(
        onnx_inputs.render("NMS_TRT", fields, onnx_inputs.specs_of(inputs)).model, tmp_path / "nms.onnx"
    )
    paths, most = [tmp_path / "nms.onnx"], target.most_rows
    assert most is not None
    for rows in (most, most + 1):
        count = onnx.numpy_helper.from_array(np.array([rows], np.int64), "count")
        values = [
            helper.make_tensor_value_info(name, kind, [1, size])
            for name, kind, size in (("scores", 1, 5000), ("best", 1, rows), ("places", 7, rows))
        ]
        node = helper.make_node("TopK", ["scores", "count"], ["best", "places"], axis=1)
        graph = helper.make_graph([node], "sort", values[:1], values[1:], [count])
        paths.append(tmp_path / f"{rows}.onnx")
        onnx.save(
            helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), paths[-1]
        )
    without, sorted_ones, refused = tensorrt_rtx(*paths)
    assert any("NonMaxSuppression" in line for line in without) and target.lacks == ("NonMaxSuppression",)
    assert sorted_ones == [] and any("3840" in line for line in refused)
