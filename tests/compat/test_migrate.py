"""Scripts for graphsurgeon as recipes: the recipe's graph and UFF file are the script's."""

from __future__ import annotations

import json
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from surgeon import Graph, Migration, load_catalog, load_target, migrate, plan
from surgeon.compat.migration.peer_configs import recipe_of_config
from surgeon.compat.tensorflow_names import tensorflow_module
from surgeon.diagnostics import SurgeonError
from surgeon.formats.graphdef import save_graph
from surgeon.formats.uff import export_uff, write_uff
from surgeon.graph import parse_graph
from surgeon.request import Request
from surgeon.steps.step import Step
from surgeon.zoo.lenet import build_lenet


@pytest.fixture(autouse=True)
def _without_tensorflow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let scripts import the names of TensorFlow that surgery needs, without its seconds."""
    monkeypatch.setitem(sys.modules, "tensorflow", tensorflow_module())


Write = Callable[[str], Path]

TOY = """\
graph v1
x = Placeholder() {dtype: float32, shape: shape[1,8,8,3]}
pre/two = Const() {dtype: float32, value: tensor<float32[]: 2.0>}
pre/scaled = Mul(x, pre/two) {T: float32}
w = Const() {dtype: float32, value: tensor<float32[1,1,3,4]: 1.0>}
w/read = Identity(w) {T: float32}
conv = Conv2D(pre/scaled, w/read) {T: float32, data_format: "NHWC", dilations: [1, 1, 1, 1], padding: "SAME", strides: [1, 1, 1, 1]}
bias = Const() {dtype: float32, value: tensor<float32[4]: 1.0>}
sum = AddV2(conv, bias) {T: float32}
act1/Relu6 = Relu6(sum) {T: float32}
act2/Relu6 = Relu6(act1/Relu6) {T: float32}
left = Relu(act2/Relu6) {T: float32}
right = Neg(act2/Relu6) {T: float32}
out = Sub(left, right) {T: float32}
"""


LOOP = """\
cond = Placeholder() {dtype: bool, shape: shape[]}
y = Placeholder() {dtype: float32, shape: shape[1,8,8,4]}
loop/Switch = Switch(y, cond) {T: float32}
loop/Identity = Identity(loop/Switch:1) {T: float32}
loop/one = Const(^loop/Identity) {dtype: float32, value: tensor<float32[]: 1.0>}
loop/add = Add(loop/Identity, loop/one) {T: float32}
loop/held = Identity(loop/add, ^loop/Switch) {T: float32}
loop/Merge = Merge(loop/Switch, loop/held) {N: 2, T: float32}
"""


@pytest.fixture
def script(tmp_path: Path) -> Write:
    """Give ``script(text) -> Path``: a Python file."""

    def written(text: str) -> Path:
        path = tmp_path / "config.py"
        path.write_text(textwrap.dedent(text), encoding="utf-8")
        return path

    return written


def toy() -> Graph:
    return parse_graph(TOY)


def uff_bytes(graph: Graph, path: Path) -> bytes:
    target = load_target("uff@tensorrt-8.5")
    write_uff(export_uff(graph, plugins=load_catalog(), target=target), path)
    return path.read_bytes()


def assert_equal(made: Migration, folder: Path) -> None:
    """Hold the graphs and their UFF files against each other."""
    assert made.equal, [*map(str, made.diagnostics), *map(str, made.differences)]
    assert made.script_graph is not None and made.recipe_graph is not None
    files = [
        uff_bytes(graph, folder / name)
        for graph, name in ((made.script_graph, "a"), (made.recipe_graph, "b"))
    ]
    assert files[0] == files[1]


def keywords(made: Migration) -> list[str]:
    steps: tuple[Step, ...] = made.recipe.steps
    return [step.step for step in steps]


def codes(made: Migration) -> list[str]:
    return [each.code for each in made.diagnostics]


SSD = """\
import graphsurgeon as gs
import tensorflow as tf

Input = gs.create_node("Input", op="Placeholder", dtype=tf.float32, shape=[1, 3, 96, 96])
PriorBox = gs.create_plugin_node(
    name="GridAnchor", op="GridAnchor_TRT", numLayers=6, minSize=0.2, maxSize=0.95,
    aspectRatios=[1.0, 2.0, 0.5, 3.0, 0.33], variance=[0.1, 0.1, 0.2, 0.2], featureMapShapes=[6, 3, 2, 1, 1, 1])
NMS = gs.create_plugin_node(
    name="NMS", op="NMS_TRT", shareLocation=1, varianceEncodedInTarget=0, backgroundLabelId=0,
    confidenceThreshold=1e-8, nmsThreshold=0.6, topK=100, keepTopK=100, numClasses=4, inputOrder=ORDER,
    confSigmoid=1, isNormalized=1, scoreConverter="SIGMOID")
