"""Scripts as people wrote them run unchanged, and give the graphs and files that they gave before."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import surgeon.compat.graphsurgeon as gs
from surgeon.cli import convert_to_uff
from surgeon.compat.running import ScriptRun, run_script
from surgeon.compat.tensorflow_names import tensorflow_module
from surgeon.formats.graphdef.protos import GraphDef
from surgeon.formats.uff import UffModel, read_uff
from surgeon.graph import DType
from surgeon.zoo.lenet import build_lenet

SCRIPTS = Path(__file__).parent / "scripts"
SMALL = {"height": 96, "width": 96, "depth_multiplier": 0.125}


@pytest.fixture(autouse=True)
def _without_tensorflow(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let scripts import the names of TensorFlow that surgery needs, and leave the process's modules as they were."""
    monkeypatch.setitem(sys.modules, "tensorflow", tensorflow_module())
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        if name.partition(".")[0] in ("graphsurgeon", "uff", "jetson_model"):
            del sys.modules[name]


def ran(name: str, *arguments: object, **options: Any) -> ScriptRun:
    """Run a script of the folder."""
    return run_script(SCRIPTS / name, [str(each) for each in arguments], **options)


def codes(run: ScriptRun) -> list[str]:
    """Return the codes of what was said of a script."""
    return [d.code for d in run.diagnostics]


def node(model: UffModel, name: str) -> Any:
    """Return a node of a UFF file."""
    return next(node for node in model.nodes if node.id == name)


