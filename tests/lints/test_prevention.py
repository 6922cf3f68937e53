"""What cannot happen any more: errors of docs/pain.md that a conversion by recipe does not lead to, or names at once."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from detector_graphs import load

import surgeon
from surgeon.catalog import load_catalog
from surgeon.diagnostics import SurgeonError
from surgeon.formats.graphdef import save_graph
from surgeon.formats.uff import UffModel, export_uff, read_uff
from surgeon.graph import DType, Graph, parse_graph
from surgeon.targets import load_target

Zoo = Callable[..., Path]

RECIPE = """\
recipe: 1
name: mine
summary: The common recipe, with something wrong.
extends: [ssd]
"""


@pytest.fixture
def recipe(tmp_path: Path) -> Callable[[str], Path]:
    """Give ``recipe(text)``: a recipe that extends the shipped one."""

    def write(text: str) -> Path:
        path = tmp_path / "mine.yaml"
        path.write_text(RECIPE + text)
        return path

    return write


@pytest.fixture(scope="module")
def converted(tmp_path_factory: pytest.TempPathFactory, zoo_ssd: Zoo) -> Callable[..., UffModel]:
    """Give ``converted(date, recipe="ssd", target=None)``: what a detector becomes, read back from the file.

    The plugins make the anchors and decode boxes, unless told otherwise.
    """
    folder = tmp_path_factory.mktemp("converted")

    @cache
    def convert(
        date: str, recipe: Any = "ssd", target: str | None = None, decode: str = "plugin"
    ) -> UffModel:
        path = folder / f"{len(list(folder.iterdir()))}.uff"
        surgeon.convert(recipe, load(zoo_ssd(date=date)), path, target=target, decode=decode)
        return read_uff(path)

    return convert


def operations(model: UffModel) -> set[str]:
    return {node.operation for node in model.nodes}


def codes(exc: pytest.ExceptionInfo[SurgeonError]) -> set[str]:
    return {diagnostic.code for diagnostic in exc.value.diagnostics}


def test_the_cast_of_2019_is_taken_out(converted: Callable[..., UffModel], zoo_ssd: Zoo) -> None:
    assert load(zoo_ssd(date="2019"))["Cast"].op == "Cast"
    assert not {o for o in operations(converted("2019")) if "Cast" in o}


def test_a_cast_that_is_left_is_named_with_its_remedy() -> None:
    text = "outputs: y\nx = Placeholder() {dtype: float32, shape: shape[1,2]}\ny = Cast(x) {SrcT: float32, DstT: float32}\n"
    with pytest.raises(SurgeonError, match="map its namespace to the input node") as caught:
        export_uff(parse_graph("graph v1\n" + text), plugins={})
    assert codes(caught) == {"X101"}


def test_what_tensorflow_1_15_renamed_is_written_under_its_former_name(
    converted: Callable[..., UffModel], zoo_ssd: Zoo
) -> None:
    before = [node.op for node in load(zoo_ssd(date="2019"))]
    assert before.count("FusedBatchNormV3") > 30 and before.count("AddV2") > 30
    model = converted("2019")
    assert sum(node.operation == "BatchNorm" for node in model.nodes) == before.count("FusedBatchNormV3")
    assert operations(model) & {"_FusedBatchNormV3", "_AddV2", "FusedBatchNormV3", "AddV2"} == set()


def test_an_order_that_takes_scores_for_boxes_is_refused(recipe: Callable[[str], Path], zoo_ssd: Zoo) -> None:
    with pytest.raises(SurgeonError, match="loc and conf may be interchanged") as caught:
        surgeon.plan(
            recipe("nodes: {NMS: {fields: {inputOrder: [2, 0, 1]}}}\n"), load(zoo_ssd(date="2018", classes=5))
        )
    assert codes(caught) == {"C109"}


def test_each_input_of_nms_is_what_its_port_wants_whatever_the_nodes_are_called(
    recipe: Callable[[str], Path], zoo_ssd: Zoo
) -> None:
    from surgeon.infer import Inference

    swapped = "nodes: {NMS: {inputs: {loc: concat_box_conf, prior: concat_priorbox, conf: concat_box_loc}}}\n"
    for path in ("ssd", recipe(swapped)):
        made = surgeon.plan(path, load(zoo_ssd(date="2018", classes=5))).result
        assert made is not None
        inference = Inference(made, rules=surgeon.load_catalog().rules())
        nms = made["NMS"]
        order = nms.attrs["inputOrder"]
        assert isinstance(order, tuple)
        loc, conf, prior = (inference.spec(nms.inputs[int(str(at))]).shape.dims for at in order)
        assert loc is not None and conf is not None and prior is not None
        assert (loc[1], conf[1], prior[1:3]) == (4 * 1917, 6 * 1917, (2, 4 * 1917))


def test_anchors_that_are_too_few_for_the_boxes_are_refused(
    recipe: Callable[[str], Path], zoo_ssd: Zoo
) -> None:
    text = "anchors: plugin\nnodes: {GridAnchor: {fields: {aspectRatios: [1.0, 2.0, 0.5, 3.0]}}}\n"
    with pytest.raises(SurgeonError, match="anchors") as caught:
        surgeon.plan(recipe(text), load(zoo_ssd(date="2018")))
    assert "C109" in codes(caught)


def test_classes_without_the_background_are_refused(zoo_ssd: Zoo) -> None:
    with pytest.raises(SurgeonError, match="6 classes, where numClasses is 5") as caught:
        surgeon.plan(
            surgeon.load_recipe("ssd", parameters={"num_classes": 5}), load(zoo_ssd(date="2018", classes=5))
        )
    assert codes(caught) == {"C109"}
    surgeon.plan(
        surgeon.load_recipe("ssd", parameters={"num_classes": 6}), load(zoo_ssd(date="2018", classes=5))
    )


def test_nms_reads_three_inputs_whatever_the_graph_leaves(converted: Callable[..., UffModel]) -> None:
    for date in ("2017", "2018", "2019"):
        (nms,) = (node for node in converted(date).nodes if node.operation == "_NMS_TRT")
        assert (
            set(nms.inputs) == {"concat_box_loc", "concat_priorbox", "concat_box_conf"}
            and len(nms.inputs) == 3
        )
        (nms,) = (node for node in converted(date, decode="graph").nodes if node.operation == "_NMS_TRT")
        assert len(nms.inputs) == 3


def test_a_fourth_input_of_nms_is_refused(recipe: Callable[[str], Path], zoo_ssd: Zoo) -> None:
    text = "steps: {append: [{step: connect, from: Input, to: NMS}]}\n"
    with pytest.raises(SurgeonError, match="has 4 inputs; expected 3") as caught:
        surgeon.plan(recipe(text), load(zoo_ssd(date="2018")))
    assert codes(caught) == {"S407"}


@pytest.mark.parametrize(("target", "inputs"), [("uff@tensorrt-7.1", 1), ("uff@tensorrt-8.5", 0)])
def test_a_plugin_without_inputs_reads_a_constant_before_tensorrt_8(
    target: str, inputs: int, recipe: Callable[[str], Path], converted: Callable[..., UffModel]
) -> None:
    model = converted("2018", recipe("anchors: plugin\n"), target)
    (grid,) = (node for node in model.nodes if node.operation == "_GridAnchor_TRT")
    assert len(grid.inputs) == inputs


def unknown_in_target(model: UffModel, node_id: str) -> int:
    """Return how many numbers of a Reshape's target are -1, the batch from a shape counted where that is unknown."""
    nodes = {node.id: node for node in model.nodes}
    target = nodes[node_id]
    parts = [nodes[name] for name in target.inputs] if target.operation == "Stack" else [target]
    found = 0
    for part in parts:
        if part.operation == "Const":
            blob = model.resolve(part.fields["values"])
            assert blob is not None
            found += sum(
                memoryview(bytes(blob.value.buffer())).cast("i")[i] == -1
                for i in range(blob.value.nbytes // 4)
            )
    return found


@pytest.mark.parametrize("date", ["2017", "2018", "2019"])
def test_no_reshape_has_two_unknown_numbers(date: str, converted: Callable[..., UffModel]) -> None:
    model = converted(date)
    reshapes = [node for node in model.nodes if node.operation == "Reshape"]
    assert reshapes and all(unknown_in_target(model, node.inputs[1]) <= 1 for node in reshapes)
    (given,) = (node for node in model.nodes if node.operation == "Input")
    assert given.fields["shape"].value[0] == 1


def test_pin_batch_makes_the_targets_constants(
    recipe: Callable[[str], Path], converted: Callable[..., UffModel]
) -> None:
    model = converted("2019", recipe("steps: {append: [pin-batch]}\n"))
    nodes = {node.id: node for node in model.nodes}
    targets = [nodes[node.inputs[1]] for node in model.nodes if node.operation == "Reshape"]
    assert targets and {target.operation for target in targets} == {"Const"}


@pytest.mark.parametrize(
    ("op", "target"),
    [("GridAnchorRect_TRT", "uff@tensorrt-7.1"), ("BatchTilePlugin_TRT", "uff@tensorrt-5.0")],
)
def test_a_plugin_that_the_target_lacks_is_refused(op: str, target: str, tmp_path: Path) -> None:
    fields = "{featureMapShapes: [4, 5, 2, 3], numLayers: 2, aspectRatios: [1.0, 2.0, 0.5], variance: [0.1, 0.1, 0.2, 0.2]}"
    path = tmp_path / "mine.yaml"
    path.write_text(
        "recipe: 1\nname: mine\noutputs: [P]\nnodes: {P: {plugin: "
        + op
        + (f", fields: {fields}" if "Grid" in op else "")
        + "}}\nnamespaces: {y: P}\n"
    )
    with pytest.raises(SurgeonError, match=f"the plugin {op} of 'P' does not exist in") as caught:
        surgeon.check(path, target=target)
    assert codes(caught) == {"S401"}
    surgeon.check(path, target="uff@tensorrt-8.5")


def test_a_field_that_is_left_out_is_demanded_and_all_are_written(
    recipe: Callable[[str], Path], converted: Callable[..., UffModel]
) -> None:
    with pytest.raises(SurgeonError, match="'axis'") as caught:
        surgeon.check(recipe("nodes: {concat_box_loc: {fields: {axis: null}}}\n"))
    assert codes(caught) == {"C103"}
    joins = [node for node in converted("2018").nodes if node.operation == "_FlattenConcat_TRT"]
    assert len(joins) == 2 and all({"axis_u_int", "ignoreBatch_u_int"} == set(node.fields) for node in joins)


def test_nodes_that_are_put_in_have_their_element_type(
    converted: Callable[..., UffModel], zoo_ssd: Zoo
) -> None:
    made = surgeon.plan("ssd", load(zoo_ssd(date="2018")), decode="plugin").result
    assert (
        made is not None
        and str(made["Input"].attrs["dtype"]) == "float32"
        and "T" in made["concat_priorbox"].attrs
    )
    assert all(
        "dtype" in node.fields for node in converted("2018").nodes if node.operation in ("Input", "Const")
    )


def test_an_edge_that_is_not_there_may_be_taken_away(recipe: Callable[[str], Path], zoo_ssd: Zoo) -> None:
    once = "{step: disconnect, from: Input, to: NMS, optional: true}"
    surgeon.plan(
        recipe(
            f"steps: {{append: [{once}, {{step: disconnect, id: again, from: Input, to: NMS, optional: true}}]}}\n"
        ),
        load(zoo_ssd(date="2018")),
    )
    with pytest.raises(SurgeonError):
        surgeon.plan(
            recipe("steps: {append: [{step: disconnect, from: Input, to: NMS}]}\n"),
            load(zoo_ssd(date="2018")),
        )


def test_ports_and_control_edges_do_not_reach_the_file(converted: Callable[..., UffModel]) -> None:
    for date in ("2017", "2018", "2019"):
        model = converted(date)
        assert {
            name for node in model.nodes for name in node.inputs if ":" in name or name.startswith("^")
        } == set()


def test_an_edge_with_a_port_in_its_name_is_the_node_that_it_names() -> None:
    from surgeon.formats.graphdef import from_bytes
    from surgeon.formats.graphdef.protos import GraphDef
    from surgeon.graph import Ref

    message = GraphDef()
    message.node.add(name="image_tensor", op="Placeholder")
    message.node.add(name="y", op="Relu", input=["image_tensor:0", "^image_tensor"])
    assert from_bytes(message.SerializeToString())["y"].inputs == (Ref("image_tensor"),)


@pytest.mark.parametrize(
    ("value", "code"), [("[[38, 22], [19, 11]]", "R106"), ("[]", "C106"), ("38", "C104")]
)
def test_feature_maps_that_are_no_flat_list_are_refused(
    value: str, code: str, recipe: Callable[[str], Path]
) -> None:
    with pytest.raises(SurgeonError) as caught:
        surgeon.check(recipe(f"nodes: {{GridAnchor: {{fields: {{featureMapShapes: {value}}}}}}}\n"))
    assert codes(caught) == {code}


def test_an_output_that_is_not_there_is_named(recipe: Callable[[str], Path], zoo_ssd: Zoo) -> None:
    with pytest.raises(SurgeonError, match="'NMSS'"):
        surgeon.plan(recipe("outputs: [NMSS]\n"), load(zoo_ssd(date="2018")))


def test_further_outputs_of_the_graph_do_not_get_in_the_way(
    converted: Callable[..., UffModel], zoo_ssd: Zoo
) -> None:
    assert len(load(zoo_ssd(date="2019")).terminals) >= 1
    marks = [node for node in converted("2019").nodes if node.operation == "MarkOutput"]
    assert [node.inputs for node in marks] == [("NMS",)]


def test_lists_of_tensors_are_refused_with_a_remedy() -> None:
    text = "outputs: y\nk = Const() {dtype: int32, value: tensor<int32[]: 1>}\nl = TensorListReserve(k, k)\ny = TensorListStack(l, k)\n"
    with pytest.raises(SurgeonError, match="control flow is left") as caught:
        export_uff(parse_graph("graph v1\n" + text), plugins={})
    assert codes(caught) == {"X101"}


@pytest.mark.parametrize("dtype", ["variant", "resource"])
def test_a_tensor_without_numbers_is_refused(dtype: str) -> None:
    text = f"outputs: y\nx = Placeholder() {{dtype: {dtype}, shape: shape[1,2]}}\ny = Relu(x)\n"
    with pytest.raises(SurgeonError, match=dtype) as caught:
        export_uff(parse_graph("graph v1\n" + text), plugins={})
    assert codes(caught) == {"X109"}


def test_a_namespace_that_is_called_otherwise_is_named_with_the_nearest(
    recipe: Callable[[str], Path], zoo_ssd: Zoo
) -> None:
    with pytest.raises(SurgeonError, match="nearest: 'Postprocessor'") as caught:
        surgeon.plan(
            recipe("namespaces: {Postprocessor: null, Postprocesor: NMS}\n"), load(zoo_ssd(date="2018"))
        )
    assert "R201" in codes(caught)


def test_nodes_are_chosen_by_a_pattern(recipe: Callable[[str], Path], zoo_ssd: Zoo) -> None:
    step = "{step: remove, id: ends, nodes: [{path: 'detection_.*'}]}"
    made = surgeon.plan(
        recipe(f"steps: {{before: {{collapse: [{step}]}}}}\n"), load(zoo_ssd(date="2018"))
    ).result
    assert made is not None and "NMS" in made


def test_targets_say_until_when_they_are() -> None:
    assert "TensorRT 9" in str(surgeon.load_target("uff@tensorrt-8.5").deprecated)


def test_private_attributes_are_left_out(tmp_path: Path) -> None:
    text = (
        "outputs: y\nx = Placeholder() {dtype: float32, shape: shape[1,2], _output_shapes: [shape[1,2]]}\n"
        "y = FlattenConcat_TRT(x) {axis: 1, ignoreBatch: 0, _output_shapes: [shape[1,2]]}\n"
    )
    graph: Graph = parse_graph("graph v1\n" + text)
    save_graph(graph, tmp_path / "in.pb")
    from surgeon.formats.uff import write_uff

    write_uff(export_uff(graph, plugins=surgeon.load_catalog()), tmp_path / "out.uff")
    keys = {key for node in read_uff(tmp_path / "out.uff").nodes for key in node.fields}
    assert keys and not {key for key in keys if key.startswith("_")}


def test_constants_of_64_bits_are_written_with_32() -> None:
    text = (
        "graph v1\noutputs: y\nx = Placeholder() {dtype: float32, shape: shape[1,2,2,2]}\n"
        "t = Const() {dtype: int64, value: tensor<int64[3]: 1, 4, 2>}\ny = Reshape(x, t) {T: float32, Tshape: int64}\n"
    )
    model = export_uff(parse_graph(text), plugins=load_catalog(), target=load_target("uff@tensorrt-8.5"))
    assert [node.fields["dtype"].value for node in model.nodes if node.operation == "Const"] == [DType.INT32]


def test_a_constant_above_32_bits_is_refused() -> None:
    text = (
        "graph v1\noutputs: x, t\nx = Placeholder() {dtype: float32, shape: shape[1,2,2,2]}\n"
        "t = Const() {dtype: int64, value: tensor<int64[]: 8589934592>}\n"
    )
    with pytest.raises(SurgeonError, match="int64, and its values change as int32"):
        export_uff(parse_graph(text), plugins=load_catalog(), target=load_target("uff@tensorrt-8.5"))