concat_priorbox = gs.create_node("concat_priorbox", op="ConcatV2", dtype=tf.float32, axis=2)
loc = gs.create_plugin_node("concat_box_loc", op="FlattenConcat_TRT", dtype=tf.float32, axis=1, ignoreBatch=0)
conf = gs.create_plugin_node("concat_box_conf", op="FlattenConcat_TRT", dtype=tf.float32)

namespace_plugin_map = {
    "MultipleGridAnchorGenerator": PriorBox,
    "Postprocessor": NMS,
    "Preprocessor": Input,
    "ToFloat": Input,
    "Cast": Input,
    "image_tensor": Input,
    "MultipleGridAnchorGenerator/Concatenate": concat_priorbox,
    "Concatenate": concat_priorbox,
    "concat": loc,
    "concat_1": conf,
}

def preprocess(graph):
    graph.remove(graph.find_nodes_by_op("Assert"), remove_exclusive_dependencies=True)
    graph.forward_inputs(graph.find_nodes_by_op("Identity"))
    graph.collapse_namespaces(namespace_plugin_map)
    for node in graph.find_nodes_by_op("AddV2"):
        gs.update_node(node, op="Add")
    for node in graph.find_nodes_by_op("FusedBatchNormV3"):
        gs.update_node(node, op="FusedBatchNorm")
    nms = graph.find_nodes_by_op("NMS_TRT")[0]
    if "Input" in list(nms.input):
        nms.input.remove("Input")
    net = graph.find_nodes_by_op("Placeholder")[0]
    if "image_tensor:0" in net.input:
        net.input.remove("image_tensor:0")
    graph.remove(graph.graph_outputs, remove_exclusive_dependencies=False)
