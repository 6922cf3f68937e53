"""ONNX files in ONNX Runtime: run, verified and inspected, by the command line too."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import surgeon
from surgeon.diagnostics import SurgeonError
from surgeon.runners.onnxruntime import OnnxRuntimeRunner
from surgeon.zoo import demo

Run = Callable[..., Any]
PICTURES = demo.picture_paths()[0].parent


@pytest.fixture(scope="module")
def files(
    tmp_path_factory: pytest.TempPathFactory, demo_recipe: Path, demo_onnx: Callable[..., Path]
) -> Path:
    """Give a folder with the demo model's recipe and its ONNX files: batch of one, open batch, native plugin nodes."""
    folder = tmp_path_factory.mktemp("onnx")
    shutil.copy(demo_recipe, folder / "demo.yaml")
    shutil.copy(demo_onnx(), folder / "one.onnx")
    shutil.copy(demo_onnx(batch="dynamic"), folder / "open.onnx")
    shutil.copy(demo_onnx(target="onnx@tensorrt-8.5", rendering="native"), folder / "native.onnx")
    return folder


def test_other_channels_are_another_picture(files: Path) -> None:
    model = OnnxRuntimeRunner(files / "one.onnx")
    random = np.random.default_rng(0).random((1, 300, 300, 3), np.float32)
    there, back = (
        model.run({"Input": np.ascontiguousarray(value)})["NMS"] for value in (random, random[..., ::-1])
    )
    assert there.shape == (1, 1, 100, 7) and not np.allclose(there, back)


def test_it_runs_in_another_order_of_operations(files: Path) -> None:
    model = OnnxRuntimeRunner(files / "one.onnx")
    fed = {"Input": np.random.default_rng(0).random((1, 300, 300, 3), np.float32)}
    one, other = model.run(fed)["NMS"], model.run_otherwise(fed)["NMS"]
    assert one.shape == other.shape and 0 < np.abs(one - other).max() < 1e-3
    with pytest.raises(SurgeonError):
        model.run_otherwise({})


def test_the_model_says_what_it_takes(files: Path) -> None:
    one, open_ = OnnxRuntimeRunner(files / "one.onnx"), OnnxRuntimeRunner(files / "open.onnx")
    assert ({name: str(spec) for name, spec in one.inputs.items()}, one.info.max_batch) == (
        {"Input": "float32[1,300,300,3]"},
        1,
    )
    assert open_.inputs["Input"].shape.dims == (None, 300, 300, 3) and (open_.info.max_batch or 0) > 1
    assert (
        one.info.detections["detections"] == "NMS"
        and one.info.image is not None
        and one.info.labels
        and len(one.info.graph) == 64
    )
    assert open_.run({"Input": np.zeros((2, 300, 300, 3), np.float32)})["NMS"].shape[0] == 2


@pytest.mark.parametrize(
    "feeds",
    [
        {},
        {"x": np.zeros((1, 300, 300, 3))},
        {"Input": np.zeros((1, 3, 300, 300), np.float32)},
        {"Input": np.zeros((2, 300, 300, 3), np.float32)},
    ],
)
def test_inputs_that_do_not_fit_are_refused(files: Path, feeds: dict[str, np.ndarray]) -> None:
    with pytest.raises(SurgeonError) as caught:
        OnnxRuntimeRunner(files / "one.onnx").run(feeds)
    assert caught.value.diagnostics[0].code == "V132"