@pytest.mark.parametrize(("date", "warned"), [("2017", ["P101"]), ("2018", ["P101", "P101"])])
def test_a_preprocessor_of_the_sample(
    zoo_ssd: Callable[..., Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    date: str,
    warned: list[str],
) -> None:
    """On the graph of another date, the map misses the anchors' namespace; the picture reaches NMS and shifts the order."""
    out = tmp_path / "ssd.bin"
    config = SCRIPTS / "sample_config.py"
    code = convert_to_uff.main(
        [str(zoo_ssd(date, **SMALL)), "-O", "NMS", "-p", str(config), "-o", str(out), "-t"]
    )
    told = capsys.readouterr().err
    assert code == 0, told
    model = read_uff(tmp_path / "ssd.uff")
    assert (tmp_path / "ssd.pbtxt").exists() and not out.exists()
    assert node(model, "Input").fields["shape"].value == (1, 3, 96, 96)
    inputs = node(model, "NMS").inputs
    if date == "2017":
        assert inputs == ("concat_box_loc", "concat_priorbox", "concat_box_conf")
        assert "warning" not in told
    else:
        assert inputs[-1] == "Input" and "P118" in told


def test_a_program_that_builds_an_engine_in_the_same_run(
    zoo_ssd: Callable[..., Path], tmp_path: Path
) -> None:
    """`NMS.input.remove("Input")` finds what it takes out; the order for March 2018 is wrong, and told."""
    run = ran("jetson_main.py", zoo_ssd("2018", **SMALL), tmp_path / "m")
    assert codes(run) == ["P121", "P119", "P117", "P120"] or set(codes(run)) == {
        "P121",
        "P119",
        "P117",
        "P120",
    }
    assert run.code == 1 and "tensorrt.Builder" in run.diagnostics[-1].message
    model = read_uff(tmp_path / "m.uff")
    assert node(model, "NMS").inputs == ("Squeeze", "concat_priorbox", "concat_box_conf")
    assert node(model, "NMS").fields["scoreConverter_u_str"].value == "b'SIGMOID'"
    order = next(d for d in run.diagnostics if d.code == "P119")
    assert (
        str(order.where).startswith(str(SCRIPTS / "jetson_model"))
        and "[0, 2, 1] in this graph" in order.message
    )


def test_its_unconditional_removal_fails_on_a_graph_without_that_input(
    zoo_ssd: Callable[..., Path], tmp_path: Path
) -> None:
    run = ran("jetson_main.py", zoo_ssd("2017", **SMALL), tmp_path / "m")
    failure = run.diagnostics[-1]
    assert (run.code, failure.code) == (1, "P126")
    assert "ValueError" in failure.message and 'input.remove("Input")' in failure.where.text  # type: ignore[union-attr]
    assert len(failure.notes) == 2 and not (tmp_path / "m.uff").exists()


@pytest.mark.parametrize("date", ["2017", pytest.param("2018", marks=pytest.mark.exhaustive), "2019"])
def test_one_function_for_every_date(zoo_ssd: Callable[..., Path], tmp_path: Path, date: str) -> None:
    """AddV2 and FusedBatchNormV3 are renamed, an anchor input is made of an array without dtype, NMS is the output."""
    run = ran("many_models.py", "v1", zoo_ssd(date, **SMALL), tmp_path / "m.uff")
    assert run.code == 0, run.diagnostics
    model = read_uff(tmp_path / "m.uff")
    operations = {n.operation for n in model.nodes}
    assert {op for op in operations if op.startswith("_")} == {
        "_NMS_TRT",
        "_GridAnchor_TRT",
        "_FlattenConcat_TRT",
    }
    boxes = "concat_box_loc" if date == "2017" else "Squeeze"
    assert node(model, "NMS").inputs == (boxes, "concat_priorbox", "concat_box_conf")
    assert node(model, "concat_box_loc").fields["axis_u_int"].value == 1
    assert ("AnchorInput" in {n.id for n in model.nodes}) == (date == "2019")
    assert set(codes(run)) <= {"P101", "P124"}
    run = ran("many_models.py", "v2", zoo_ssd(date, **SMALL), tmp_path / "n.uff", strict=True)
    assert run.code == 1 and "P119" in codes(run) and not (tmp_path / "n.uff").exists()


def test_old_releases_of_tensorrt_are_told_apart(zoo_ssd: Callable[..., Path], tmp_path: Path) -> None:
    run = ran("many_models.py", "v1", zoo_ssd("2017", **SMALL), tmp_path / "m.uff", target="uff@tensorrt-5.0")
    assert run.code == 0
    assert "axis_u_int" not in node(read_uff(tmp_path / "m.uff"), "concat_box_loc").fields


def test_a_plugin_of_ones_own(tmp_path: Path) -> None:
    (tmp_path / "lenet.pb").write_bytes(build_lenet())
    run = ran("custom_clip.py", tmp_path / "lenet.pb", tmp_path / "lenet.uff", "OutputLayer/Softmax")
    assert (run.code, codes(run)) == (0, [])
    model = read_uff(tmp_path / "lenet.uff")
    clip = node(model, "trt_relu6")
    assert (clip.operation, clip.inputs) == ("_CustomClipPlugin", ("dense/BiasAdd",))
    assert {key: value.value for key, value in clip.fields.items()} == {
        "clipMin_u_float": 0.0,
        "clipMax_u_float": 6.0,
    }
    assert node(model, "flatten/Reshape").operation == "Flatten"
    assert node(model, "OutputLayer/MatMul").inputs[0] == "trt_relu6"


def made(path: Path, *lines: str) -> Path:
    """Write a graph of lines such as ``NAME OP INPUT ...``."""
    message = GraphDef()
    for line in lines:
        name, op, *inputs = line.split()
        made = message.node.add(name=name, op=op, input=inputs)
        if op == "Placeholder":
            gs.update_node(made, dtype=DType.FLOAT32, shape=[1, 3, 64, 64])
    path.write_bytes(message.SerializeToString())
    return path


def test_two_stages(tmp_path: Path) -> None:
    graph = made(
        tmp_path / "frcnn.pb",
        "input_1 Placeholder",
        "input_2 Placeholder",
        "activation_7/Relu Relu input_1",
        "rpn_out_class/Sigmoid Sigmoid activation_7/Relu",
        "rpn_out_regress/BiasAdd Relu activation_7/Relu",
        "crop_and_resize_1/Reshape Reshape input_2",
        "crop_and_resize_1/CropAndResize CropAndResize activation_7/Relu crop_and_resize_1/Reshape",
        "time_distributed_1/Reshape Relu crop_and_resize_1/CropAndResize",
        "dense/add AddV2 time_distributed_1/Reshape activation_7/Relu",
        "dense_class/Softmax Softmax dense/add",
    )
    code = convert_to_uff.main(
        [str(graph), "-O", "dense_class/Softmax", "-O", "proposal", "-p", str(SCRIPTS / "two_stage.py")]
    )
    assert code == 0
    model = read_uff(tmp_path / "frcnn.uff")
    crop = "roi_pooling_conv_1/CropAndResize_new"
    assert node(model, "dense/add").operation == "Binary"
    assert node(model, crop).inputs == ("activation_7/Relu", "proposal")
    assert node(model, "proposal").inputs == ("rpn_out_class/Sigmoid", "rpn_out_regress/BiasAdd")
    assert node(model, "proposal").fields["anchor_sizes_u_flist"].value == (32.0, 64.0, 128.0)
    assert node(model, "MarkOutput_1").inputs == ("proposal",)
    assert "input_2" not in {n.id for n in model.nodes}


def test_a_pyramid_with_excluded_nodes(tmp_path: Path) -> None:
    graph = made(
        tmp_path / "mrcnn.pb",
        "IteratorV2 IteratorV2",
        "input_1 Placeholder",
        "IteratorGetNext IteratorGetNext input_1",
        "conv Relu IteratorGetNext",
        "FPN_up_2/mul Mul conv conv",
        "fpn Relu FPN_up_2/mul",
        "MLP/level_2/reshape Reshape fpn IteratorGetNext:1",
        "MLP/level_2/sigmoid Sigmoid MLP/level_2/reshape",
        "MLP/level_3/sigmoid Sigmoid fpn",
        "MLP/roi TopKV2 MLP/level_2/sigmoid MLP/level_3/sigmoid",
        "out Relu MLP/roi",
    )
    code = convert_to_uff.main([str(graph), "-O", "out", "-p", str(SCRIPTS / "feature_pyramid.py")])
    assert code == 0
    model = read_uff(tmp_path / "mrcnn.uff")
    assert node(model, "propose").inputs == ("MLP/level_3/sigmoid", "MLP/level_2/sigmoid")
    assert node(model, "fpn").inputs == ("up",) and node(model, "up").inputs == ("conv",)
    assert node(model, "MLP/level_2/sigmoid").inputs == ("propose",)


def test_anchors_tiled_by_plugins_and_suppression_appended(tmp_path: Path) -> None:
    """The appended NMS reads its inputs as the script spells them; each tile reads the batch and the anchors."""
    graph = made(
        tmp_path / "ssd.pb",
        "Input Placeholder",
        "loc_data/Reshape Relu Input",
        "conf_data/Reshape Sigmoid Input",
        "ssd_anchor_0/boxes Const",
        "ssd_anchor_0/FirstDimTile/multiples Const",
        "ssd_anchor_0/FirstDimTile Tile ssd_anchor_0/boxes ssd_anchor_0/FirstDimTile/multiples",
        "ssd_anchor_1/boxes Const",
        "ssd_anchor_1/FirstDimTile Tile ssd_anchor_1/boxes Input",
        "anchors/axis Const",
        "anchor_data/Reshape ConcatV2 ssd_anchor_0/FirstDimTile ssd_anchor_1/FirstDimTile anchors/axis",
    )
    message = GraphDef.FromString(graph.read_bytes())
    for each in message.node:
        if each.op == "Const":
            gs.update_node(each, dtype=DType.INT32, value=np.array([1], np.int32))
    graph.write_bytes(message.SerializeToString())
    run = ran("batch_tiles.py", graph, tmp_path / "ssd.uff")
    assert (run.code, codes(run)) == (0, []), run.diagnostics
    model = read_uff(tmp_path / "ssd.uff")
    assert node(model, "NMS").inputs == ("anchor_data/Reshape", "loc_data/Reshape", "conf_data/Reshape")
    assert node(model, "anchor_data/Reshape").inputs == ("FirstDimTile_0", "FirstDimTile_1")
    assert node(model, "FirstDimTile_0").inputs == ("ssd_anchor_0/boxes",)
    assert node(model, "FirstDimTile_1").inputs == ("ssd_anchor_1/boxes", "Input")
    assert node(model, "FirstDimTile_0").operation == "_BatchTilePlugin_TRT"