"""


def test_a_config_in_the_manner_of_the_sample(zoo_ssd: Any, script: Write, tmp_path: Path) -> None:
    model = zoo_ssd("2018", height=96, width=96, depth_multiplier=0.125)
    made = migrate(script(SSD.replace("ORDER", "[0, 2, 1]")), model, verify=False)
    assert_equal(made, tmp_path)
    nms, grid = made.recipe.nodes["NMS"], made.recipe.nodes["GridAnchor"]
    assert nms.fields is not None and grid.fields is not None
    # What the graph says is derived again; the numbers that are the script's own stay.
    assert nms.fields["nmsThreshold"] == nms.fields["inputOrder"] == grid.fields["minSize"] == "auto"
    assert nms.fields["topK"] == 100 and grid.fields["aspectRatios"][3:] == (3.0, 0.33)
    assert list(nms.inputs or ()) == ["loc", "prior", "conf"]
    assert "the graph says [1, 2, 0.5, 3, 0.3333333]" in made.text
    assert "left out, for NMS_TRT has no such field: scoreConverter SIGMOID" in made.text
    assert "not in the script; TensorRT's own FlattenConcat_TRT needs it" in made.text
    reasons = {(each.node, each.what): each.reason for each in made.differences}
    assert reasons["NMS", "scoreConverter"] and all(reasons.values())
    assert "P133" not in codes(made)


SCRIPTS = Path(__file__).parent / "scripts"


@pytest.mark.parametrize(
    ("name", "date", "options"),
    [
        ("sample_config.py", "2017", {}),
        pytest.param("many_models.py", "2018", {"spec": "v1"}, marks=pytest.mark.exhaustive),
        ("many_models.py", "2019", {"spec": "v1"}),
    ],
)
def test_scripts_as_people_wrote_them(
    name: str, date: str, options: dict[str, Any], zoo_ssd: Any, tmp_path: Path
) -> None:
    model = zoo_ssd(date, height=96, width=96, depth_multiplier=0.125)
    made = migrate(SCRIPTS / name, model, verify=False, **options)
    assert_equal(made, tmp_path)
    assert made.recipe.outputs == ("NMS",) and all(each.reason for each in made.differences)


def test_a_program_that_builds_an_engine_is_stopped_before(zoo_ssd: Any, tmp_path: Path) -> None:
    model = zoo_ssd("2018", height=96, width=96, depth_multiplier=0.125)
    engine = tmp_path / "none.bin"
    made = migrate(SCRIPTS / "jetson_main.py", model, verify=False, arguments=["x.pb", str(engine)])
    assert made.equal and not list(tmp_path.iterdir())
    # The script takes the picture out of the inputs, and its order is that of another graph.
    assert {"P121", "P133"} <= set(codes(made)) and list(made.recipe.nodes["NMS"].inputs or ()) == [
        "loc",
        "prior",
        "conf",
    ]


TWO_STAGES = """\
graph v1
input_1 = Placeholder() {dtype: float32, shape: shape[1,3,64,64]}
input_2 = Placeholder() {dtype: float32, shape: shape[1,300,4]}
activation_7/Relu = Relu(input_1) {T: float32}
rpn_out_class/w = Const() {dtype: float32, value: tensor<float32[1,1,3,9]: 1.0>}
rpn_out_class/conv = Conv2D(activation_7/Relu, rpn_out_class/w) {T: float32, data_format: "NCHW", dilations: [1, 1, 1, 1], padding: "SAME", strides: [1, 1, 1, 1]}
rpn_out_class/Sigmoid = Sigmoid(rpn_out_class/conv) {T: float32}
rpn_out_regress/w = Const() {dtype: float32, value: tensor<float32[1,1,3,36]: 1.0>}
rpn_out_regress/conv = Conv2D(activation_7/Relu, rpn_out_regress/w) {T: float32, data_format: "NCHW", dilations: [1, 1, 1, 1], padding: "SAME", strides: [1, 1, 1, 1]}
rpn_out_regress/BiasAdd = Neg(rpn_out_regress/conv) {T: float32}
crop_and_resize_1/dims = Const() {dtype: int32, value: tensor<int32[2]: -1, 4>}
crop_and_resize_1/Reshape = Reshape(input_2, crop_and_resize_1/dims) {T: float32, Tshape: int32}
boxes = Const() {dtype: int32, value: tensor<int32[300]: 0>}
size = Const() {dtype: int32, value: tensor<int32[2]: 7, 7>}
crop_and_resize_1/CropAndResize = CropAndResize(activation_7/Relu, crop_and_resize_1/Reshape, boxes, size) {T: float32}
flat = Const() {dtype: int32, value: tensor<int32[4]: -1, 64, 7, 7>}
time_distributed_1/Reshape = Reshape(crop_and_resize_1/CropAndResize, flat) {T: float32, Tshape: int32}
bias = Const() {dtype: float32, value: tensor<float32[7]: 1.0>}
dense/add = AddV2(time_distributed_1/Reshape, bias) {T: float32}
dense_class/Softmax = Softmax(dense/add) {T: float32}
"""


def test_two_stages_whose_reshapes_are_taken_out() -> None:
    """The plugin has another shape than the operation it replaces; the script lets others read it."""
    made = migrate(
        Path(__file__).parent / "scripts" / "two_stage.py",
        parse_graph(TWO_STAGES),
        outputs=["dense_class/Softmax", "proposal"],
    )
    assert made.equal, [*map(str, made.diagnostics), *map(str, made.differences)]
    crop = made.recipe.nodes["roi_pooling_conv_1/CropAndResize_new"]
    assert crop.plugin == "CropAndResize_TRT"  # CropAndResize in the script, as TensorRT registers it
    assert made.recipe_graph is not None
    assert str(made.recipe_graph["dense/add"].inputs[0]) == "roi_pooling_conv_1/CropAndResize_new"


def test_a_plugin_of_ones_own(tmp_path: Path) -> None:
    (tmp_path / "lenet.pb").write_bytes(build_lenet())
    made = migrate(
        SCRIPTS / "custom_clip.py",
        tmp_path / "lenet.pb",
        arguments=["lenet.pb", "lenet.uff", "OutputLayer/Softmax"],
    )
    assert_equal(made, tmp_path)
    assert made.differences == () and not (tmp_path / "lenet.uff").exists()


def test_an_order_of_inputs_that_is_wrong_is_derived_with_a_warning(
    zoo_ssd: Any, script: Write, tmp_path: Path
) -> None:
    model = zoo_ssd("2018", height=96, width=96, depth_multiplier=0.125)
    made = migrate(script(SSD.replace("ORDER", "[1, 0, 2]")), model, verify=False)
    assert made.equal and codes(made).count("P133") == 1
    [order] = [each for each in made.differences if each.what == "inputOrder"]
    assert (order.script, order.recipe) == ("[1, 0, 2]", "[0, 2, 1]") and order.reason
    assert made.recipe_graph is not None and made.script_graph is not None
    assert made.recipe_graph["NMS"].attrs["inputOrder"] == (0, 2, 1)
    assert made.script_graph["NMS"].attrs["inputOrder"] == (1, 0, 2)


def test_literal_keeps_the_scripts_numbers(zoo_ssd: Any, script: Write, tmp_path: Path) -> None:
    model = zoo_ssd("2018", height=96, width=96, depth_multiplier=0.125)
    made = migrate(script(SSD.replace("ORDER", "[0, 2, 1]")), model, literal=True, verify=False)
    assert_equal(made, tmp_path)
    fields = made.recipe.nodes["NMS"].fields or {}
    assert [key for key, value in fields.items() if value == "auto"] == ["inputOrder"]


CLIP = """\
import graphsurgeon as gs