def test_files_that_cannot_run_are_refused(files: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(b"\x00broken")
    cut = tmp_path / "cut.onnx"
    cut.write_bytes((files / "one.onnx").read_bytes()[:-1000])
    for path, codes in (
        (files / "native.onnx", {"V131"}),
        (broken, {"X150"}),
        (cut, {"X150", "V130"}),
        (tmp_path / "none.onnx", {"X150"}),
    ):
        with pytest.raises(SurgeonError) as caught:
            OnnxRuntimeRunner(path)
        assert caught.value.diagnostics[0].code in codes


def test_onnx_runtime_refuses_an_operator_that_is_none(tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx")
    node = onnx.helper.make_node("NoSuchOperator", ["x"], ["y"])
    value = [onnx.helper.make_tensor_value_info(name, 1, [1, 2]) for name in "xy"]
    onnx.save(
        onnx.helper.make_model(onnx.helper.make_graph([node], "g", value[:1], value[1:])), tmp_path / "x.onnx"
    )
    with pytest.raises(SurgeonError) as caught:
        OnnxRuntimeRunner(tmp_path / "x.onnx")
    assert caught.value.diagnostics[0].code == "V130"


def test_a_fixed_batch_is_filled_up_and_cut_off(files: Path, demo_onnx: Callable[..., Path]) -> None:
    shutil.copy(demo_onnx(batch=4), files / "four.onnx")
    four, one = OnnxRuntimeRunner(files / "four.onnx"), OnnxRuntimeRunner(files / "one.onnx")
    pictures = np.random.default_rng(0).random((3, 300, 300, 3), np.float32)
    found = four.run({"Input": pictures})["NMS"][..., 1:]
    wanted = np.concatenate([one.run({"Input": picture[None]})["NMS"] for picture in pictures])[..., 1:]
    assert (
        found.shape == (3, 1, 100, 6)
        and np.allclose(found, wanted, atol=1e-5)
        and not np.allclose(found, wanted[::-1], atol=1e-2)
    )


def write_onnx(
    path: Path,
    op: str,
    inputs: dict[str, Any],
    outputs: dict[str, Any],
    told: dict[str, str] | None = None,
    **attributes: Any,
) -> Path:
    """Write a file of one node, as another maker might."""
    onnx = pytest.importorskip("onnx")
    node = onnx.helper.make_node(op, list(inputs), list(outputs), **attributes)
    given, made = (
        [onnx.helper.make_tensor_value_info(name, 1, dims) for name, dims in each.items()]
        for each in (inputs, outputs)
    )
    model = onnx.helper.make_model(
        onnx.helper.make_graph([node], "g", given, made), opset_imports=[onnx.helper.make_opsetid("", 13)]
    )
    model.ir_version = 8
    onnx.helper.set_model_props(model, told or {})
    onnx.save(model, path)
    return path


@pytest.mark.parametrize("first", [1, "N"])
def test_an_output_without_axes_stays_as_it_is(tmp_path: Path, first: int | str) -> None:
    path = write_onnx(tmp_path / "x.onnx", "ReduceSum", {"x": [first, 3]}, {"y": []}, keepdims=0)
    assert OnnxRuntimeRunner(path).run({"x": np.ones((1, 3), np.float32)})["y"] == 3


@pytest.mark.parametrize("dims", [[], [1]])
def test_inputs_without_a_batch_go_beside_those_with_one(tmp_path: Path, dims: list[int]) -> None:
    model = OnnxRuntimeRunner(
        write_onnx(tmp_path / "x.onnx", "Mul", {"x": ["N", 3], "scale": dims}, {"y": ["N", 3]})
    )
    found = model.run({"x": np.ones((2, 3), np.float32), "scale": np.full(dims, 2, np.float32)})
    assert np.array_equal(found["y"], np.full((2, 3), 2))
    with pytest.raises(SurgeonError) as caught:
        model.run({"x": np.ones((2, 3), np.float32), "scale": np.ones(2, np.float32)})
    assert caught.value.diagnostics[0].code == "V132"


def test_properties_that_do_not_fit_the_file(tmp_path: Path) -> None:
    told = {
        "surgeon.detections": '{"detections": "y"}',
        "surgeon.plugins": '[{"node": [1], "op": "a", "rendering": "b"}]',
    }
    path = write_onnx(tmp_path / "x.onnx", "Relu", {"x": ["N", 3]}, {"y": ["N", 3]}, told)
    assert surgeon.inspect(path).plugins == {}
    with pytest.raises(SurgeonError) as caught:
        OnnxRuntimeRunner(path)
    assert caught.value.diagnostics[0].code == "X151"
    layout = write_onnx(
        tmp_path / "l.onnx", "Relu", {"x": ["N", 3]}, {"y": ["N", 3]}, {"surgeon.nchw_inputs": '["x"]'}
    )
    with pytest.raises(SurgeonError, match="X151"):
        OnnxRuntimeRunner(layout)


def test_damaged_names_are_refused_and_nothing_is_printed(
    files: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    damaged = tmp_path / "damaged.onnx"
    data = (files / "one.onnx").read_bytes()
    damaged.write_bytes(data.replace(b"FeatureExtractor", b"\xff\xfe" + b"atureExtractor", 1))
    unknown = write_onnx(tmp_path / "u.onnx", "NoSuchOperator", {"x": [1, 2]}, {"y": [1, 2]})
    for make, code in (
        (lambda: surgeon.inspect(damaged), "X150"),
        (lambda: OnnxRuntimeRunner(damaged), "X150"),
        (lambda: OnnxRuntimeRunner(unknown), "V130"),
    ):
        with pytest.raises(SurgeonError) as caught:
            make()
        assert caught.value.diagnostics[0].code == code
    assert capfd.readouterr() == ("", "")


def test_verified_against_the_original(files: Path) -> None:
    found = surgeon.verify(
        files / "demo.yaml", demo.model_path(), onnx=files / "one.onnx", images=demo.picture_paths()[1]
    )
    assert found.passed and found.tolerances.box == 1e-4 and "onnxruntime" in found.runtime["runtime"]
    surgeon.verify(
        files / "demo.yaml", demo.model_path(), images=demo.picture_paths()[1], store=files / "o.npz"
    )
    assert surgeon.verify(onnx=files / "open.onnx", original=files / "o.npz").passed


def test_the_command_line_runs_verifies_and_inspects(files: Path) -> None:
    assert surgeon.inspect(files / "one.onnx").format == "onnx"
    native = surgeon.inspect(files / "native.onnx")
    assert (
        native.plugins["NMS"] == "NMS_TRT, native"
        and native.ops["NMS_TRT"] == 1
        and native.told["target"] == "onnx@tensorrt-8.5"
    )
    standard = surgeon.inspect(files / "one.onnx", depth=2)
    assert (
        standard.plugins["NMS"] == "NMS_TRT, standard"
        and "NMS_TRT" not in standard.ops
        and standard.told["recipe"] == "demo"
    )
    assert (
        standard.inputs == {"Input": "float32[1,3,300,300], channels first"}
        and standard.constant_bytes > 1_000_000
    )
    assert "FeatureExtractor/MobilenetV1" in {n.name for n in standard.namespaces}


def test_an_onnx_file_of_another_maker_is_inspected(tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx")
    node = onnx.helper.make_node("Relu", ["x"], ["y"])
    value = [onnx.helper.make_tensor_value_info(name, 1, ["N", 2]) for name in "xy"]
    onnx.save(
        onnx.helper.make_model(onnx.helper.make_graph([node], "g", value[:1], value[1:])), tmp_path / "x.onnx"
    )
    found = surgeon.inspect(tmp_path / "x.onnx")
    assert (found.nodes, found.ops, found.inputs, found.plugins) == (
        1,
        {"Relu": 1},
        {"x": "float32[?,2]"},
        {},
    )