def clip(name, top=6.0):
    return gs.create_plugin_node(name, op="CustomClipPlugin", clipMin=0.0, clipMax=top)
"""


def test_loops_over_namespaces_are_what_they_did(script: Write, tmp_path: Path) -> None:
    text = CLIP + (
        "def preprocess(graph):\n"
        "    for number in (1, 2):\n"
        "        graph.collapse_namespaces({f'act{number}': clip(f'clip{number}')})\n"
    )
    made = migrate(script(text), toy(), outputs=["out"])
    assert_equal(made, tmp_path)
    assert keywords(made) == ["collapse", "collapse", "prune"]
    assert "config.py, line 7" in made.text
    assert made.unverified == "no output of the recipe holds detections"


def test_a_condition_is_the_branch_that_ran(script: Write, tmp_path: Path) -> None:
    text = CLIP + (
        "def preprocess(graph):\n"
        "    if graph.find_nodes_by_op('AddV2'):\n"
        "        for node in graph.find_nodes_by_op('AddV2'):\n"
        "            node.op = 'Add'\n"
        "    else:\n"
        "        graph.remove('sum')\n"
        "    graph.collapse_namespaces({'act1': clip('clip')})\n"
    )
    made = migrate(script(text), toy(), outputs=["out"])
    assert_equal(made, tmp_path)
    assert keywords(made) == ["replace-op", "collapse", "prune"]


def test_edits_of_inputs_in_place(script: Write, tmp_path: Path) -> None:
    text = """\
    def preprocess(graph):
        graph.forward_inputs(graph.find_nodes_by_op("Identity"))
        end = graph.find_nodes_by_name("out")[0]
        end.input.remove("left")
        end.input.append("act1/Relu6")
        graph.find_nodes_by_name("right")[0].input[0] = "sum"
    """
    made = migrate(script(text), toy(), outputs=["out"])
    assert_equal(made, tmp_path)
    assert made.recipe_graph is not None
    assert [str(ref) for ref in made.recipe_graph["out"].inputs] == ["right", "act1/Relu6"]
    assert [str(ref) for ref in made.recipe_graph["right"].inputs] == ["sum"]
    assert {"connect", "disconnect"} <= set(keywords(made))


def test_edits_of_edges_by_method(script: Write, tmp_path: Path) -> None:
    text = """\
    def preprocess(graph):
        node = graph.find_nodes_by_name("out")[0]
        graph.sort(node, ["right"])
        graph.disconnect("act2/Relu6", "left")
        graph.connect("sum", "left")
    """
    made = migrate(script(text), toy(), outputs=["out"])
    assert_equal(made, tmp_path)
    assert "reorder-inputs" in keywords(made)


def test_attributes_set_by_hand(script: Write, tmp_path: Path) -> None:
    text = """\
    def preprocess(graph):
        node = graph.find_nodes_by_op("Conv2D")[0]
        node.attr["padding"].s = b"VALID"
        node.attr["strides"].list.i[:] = [1, 2, 2, 1]
        graph.forward_inputs(graph.find_nodes_by_op("Identity"))
    """
    made = migrate(script(text), toy(), outputs=["out"])
    assert_equal(made, tmp_path)
    assert keywords(made) == ["forward-identities", "set-attr", "prune"]
    assert made.recipe_graph is not None
    assert made.recipe_graph["conv"].attrs["strides"] == (1, 2, 2, 1)


def test_a_node_made_a_plugin_in_place(script: Write, tmp_path: Path) -> None:
    text = """\
    import graphsurgeon as gs

    def preprocess(graph):
        node = graph.find_nodes_by_name("left")[0]
        gs.update_node(node, op="LReLU_TRT", trt_plugin=True, negSlope=0.1)
    """
    made = migrate(script(text), toy(), outputs=["out"])
    assert_equal(made, tmp_path)
    assert made.recipe_graph is not None and made.recipe_graph["left"].op == "LReLU_TRT"
    assert list(made.recipe_graph["left"].attrs) == ["negSlope"]


def test_two_nodes_of_one_name_are_refused(script: Write) -> None:
    text = CLIP + "def preprocess(graph):\n    graph.append(clip('left'))\n"
    with pytest.raises(SurgeonError, match=r"P135.*named 'left'"):
        migrate(script(text), toy(), outputs=["out"])


def test_nodes_renamed_in_place(script: Write, tmp_path: Path) -> None:
    text = CLIP + (
        "def preprocess(graph):\n"
        "    graph.collapse_namespaces({'act2': clip('clip')})\n"
        "    graph.find_nodes_by_op('CustomClipPlugin')[0].name = 'clipped'\n"
        "    graph.find_nodes_by_name('sum')[0].name = 'total'\n"
        "    for node in graph:\n"
        "        names = {'clip': 'clipped', 'sum': 'total'}\n"
        "        node.input[:] = [names.get(name, name) for name in node.input]\n"
    )
    made = migrate(script(text), toy(), outputs=["out"])
    assert_equal(made, tmp_path)
    assert keywords(made) == ["collapse", "rename", "prune"]
    assert made.recipe_graph is not None
    assert {"clipped", "total"} <= set(made.recipe_graph.nodes)


def test_nodes_appended(script: Write, tmp_path: Path) -> None:
    text = """\
    import graphsurgeon as gs
    import numpy as np

    def preprocess(graph):
        graph.append(gs.create_node("shift", op="Const", value=np.array([1.5], np.float32), dtype=gs_float()))
        graph.extend([gs.create_node("shifted", op="Add", inputs=["out", "shift"])])
        graph.append(gs.create_plugin_node("clip", op="CustomClipPlugin", clipMin=0.0, clipMax=6.0, inputs=["shifted"]))

    def gs_float():
        import tensorflow as tf
        return tf.float32
    """
    made = migrate(script(text), toy())
    assert_equal(made, tmp_path)
    assert made.recipe.outputs == ("clip",)
    assert keywords(made) == ["add-node"] * 3 + ["prune"]


def test_nodes_removed_with_what_only_they_need(script: Write, tmp_path: Path) -> None:
    text = CLIP + (
        "def preprocess(graph):\n"
        "    graph.remove(['right'], remove_exclusive_dependencies=True)\n"
        "    graph.collapse_namespaces({'act1': clip('clip')})\n"
    )
    made = migrate(script(text), toy(), outputs=["left"])
    assert_equal(made, tmp_path)
    assert keywords(made) == ["remove", "collapse", "prune"]


def test_a_script_that_runs_by_itself_stops_at_the_conversion(script: Write, tmp_path: Path) -> None:
    text = """\
    import ctypes
    import sys
    import graphsurgeon as gs
    import pycuda.autoinit
    import tensorrt as trt
    import uff

    ctypes.CDLL("libflattenconcat.so")
    LOGGER = trt.Logger(trt.Logger.WARNING)

    class Calibrator(trt.IInt8EntropyCalibrator2):
        pass

    def main():
        print("converting", sys.argv[1])
        graph = gs.DynamicGraph("/there/is/none.pb")
        graph.forward_inputs(graph.find_nodes_by_op("Identity"))
        uff.from_tensorflow(graph.as_graph_def(), ["out"], output_filename="model.uff", text=True)
        raise RuntimeError("an engine is built here")

    if __name__ == "__main__":
        main()
    """
    made = migrate(script(text), toy(), arguments=["model.pb"])
    assert_equal(made, tmp_path)
    assert made.recipe.outputs == ("out",) and keywords(made) == ["forward-identities", "prune"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b", "config.py"]


@pytest.mark.parametrize("parameters", ["spec", "dims, chars"])
def test_a_program_whose_function_needs_more_is_run(parameters: str, script: Write, tmp_path: Path) -> None:
    """What `add_plugin` takes besides the graph comes from the script's own last lines."""
    text = CLIP + (
        f"import uff\ndef add_plugin(graph, {parameters}):\n"
        "    graph.collapse_namespaces({'act1': clip('clip')})\n"
        "    return graph\n"
        "if __name__ == '__main__':\n"
        f"    arguments = range({parameters.count(',') + 1})\n"
        "    uff.from_tensorflow(add_plugin(gs.DynamicGraph('model.pb'), *arguments).as_graph_def())\n"
    )
    made = migrate(script(text), toy())
    assert_equal(made, tmp_path)
    assert made.recipe.outputs == ("out",)  # as the converter takes them where the script names none


def test_identities_of_a_namespace_go_with_it(script: Write, tmp_path: Path) -> None:
    """JetBot forwards identities before it collapses; one in a loop of the namespace cannot be forwarded."""
    text = CLIP + (
        "def preprocess(graph):\n"
        "    graph.forward_inputs(graph.find_nodes_by_op('Identity'))\n"
        "    graph.collapse_namespaces({'loop': clip('clip')})\n"
    )
    model = parse_graph(
        TOY.replace("x = Placeholder", LOOP + "x = Placeholder").replace("Neg(act2/Relu6)", "Neg(loop/Merge)")
    )
    made = migrate(script(text), model, outputs=["out"])
    assert_equal(made, tmp_path)
    assert keywords(made) == ["forward", "collapse", "prune"]


def test_a_loop_that_forwards_node_by_node_is_one_step(script: Write, tmp_path: Path) -> None:
    text = CLIP + (
        "def preprocess(graph):\n"
        "    for node in graph.find_nodes_by_op('Relu6'):\n"
        "        graph.forward_inputs([node])\n"
        "    for node in graph.find_nodes_by_op('Conv2D'):\n"
        "        node.attr['explicit_paddings'].list.SetInParent()\n"
    )
    made = migrate(script(text), toy(), outputs=["out"])
    assert_equal(made, tmp_path)
    assert keywords(made) == ["forward", "prune"]
    assert [(d.what, d.reason) for d in made.differences] == [
        ("explicit_paddings", "an empty list, as TensorFlow fills it in")
    ]


def test_a_node_made_again_is_defined_once(script: Write, tmp_path: Path) -> None:
    """A second collapse gives the first one's node other fields, and what nothing reads went in between."""
    text = CLIP + (
        "def preprocess(graph):\n"
        "    graph.collapse_namespaces({'act1': clip('clip', 1.0), 'right': clip('gone', 1.0)})\n"
        "    graph.remove('gone')\n"
        "    graph.node_map['out'].input.append('left')\n"
        "    graph.collapse_namespaces({'clip': clip('clip', 6.0)})\n"
    )
    made = migrate(script(text), toy(), outputs=["out"])
    assert_equal(made, tmp_path)
    assert (made.recipe.nodes["clip"].fields or {})["clipMax"] == 6.0
    assert keywords(made).count("collapse") == 1


def test_specs_choose_numbers(script: Write, tmp_path: Path) -> None:
    text = CLIP + (
        "SPECS = {'narrow': {'top': 3.0}, 'wide': {'top': 6.0}}\n"
        "def add_plugin(graph, model, spec):\n"
        "    assert model == 'narrow'\n"
        "    node = gs.create_plugin_node('clip', op='CustomClipPlugin', clipMin=0.0, clipMax=spec['top'])\n"
        "    graph.collapse_namespaces({'act1': node})\n"
        "    return graph\n"
    )
    made = migrate(script(text), toy(), spec="narrow", outputs=["out"])
    assert_equal(made, tmp_path)
    assert (made.recipe.nodes["clip"].fields or {})["clipMax"] == 3.0
    with pytest.raises(SurgeonError, match=r"(?s)P136.*--spec: narrow, wide"):
        migrate(script(text + "if __name__ == '__main__':\n    raise AssertionError\n"), toy())
    with pytest.raises(SurgeonError, match=r"(?s)P136.*no spec 'narow'.*'narrow'"):
        migrate(script(text), toy(), spec="narow")


def test_a_recipe_that_cannot_be_planned_says_why(script: Write) -> None:
    text = CLIP + (
        "def preprocess(graph):\n"
        "    graph.collapse_namespaces({'act1': clip('clip'), 'right': clip('clip')})\n"
    )
    made = migrate(script(text), toy(), outputs=["out"])
    # The one node would read itself: its namespaces are left and entered again.
    assert not made.equal and {"P134", "S306"} <= set(codes(made))
    assert made.unverified == "the recipe cannot be planned"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("def preprocess(graph)\n", r"config.py:1:.*P126.*not Python 3"),
        ("def preprocess(graph):\n    graph.nothing()\n", r"config.py:2:.*P126.*AttributeError"),
        ("def preprocess(graph):\n    raise SystemExit(4)\n", r"config.py:2:.*P126.*exit code 4"),
        ("def preprocess(graph, how):\n    pass\n", r"P136.*needs 'how'"),
        ("print('nothing')\n", r"P131.*edits no graph"),
        ("def preprocess(graph):\n    pass\n", r"P137.*does not say"),
        (
            "import graphsurgeon as gs\nimport numpy as np\ndef preprocess(graph):\n"
            "    graph.append(gs.create_node('c', op='Const', value=np.zeros((99, 99), np.float32)))\n"
            "    graph.append(gs.create_node('o', op='Neg', inputs=['c']))\n",
            r"config.py:4:.*P135.*'c'.*4096 numbers",
        ),
        (
            "import graphsurgeon as gs\ng = gs.DynamicGraph()\n"
            "for i in range(40):\n    g.append(gs.create_node(f'n{i}', op='Neg', inputs=['x']))\n",
            r"P132.*1 are in|P132.*0 are in",
        ),
    ],
)
def test_what_cannot_be_migrated_is_said(text: str, expected: str, script: Write, tmp_path: Path) -> None:
    with pytest.raises(SurgeonError, match=expected):
        migrate(script(text), toy(), tmp_path / "out.yaml")
    assert [path.name for path in tmp_path.iterdir()] == ["config.py"]


def test_a_missing_script_and_function_are_said(script: Write, tmp_path: Path) -> None:
    with pytest.raises(SurgeonError, match=r"P123.*cannot be read"):
        migrate(tmp_path / "none.py", toy())
    with pytest.raises(SurgeonError, match=r"(?s)P131.*no function 'prepocess'.*'preprocess'"):
        migrate(script("def preprocess(graph):\n    pass\n"), toy(), function="prepocess")


def test_a_shape_of_another_model_is_a_warning(script: Write) -> None:
    text = """\
    import graphsurgeon as gs
    import tensorflow as tf

    Input = gs.create_node("Input", op="Placeholder", dtype=tf.float32, shape=[1, 3, 300, 300])

    def preprocess(graph):
        graph.collapse_namespaces({"x": Input, "pre": Input})
    """
    made = migrate(script(text), toy(), outputs=["out"])
    assert not made.equal and "P135" in codes(made) and "[1,3,300,300]" in str(made.differences[0])


def test_the_command_writes_and_says_what_differs(
    script: Write, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from surgeon.cli import main

    model, recipe = tmp_path / "toy.pb", tmp_path / "toy.yaml"
    save_graph(toy(), model)
    text = CLIP + (
        "def preprocess(graph):\n"
        "    print('collapsing')\n"
        "    graph.collapse_namespaces({'act1': clip('clip')})\n"
    )
    arguments = ["migrate", str(script(text)), str(model), "-o", str(recipe), "-O", "out"]
    assert main(arguments) == 0
    said = capsys.readouterr()
    assert (
        said.out == ""
        and "collapsing" in said.err
        and "the recipe gives the script's graph: 13 nodes" in said.err
    )
    assert "not verified: no output of the recipe holds detections" in said.err
    assert (tmp_path / "recipe.schema.json").exists()
    recipe.write_text("mine", encoding="utf-8")
    assert main(arguments) == 1 and recipe.read_text(encoding="utf-8") == "mine"
    assert "E120" in capsys.readouterr().err
    assert main([*arguments, "--force"]) == 0 and main([*arguments[:3], "-O", "out"]) == 0
    assert "recipe: 1" in capsys.readouterr().out


def openvino(path: Path, postprocessor: str, clip: bool) -> Path:
    """Write a transformation file in the form of OpenVINO's."""
    entries = [
        {
            "id": "ObjectDetectionAPIPreprocessorReplacement",
            "match_kind": "scope",
            "instances": [".*Preprocessor/"],
        },
        {
            "id": postprocessor,
            "match_kind": "points",
            "custom_attributes": {"clip_before_nms": clip},
            "instances": {"start_points": ["Postprocessor/Shape", "Postprocessor/Nothing"], "end_points": []},
        },
    ]
    path.write_text(json.dumps(entries), encoding="utf-8")
    return path


def test_a_transformation_file_of_openvino(zoo_ssd: Any, tmp_path: Path) -> None:
    model = zoo_ssd("2018", height=96, width=96, depth_multiplier=0.125)
    kind = "ObjectDetectionAPISSDPostprocessorReplacement"
    made = migrate(openvino(tmp_path / "ssd.json", kind, clip=True), model, verify=False)
    said = [each.message for each in made.diagnostics if each.code == "P139"]
    assert made.errors == () and made.recipe_graph is not None and "NMS" in made.recipe_graph
    assert any("'Postprocessor/Nothing'" in each for each in said)
    assert sum("Postprocessor/Shape'" in each or "Preprocessor/'" in each for each in said) == 0
    clips = [each for each in said if "clip_before_nms" in each]
    opposite = migrate(openvino(tmp_path / "ssd.json", kind, clip=False), model, verify=False)
    other = [each.message for each in opposite.diagnostics if "clip_before_nms" in each.message]
    assert len(clips) + len(other) == 1  # one of the two says what the graph does


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[{", r"P138.*not JSON"),
        ("{}", r"P138.*no transformation file"),
        (
            '[{"id": "ObjectDetectionAPIProposalReplacement"}]',
            r"P138.*'ObjectDetectionAPIProposalReplacement'",
        ),
    ],
)
def test_a_config_that_maps_to_nothing_is_said(text: str, expected: str, tmp_path: Path) -> None:
    (tmp_path / "c.json").write_text(text, encoding="utf-8")
    with pytest.raises(SurgeonError, match=expected):
        migrate(tmp_path / "c.json", toy())


MATCHES = """
name: LReLU_TRT
instances:
- inputs: ['x:0']
  outputs: ['act/max']
  attributes: {negSlope: 0.5}
"""

LEAKY = """
graph v1
x = Placeholder() {dtype: float32, shape: shape[1,4,2,2]}
half = Const() {dtype: float32, value: tensor<float32[]: 0.5>}
act/mul = Mul(x, half) {T: float32}
act/max = Maximum(act/mul, x) {T: float32}
y = Mul(act/max, half) {T: float32}
"""


def test_subgraphs_that_polygraphy_lists_become_plugins(tmp_path: Path) -> None:
    config = tmp_path / "config.yaml"
    config.write_text(MATCHES, encoding="utf-8")
    graph = parse_graph(LEAKY)
    made = migrate(config, graph, tmp_path / "own.yaml", verify=False)
    assert made.recipe_graph is not None and made.errors == () and made.equal is False
    nodes = {node.name: node for node in made.recipe_graph}
    assert set(nodes) == {"x", "half", "LReLU_TRT", "y"}
    assert [str(ref) for ref in nodes["LReLU_TRT"].inputs] == ["x"]
    assert nodes["LReLU_TRT"].attrs["negSlope"] == 0.5
    assert [str(ref) for ref in nodes["y"].inputs] == ["LReLU_TRT", "half"]
    again = plan(tmp_path / "own.yaml", graph)
    assert again.result == made.recipe_graph


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ("name: LReLU_TRT", "- [", "P138.*not YAML"),
        ("instances:", "others:", "P138.*lists no subgraphs"),
        ("'act/max'", "'act/maxi'", "P138.*'act/maxi', which is not in the graph"),
        ("'x:0'", "'half'", r"P138.*reaches 'x' \(Placeholder\)"),
        ("'act/max'", "'y'", None),
        ("'act/max'", "'act/mul'", None),
    ],
)
def test_subgraphs_that_are_none_are_refused(
    before: str, after: str, expected: str | None, tmp_path: Path
) -> None:
    config = tmp_path / "config.yaml"
    config.write_text(MATCHES.replace(before, after), encoding="utf-8")
    if expected is None:
        assert migrate(config, parse_graph(LEAKY), verify=False).errors == ()
        return
    with pytest.raises(SurgeonError, match=expected):
        migrate(config, parse_graph(LEAKY), verify=False)


CHAINED = (
    LEAKY
    + "b/mul = Mul(act/max, half) {T: float32}\n"
    + "b/max = Maximum(b/mul, act/max) {T: float32}\n"
    + "z = Neg(b/max) {T: float32}\n"
)
SECOND = "- {inputs: [act/max], outputs: [b/max], attributes: {negSlope: 0.5}}\n"


def test_subgraphs_that_read_one_another_may_come_in_any_order(tmp_path: Path) -> None:
    config = tmp_path / "config.yaml"
    for text in (MATCHES + SECOND, MATCHES.replace("instances:\n", f"instances:\n{SECOND}")):
        config.write_text(text, encoding="utf-8")
        made = migrate(config, parse_graph(CHAINED), verify=False).recipe_graph
        assert made is not None
        last = made[made["z"].inputs[0].node]
        first = made[last.inputs[0].node]
        assert (first.op, last.op, str(first.inputs[0])) == ("LReLU_TRT", "LReLU_TRT", "x")
        assert [str(ref) for ref in made["y"].inputs] == [first.name, "half"]


def test_each_output_of_a_subgraph_is_an_output_of_the_plugin(tmp_path: Path) -> None:
    config = tmp_path / "config.yaml"
    config.write_text(
        "name: Two\ninstances: [{inputs: [x], outputs: [act/max, act/mul]}]\n", encoding="utf-8"
    )
    work = Request.of(None, parse_graph(LEAKY + "z = Neg(act/mul) {T: float32}\n")).resolve()
    text = recipe_of_config(config, work, "two", "").text
    assert 'act/max: "Two:0"' in text and 'act/mul: "Two:1"' in text


def test_a_subgraph_whose_inside_is_read_is_refused(tmp_path: Path) -> None:
    config = tmp_path / "config.yaml"
    config.write_text(MATCHES, encoding="utf-8")
    with pytest.raises(SurgeonError, match=r"P138.*'z' reads 'act/mul'"):
        migrate(config, parse_graph(LEAKY + "z = Neg(act/mul) {T: float32}\n"), verify=False)


@pytest.mark.slow
def test_a_migrated_detector_is_verified(script: Write, tmp_path: Path) -> None:
    from surgeon.zoo import demo

    text = (
        SSD.replace("ORDER", "[0, 2, 1]")
        .replace("96, 96", "300, 300")
        .replace("numClasses=4", "numClasses=7")
    )
    text = text.replace("[6, 3, 2, 1, 1, 1]", "[19, 10, 5, 3, 2, 1]").replace("0.33]", "1 / 3]")
    made = migrate(script(text.replace("topK=100, k", "topK=1917, k")), demo.model_path())
    assert_equal(made, tmp_path)
    assert made.verification is not None
    assert made.verification.passed or made.verification.excuses
