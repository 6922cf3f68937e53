"""Recipes written for generated detectors, and for the same graphs edited as one meets them."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from detector_graphs import load

import surgeon
from surgeon.diagnostics import SurgeonError
from surgeon.families import Finding
from surgeon.families.ssd.draft import fit_labels
from surgeon.graph import DType, Graph, Node, Ref, Shape, TensorValue, parse_graph
from surgeon.language.document import parse_document, to_plain
from surgeon.language.writing import Item, one_line, printable, render
from surgeon.zoo import SsdOptions

Zoo = Callable[..., Path]
DATES = ("2017", "2018", "2019")
SCOPE = "FeatureExtractor/fpn/top_down/nearest_neighbor_upsampling"


def fields(recipe: surgeon.Recipe, node: str) -> dict[str, Any]:
    return dict(recipe.nodes[node].fields or {})


def renamed(graph: Graph, new: Callable[[str], str]) -> Graph:
    """Return the graph with every node's name changed."""
    return Graph(
        (
            replace(
                node,
                name=new(node.name),
                inputs=tuple(Ref(new(ref.node), ref.slot) for ref in node.inputs),
                control=tuple(map(new, node.control)),
            )
            for node in graph
        ),
        source=graph.source,
    )


def edited(graph: Graph, changes: Mapping[str, Node], *added: Node) -> Graph:
    """Return the graph with some nodes replaced and others added."""
    return Graph([*(changes.get(node.name, node) for node in graph), *added], source=graph.source)


def constant(name: str, value: Any, dtype: DType) -> Node:
    return Node(name, "Const", attrs={"dtype": dtype, "value": TensorValue.of(value, dtype)})


def refused(graph: Graph) -> str:
    """Return the code of what init says of a graph, and the messages of all."""
    with pytest.raises(SurgeonError) as exc:
        surgeon.init(graph)
    return f"{exc.value.diagnostics[0].code} {exc.value}"


# --- values -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("date", DATES)
def test_every_value_is_the_graphs(zoo_ssd: Zoo, date: str) -> None:
    options = {
        "classes": 7,
        "min_scale": 0.15,
        "max_scale": 0.9,
        "aspect_ratios": (1.0, 2.0, 0.5, 4.0, 0.25),
        "score_threshold": 0.01,
        "iou_threshold": 0.45,
        "max_detections": 30,
        "height": 256,
        "width": 256,
    }
    made = surgeon.init(load(zoo_ssd(date, **options)))
    recipe = made.recipe
    nms, grid = fields(recipe, "NMS"), fields(recipe, "GridAnchor")
    wanted = SsdOptions(date=date, **options)  # type: ignore[arg-type]
    assert nms == {
        "shareLocation": 1,
        "varianceEncodedInTarget": 0,
        "backgroundLabelId": 0,
        "numClasses": 8,
        "topK": sum(wanted.anchors_per_layer()),
        "keepTopK": 30,
        "confidenceThreshold": 0.01,
        "nmsThreshold": 0.45,
        "inputOrder": (0, 2, 1),
        "confSigmoid": 1,
        "isNormalized": 1,
        "codeType": 3,
    }
    assert grid == {
        "numLayers": 6,
        "minSize": 0.15,
        "maxSize": 0.9,
        "aspectRatios": (1.0, 2.0, 0.5, 4.0, 0.25),
        "variance": (0.1, 0.1, 0.2, 0.2),
        "featureMapShapes": (16, 8, 4, 2, 1, 1),
    }
    assert recipe.image is not None and recipe.image != "auto"
    assert recipe.image.size == (256, 256) and [
        s.model_dump(exclude_none=True) for s in recipe.image.steps
    ] == [{"scale": 0.007843138}, {"subtract": 1.0}]
    assert (
        recipe.nodes["Input"].shape == (1, 256, 256, 3)
        and recipe.anchors == "plugin"
        and made.diagnostics == ()
    )
    assert (made.name, made.summary) == ("ssd_mobilenet_v1", "ssd_mobilenet_v1 for 7 classes at 256 x 256")


@pytest.mark.parametrize("date", ["2018"])
def test_the_recipe_stands_by_itself(zoo_ssd: Zoo, date: str, tmp_path: Path) -> None:
    made = surgeon.init(zoo_ssd(date), tmp_path / "mine.yaml")
    assert (tmp_path / "mine.yaml").read_text(encoding="utf-8") == made.text
    body = [line for line in made.text.split("\n") if not line.lstrip().startswith("#")]
    assert not re.search(r"\bauto\b|extends|\?", "\n".join(body))
    loaded = surgeon.load_recipe(tmp_path / "mine.yaml")
    assert loaded.model_dump() == made.recipe.model_dump() and loaded.name == "mine"
    # Every number stands below a comment that names what it came from.
    lines = made.text.split("\n")
    for key in (
        "numClasses",
        "topK",
        "nmsThreshold",
        "confidenceThreshold",
        "numLayers",
        "minSize",
        "variance",
        "featureMapShapes",
    ):
        at = next(i for i, line in enumerate(lines) if line.strip().startswith(f"{key}:"))
        assert lines[at - 1].lstrip().startswith("#"), key
    assert {d.field for d in surgeon.plan(loaded, zoo_ssd(date)).derivations} <= {
        "shape",
        "namespace",
        "decode",
    }


@pytest.mark.parametrize("date", ["2017", pytest.param("2018", marks=pytest.mark.exhaustive), "2019"])
def test_the_same_surgery_as_by_the_shipped_recipe(zoo_ssd: Zoo, date: str, tmp_path: Path) -> None:
    graph = load(zoo_ssd(date))
    for model, recipe in (("mine", surgeon.init(graph).recipe), ("shipped", surgeon.load_recipe("ssd"))):
        surgeon.convert(recipe, graph, tmp_path / f"{model}.uff")
    assert (tmp_path / "mine.uff").read_bytes() == (tmp_path / "shipped.uff").read_bytes()


def test_the_text_is_deterministic(zoo_ssd: Zoo) -> None:
    texts = {surgeon.init(zoo_ssd("2019", classes=3)).text for _ in range(2)}
    assert len(texts) == 1


@pytest.mark.parametrize("options", [{"height": 160, "width": 224}, {"aspect_ratios": (1.0, 2.0)}])
def test_anchors_that_no_plugin_makes_are_a_constant(zoo_ssd: Zoo, options: dict[str, Any]) -> None:
    graph = load(zoo_ssd("2018", **options))
    made = surgeon.init(graph)
    result = surgeon.plan(made.recipe, graph).result
    assert made.recipe.anchors == "constant" and result is not None
    assert result["NMS/decode/anchors"].op == "Const" and "GridAnchor" not in result
    assert re.search(r"# not used, by 'anchors: constant' above: \w+", made.text)
    assert surgeon.init(load(zoo_ssd("2018"))).recipe.anchors == "plugin"


# --- graphs as they are found -------------------------------------------------------------------------------------


def test_boxes_may_be_joined_second(zoo_ssd: Zoo) -> None:
    swap = {"concat": "concat_1", "concat_1": "concat"}

    def new(name: str) -> str:
        top, slash, rest = name.partition("/")
        return swap.get(top, top) + slash + rest

    graph = renamed(load(zoo_ssd("2019")), new)
    recipe = surgeon.init(graph).recipe
    assert (
        recipe.namespaces["concat"].node == "concat_box_conf"
        and recipe.namespaces["concat_1"].node == "concat_box_loc"
    )


def test_inputs_may_have_their_port_written_out(zoo_ssd: Zoo, tmp_path: Path) -> None:
    from surgeon.formats.graphdef.protos import GraphDef

    message = GraphDef()
    message.ParseFromString(zoo_ssd("2018").read_bytes())
    for node in message.node:
        node.input[:] = [name if name.startswith("^") or ":" in name else f"{name}:0" for name in node.input]
    (tmp_path / "ports.pb").write_bytes(message.SerializeToString())
    (tmp_path / "plain.pb").write_bytes(zoo_ssd("2018").read_bytes())
    a, b = surgeon.init(tmp_path / "ports.pb", name="n"), surgeon.init(tmp_path / "plain.pb", name="n")
    assert a.text.partition("\n")[2] == b.text.partition("\n")[2]


@pytest.mark.parametrize("date", [pytest.param("2017", marks=pytest.mark.exhaustive), "2019"])
def test_an_imported_graph_has_a_namespace_around_it(zoo_ssd: Zoo, date: str) -> None:
    graph = renamed(load(zoo_ssd(date)), lambda name: f"import/detector/{name}")
    recipe = surgeon.init(graph).recipe
    assert recipe.namespaces["import/detector/Postprocessor"].node == "NMS"
    assert recipe.namespaces["import/detector/Preprocessor"].node == "Input"
    assert surgeon.plan(recipe, graph).result is not None


def test_more_outputs_do_not_matter(zoo_ssd: Zoo) -> None:
    graph = load(zoo_ssd("2018"))
    added = [
        Node(name, "Identity", (Ref(of),), attrs={"T": DType.FLOAT32})
        for name, of in (
            ("raw_boxes", "Squeeze"),
            ("raw_scores", "concat_1"),
            ("anchors", "Concatenate/concat"),
            ("features", "BoxPredictor_0/BoxEncodingPredictor/BiasAdd"),
            ("picture", "Preprocessor/sub"),
        )
    ]
    more = edited(graph, {}, *added)
    made = surgeon.init(more)
    assert made.text == surgeon.init(graph).text
    result = surgeon.plan(made.recipe, more).result
    assert result is not None and "raw_boxes" not in result


def test_names_of_the_recipe_give_way_to_those_of_the_graph(zoo_ssd: Zoo) -> None:
    graph = load(zoo_ssd("2018"))
    swap = {"image_tensor": "Input", "FeatureExtractor": "NMS", "Preprocessor": "GridAnchor"}

    def new(name: str) -> str:
        top, slash, rest = name.partition("/")
        return swap.get(top, top) + slash + rest

    graph = edited(renamed(graph, new), {}, Node("NMS", "NoOp"))
    recipe = surgeon.init(graph).recipe
    assert recipe.outputs == ("NMS_plugin",) and "Input_plugin" in recipe.nodes
    assert surgeon.plan(recipe, graph).result is not None


def test_anchors_may_be_folded_already(zoo_ssd: Zoo) -> None:
    from surgeon.infer import Inference

    graph = load(zoo_ssd("2018"))
    anchors = Inference(graph).value(Ref("Concatenate/concat"))
    assert anchors is not None
    gone = ("MultipleGridAnchorGenerator", "Concatenate")
    kept = [node for node in graph if node.name.partition("/")[0] not in gone]
    folded = Graph([*kept, constant("Concatenate/concat", anchors, DType.FLOAT32)], source=graph.source)
    recipe = surgeon.init(folded).recipe
    assert (
        recipe.namespaces["Concatenate"].node == "GridAnchor"
        and fields(recipe, "GridAnchor")["minSize"] == 0.2
    )


def with_softmax(graph: Graph) -> Graph:
    node = graph["Postprocessor/convert_scores"]
    return edited(graph, {node.name: replace(node, op="Softmax")})


def test_a_softmax_stays_in_the_graph(zoo_ssd: Zoo, tmp_path: Path) -> None:
    graph = with_softmax(load(zoo_ssd("2018")))
    recipe = surgeon.init(graph).recipe
    assert fields(recipe, "NMS")["confSigmoid"] == 0 and recipe.namespaces["concat_1"].node == "class_scores"
    result = surgeon.plan(recipe, graph).result
    assert result is not None
    assert [result[name].op for name in ("class_scores", "class_probabilities", "concat_box_conf")] == [
        "ConcatV2",
        "Softmax",
        "FlattenConcat_TRT",
    ]
    surgeon.convert(recipe, graph, tmp_path / "softmax.uff")


def pyramid(graph: Graph, how: str) -> Graph:
    """Return the graph with its second feature map pooled and enlarged again, as feature pyramids enlarge theirs."""
    heads = ("BoxPredictor_1/BoxEncodingPredictor/Conv2D", "BoxPredictor_1/ClassPredictor/Conv2D")
    channels = graph["BoxPredictor_1/BoxEncodingPredictor/weights"].attrs["value"]
    depth = channels.spec.shape.dims[2]  # type: ignore[union-attr, index]
    assert SsdOptions().feature_maps()[1] == (10, 10)
    pool, f32 = "FeatureExtractor/fpn/pool", {"T": DType.FLOAT32}
    nodes = [
        Node(
            pool,
            "MaxPool",
            graph[heads[0]].inputs[:1],
            attrs={
                **f32,
                "ksize": (1, 2, 2, 1),
                "strides": (1, 2, 2, 1),
                "padding": b"VALID",
                "data_format": b"NHWC",
            },
        )
    ]

    def add(op: str, name: str, *inputs: str, **attrs: Any) -> None:
        nodes.append(
            Node(
                f"{SCOPE}/{name}",
                op,
                tuple(Ref(each if each == pool else f"{SCOPE}/{each}") for each in inputs),
                attrs={**f32, **attrs},
            )
        )

    def add_constant(name: str, value: Any, dtype: DType = DType.INT32) -> None:
        nodes.append(constant(f"{SCOPE}/{name}", value, dtype))

    if how == "resize":
        add_constant("size", [10, 10])
        add("ResizeNearestNeighbor", "Reshape_1", pool, "size", align_corners=False)
    else:
        if how == "mul":
            add_constant("Reshape/shape", [-1, 5, 1, 5, 1, depth])
            add("Reshape", "Reshape", pool, "Reshape/shape", Tshape=DType.INT32)
            add_constant("ones", np.ones((1, 1, 2, 1, 2, 1), np.float32), DType.FLOAT32)
            add("Mul", "last", "Reshape", "ones")
        else:
            add("Pack", "stack", pool, pool, N=2, axis=3)
            add("Pack", "last", "stack", "stack", N=2, axis=2 if how == "stack" else 1)
        add_constant("Reshape_1/shape", [-1, 10, 10, depth])
        add("Reshape", "Reshape_1", "last", "Reshape_1/shape", Tshape=DType.INT32)
    changes = {
        name: replace(graph[name], inputs=(Ref(f"{SCOPE}/Reshape_1"), *graph[name].inputs[1:]))
        for name in heads
    }
    return edited(graph, changes, *nodes)


@pytest.mark.parametrize("how", ["mul", "stack", "resize"])
def test_enlarged_feature_maps_are_a_plugins(zoo_ssd: Zoo, how: str, tmp_path: Path) -> None:
    graph = pyramid(load(zoo_ssd("2018")), how)
    made = surgeon.init(graph)
    node = made.recipe.nodes["upsampling_0"]
    assert (
        node.plugin == "ResizeNearest_TRT"
        and node.fields == {"scale": 2.0}
        and node.inputs == ("upsampling_0_nchw",)
    )
    assert made.recipe.nodes["upsampling_0_nchw"].inputs == ("FeatureExtractor/fpn/pool",)
    assert made.recipe.namespaces[SCOPE].node == "upsampling_0_nhwc"
    assert made.summary.startswith("ssd_mobilenet_v1_fpn") and made.diagnostics == ()
    result = surgeon.plan(made.recipe, graph).result
    assert result is not None and result["BoxPredictor_1/ClassPredictor/Conv2D"].inputs[0] == Ref(
        "upsampling_0_nhwc"
    )
    surgeon.convert(made.recipe, graph, tmp_path / "fpn.uff")


def test_what_only_looks_like_an_enlargement_is_none(zoo_ssd: Zoo) -> None:
    # Stacked before the rows, whole maps follow each other: the shapes are the same, the pixels are not.
    graph = pyramid(load(zoo_ssd("2018")), "maps")
    recipe = surgeon.init(graph, unchecked=True).recipe
    assert "upsampling_0" not in recipe.nodes


def quantised(graph: Graph) -> Graph:
    """Return the graph with every Relu6 followed by a rounding to 8 bits."""
    added = [constant("low", 0.0, DType.FLOAT32), constant("high", 6.0, DType.FLOAT32)]
    names = {
        node.name: f"{node.name}/act_quant/FakeQuantWithMinMaxVars" for node in graph if node.op == "Relu6"
    }
    changes = {
        node.name: replace(
            node, inputs=tuple(Ref(names.get(ref.node, ref.node), ref.slot) for ref in node.inputs)
        )
        for node in graph
    }
    rounding = [
        Node(
            new,
            "FakeQuantWithMinMaxVars",
            (Ref(old), Ref("low"), Ref("high")),
            attrs={"num_bits": 8, "narrow_range": False},
        )
        for old, new in names.items()
    ]
    return edited(graph, changes, *added, *rounding)


def test_rounding_to_8_bits_is_left_out_for_uff_with_a_warning(zoo_ssd: Zoo, tmp_path: Path) -> None:
    graph = quantised(load(zoo_ssd("2018")))
    made = surgeon.init(graph)
    assert [d.code for d in made.diagnostics] == ["D150"] and "in 35 places" in made.diagnostics[0].message
    surgeon.convert(made.recipe, graph, tmp_path / "quantised.uff")
    result = surgeon.plan(made.recipe, graph, target="graphdef").result
    assert result is not None and sum(node.op == "FakeQuantWithMinMaxVars" for node in result) == 35
    assert surgeon.verify(made.recipe, graph, target="graphdef").passed
    assert not surgeon.verify(made.recipe, graph).passed


VARIANTS: Mapping[str, tuple[dict[str, Any], Callable[[Graph], Graph]]] = {
    "2017, one class, three ratios": (
        {"date": "2017", "classes": 1, "aspect_ratios": (1.0, 2.0, 0.5)},
        lambda graph: graph,
    ),
    "2018, 200 x 280 pixels, softmax": ({"date": "2018", "height": 200, "width": 280}, with_softmax),
    "2019, enlarged maps": ({"date": "2019"}, lambda graph: pyramid(graph, "stack")),
}


@pytest.mark.parametrize("name", VARIANTS)
def test_the_rewritten_graph_detects_the_same(zoo_ssd: Zoo, name: str) -> None:
    options, change = VARIANTS[name]
    graph = change(load(zoo_ssd(**options)))
    found = surgeon.verify(surgeon.init(graph).recipe, graph)
    assert found.passed, found


def test_a_recipe_with_another_value_does_not(zoo_ssd: Zoo) -> None:
    graph = load(zoo_ssd("2018"))
    text = surgeon.init(graph).text
    wrong = text.replace("minSize: 0.2\n", "minSize: 0.25\n")
    assert wrong != text and not surgeon.verify(surgeon.parse_recipe(wrong), graph).passed


# --- what is refused -----------------------------------------------------------------------------------------------


def test_a_detector_of_two_stages_stays_whole_and_is_named(zoo_ssd: Zoo) -> None:
    graph = load(zoo_ssd("2018"))
    name = next(
        node.name for node in graph if node.name.startswith("BoxPredictor_0/BoxEncodingPredictor/Conv2D")
    )
    feature = graph[name].inputs[0]
    cut = Node(
        "CropAndResize",
        "CropAndResize",
        (feature, Ref("Concatenate/concat"), Ref("index"), Ref("size")),
        attrs={"T": DType.FLOAT32},
    )
    two = edited(
        graph,
        {name: graph[name].with_inputs((Ref("CropAndResize"), *graph[name].inputs[1:]))},
        cut,
        constant("index", [0], DType.INT32),
        constant("size", [14, 14], DType.INT32),
    )
    made = surgeon.init(two, unchecked=True)
    (warning,) = made.diagnostics
    assert warning.code == "D146" and warning.severity.value == "warning"
    assert "a detector of two stages" in warning.message
    assert "no operation suppresses boxes of a first stage" in warning.message
    assert "keeps the detector's post-processing as it is" in warning.message
    assert not made.recipe.namespaces and not made.recipe.nodes


def test_a_part_that_is_not_recognised_is_named(zoo_ssd: Zoo) -> None:
    graph = load(zoo_ssd("2018"))
    scales = [node for node in graph if node.name.startswith("Postprocessor/Decode/") and node.op == "Exp"]
    message = refused(edited(graph, {node.name: replace(node, op="Sigmoid") for node in scales}))
    assert message.startswith("D147") and "error[D114]" in message and "recognised: classes: 4" in message


def with_fed_threshold(graph: Graph) -> Graph:
    """Return the graph with the threshold of overlap as an input."""
    changes = {
        node.name: replace(node, inputs=(*node.inputs[:3], Ref("fed")))
        for node in graph
        if node.op.startswith("NonMaxSuppression")
    }
    return edited(graph, changes, Node("fed", "Placeholder", attrs={"dtype": DType.FLOAT32}))


def test_a_number_that_the_graph_does_not_tell_is_left_open(zoo_ssd: Zoo) -> None:
    graph = with_fed_threshold(load(zoo_ssd("2018")))
    made = surgeon.init(graph)
    assert [d.code for d in made.errors] == ["D147"]
    assert "the threshold of overlap is not a constant" in made.errors[0].message
    assert fields(made.recipe, "NMS")["nmsThreshold"] == "auto"
    assert fields(made.recipe, "NMS")["keepTopK"] == 100
    lines = made.text.splitlines()
    (place,) = (number for number, line in enumerate(lines) if line.strip() == "nmsThreshold: auto")
    assert "not known: the threshold of overlap" in " ".join(lines[place - 2 : place])
    with pytest.raises(SurgeonError) as exc:
        surgeon.check(made.recipe, graph)
    assert "nmsThreshold: auto" in str(exc.value)
    filled = surgeon.parse_recipe(made.text.replace("nmsThreshold: auto", "nmsThreshold: 0.6"))
    assert not surgeon.check(filled, graph).errors


def test_two_numbers_may_be_left_open(zoo_ssd: Zoo) -> None:
    graph = with_fed_threshold(load(zoo_ssd("2018")))
    kept = {
        node.name: replace(node, inputs=(*node.inputs[:2], Ref("most"), *node.inputs[3:]))
        for node in graph
        if node.op.startswith("NonMaxSuppression")
    }
    made = surgeon.init(edited(graph, kept, Node("most", "Placeholder", attrs={"dtype": DType.INT32})))
    assert len(made.errors) == 2
    found = fields(made.recipe, "NMS")
    assert {key for key, value in found.items() if value == "auto"} == {"nmsThreshold", "topK"}


def test_an_unknown_size_of_the_input_is_the_first_thing_named(zoo_ssd: Zoo) -> None:
    graph = load(zoo_ssd("2019"))
    fed = Node(
        "Preprocessor/sub",
        "Placeholder",
        attrs={"dtype": DType.FLOAT32, "shape": Shape((None, None, None, 3))},
    )
    message = refused(edited(graph, {fed.name: fed}))
    assert (
        message.startswith("D147")
        and "nothing in the graph resizes the picture, and its size is not known" in message.split("\n")[0]
    )
    assert "error[D115]" in message and "error[D113]" in message


LOOP = "Postprocessor/BatchMultiClassNonMaxSuppression/map/while"
SIGMA = f"{LOOP}/MultiClassNonMaxSuppression/non_max_suppression_with_scores/soft_nms_sigma"


def soft(graph: Graph) -> Graph:
    """Return a graph of 2019 that lowers the scores of overlapping boxes."""
    sigma = TensorValue.of(0.5, DType.FLOAT32)
    return edited(graph, {SIGMA: graph[SIGMA].with_attr("value", sigma)})


def agnostic(graph: Graph) -> Graph:
    """Return a graph of 2019 of one class that takes the best class of a box before suppression."""
    inside, node = graph[SIGMA].control, graph[f"{LOOP}/Reshape_1"]
    axis = replace(constant("axis", [1], DType.INT32), control=inside)
    best = Node("best", "Max", (node.inputs[0], Ref("axis")), attrs={"T": DType.FLOAT32, "keep_dims": True})
    return edited(graph, {node.name: replace(node, inputs=(Ref("best"), *node.inputs[1:]))}, axis, best)


@pytest.mark.parametrize(("change", "field"), [(soft, "softSigma"), (agnostic, "classAgnostic")])
def test_what_the_plugin_cannot_do_is_left_to_the_native_one(
    zoo_ssd: Zoo, change: Callable[[Graph], Graph], field: str
) -> None:
    graph = change(load(zoo_ssd("2019", classes=1, height=96, width=96, depth_multiplier=0.125)))
    made = surgeon.init(graph)
    assert not made.diagnostics and made.recipe.suppression == "native"
    assert "decode:" not in made.text and "topK" not in made.text
    found = surgeon.check(made.recipe, graph)
    assert (
        not found.errors and not found.warnings and found.plan is not None and found.plan.result is not None
    )
    node = found.plan.result["NMS"]
    assert node.op == "SurgeonDetection" and node.attrs[field]
    pytest.importorskip("tensorflow", reason="ordinary operations run in TensorFlow")
    verified = surgeon.verify(made.recipe, graph)
    assert verified.passed and verified.excuses == {} and verified.literals == ()


def test_an_unknown_preprocessing_is_left_out_with_a_warning(zoo_ssd: Zoo) -> None:
    graph = load(zoo_ssd("2018"))
    node = graph["Preprocessor/sub"]
    strange = edited(
        graph,
        {node.name: replace(node, inputs=(Ref("Preprocessor/clipped"), *node.inputs[1:]))},
        Node("Preprocessor/clipped", "Relu6", (node.inputs[0],), attrs={"T": DType.FLOAT32}),
    )
    made = surgeon.init(strange)
    assert made.recipe.image is None and [d.code for d in made.diagnostics] == ["D115"]
    assert (
        made.diagnostics[0].severity.value == "warning"
        and surgeon.plan(made.recipe, strange).result is not None
    )


def test_a_recipe_that_cannot_be_planned_is_not_written(zoo_ssd: Zoo, tmp_path: Path) -> None:
    graph = load(zoo_ssd("2018"))
    # A node of the network that waits for the detections: the suppression would have to wait for itself.
    head = graph["BoxPredictor_0/ClassPredictor/Conv2D"]
    late = Node(
        "FeatureExtractor/late",
        "Mul",
        (head.inputs[0], Ref("FeatureExtractor/one")),
        attrs={"T": DType.FLOAT32},
    )
    one = Node("FeatureExtractor/one", "Identity", (Ref("Postprocessor/probe"),), attrs={"T": DType.FLOAT32})
    probe = Node(
        "Postprocessor/probe",
        "Sum",
        (Ref("Concatenate/concat"), Ref("FeatureExtractor/axes")),
        attrs={"T": DType.FLOAT32, "keep_dims": False},
    )
    axes = constant("FeatureExtractor/axes", [0, 1], DType.INT32)
    strange = edited(
        graph, {head.name: replace(head, inputs=(Ref(late.name), *head.inputs[1:]))}, late, one, probe, axes
    )
    with pytest.raises(SurgeonError, match="D148"):
        surgeon.init(strange, tmp_path / "r.yaml")
    assert not (tmp_path / "r.yaml").exists()
    surgeon.init(strange, tmp_path / "r.yaml", unchecked=True)
    assert surgeon.load_recipe(tmp_path / "r.yaml").name == "r"


def test_scattered_names_are_refused(zoo_ssd: Zoo) -> None:
    numbers = {}

    def new(name: str) -> str:
        return f"n{numbers.setdefault(name, len(numbers))}"

    message = refused(renamed(load(zoo_ssd("2018")), new))
    assert message.startswith("D147") and "namespaces" in message


def test_empty_graphs_are_refused() -> None:
    assert refused(Graph([])).startswith("D146")
    assert refused(parse_graph("graph v1\nx = Placeholder() {dtype: float32}\n")).startswith("D146")


@pytest.mark.parametrize(
    "seed", [0, 1, 2, *(pytest.param(seed, marks=pytest.mark.exhaustive) for seed in range(3, 20))]
)
def test_damaged_graphs_are_read_or_refused(zoo_ssd: Zoo, seed: int) -> None:
    rng = random.Random(seed)
    graph = load(zoo_ssd(rng.choice(DATES)))
    outside = [node for node in graph if not node.name.startswith("FeatureExtractor")]
    changes: dict[str, Node] = {}
    for node in rng.sample(outside, 3):
        other = rng.choice(outside)
        changes[node.name] = rng.choice(
            [
                replace(node, inputs=(Ref(other.name), *node.inputs[1:])),
                replace(node, op=other.op),
                replace(node, inputs=node.inputs[:-1]),
                replace(node, inputs=(*node.inputs, Ref(other.name, 1))),
                replace(node, attrs={}),
            ]
        )
    try:
        assert surgeon.init(edited(graph, changes)).recipe.outputs
    except SurgeonError as exc:
        assert exc.diagnostics[0].code in ("D146", "D147", "D148", "G107")


def test_labels_are_numbered_as_detections_are() -> None:
    detector = SimpleNamespace(object_classes=Finding(2, ("three",)), background=Finding(0, ()))
    assert fit_labels({1: "a", 2: "b"}, detector) == ({1: "a", 2: "b"}, ())  # type: ignore[arg-type]
    detector.background, detector.object_classes = Finding(-1, ()), Finding(3, ("three",))
    named, remarks = fit_labels({1: "a", 3: "c", 4: "d"}, detector)  # type: ignore[arg-type]
    assert named == {0: "a", 2: "c"} and [d.code for d in remarks] == ["D145"]
    assert fit_labels({}, detector) == ({}, ())  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["model.pb", "recipe", "a.uff"])
def test_an_output_that_is_no_recipe_is_refused(zoo_ssd: Zoo, tmp_path: Path, name: str) -> None:
    with pytest.raises(SurgeonError, match="D149"):
        surgeon.init(zoo_ssd("2018"), tmp_path / name)
    assert not (tmp_path / name).exists()


# --- the text ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "value",
    [
        0.2,
        1e-8,
        2 / 255,
        1.0,
        0.0,
        -3,
        True,
        None,
        "a/b",
        "no",
        "1e3",
        "true",
        "x: y",
        'a\x07b\u2028é😀\x85"\\',
        "",
        "*",
        "Cast?",
        [1, 0.5],
        {"a": 1, "b c": "d"},
        123456789.0,
        3.4e38,
        "null",
        "~",
        "-",
        ".5",
        "0x1F",
        " a",
        "a #b",
        "300 x 300",
        "1GiB",
    ],
)
def test_values_are_read_back(value: Any) -> None:
    back = to_plain(parse_document(f"x: {one_line(value)}\n", "f"))["x"]
    assert np.float32(back) == np.float32(value) if isinstance(value, float) else back == value


def test_comments_hold_any_name() -> None:
    text = render(
        (),
        {
            "a": Item(1, ("x\ny: \u2028 z\x00 " + "w " * 100,)),
            "b": Item({"c": Item("$d")}, ("x\ny",), spaced=True),
        },
    )
    assert to_plain(parse_document(text, "f")) == {"a": 1, "b": {"c": "$$d"}}
    assert max(map(len, text.split("\n"))) <= 120 and printable("a\nb") == "a\\nb"


def test_the_recipe_of_a_detector_is_written_without_shapes_that_are_given(zoo_ssd: Zoo) -> None:
    graph = load(zoo_ssd("2018"))
    made = surgeon.init(graph, unchecked=True, input_specs={"image_tensor": "1x300x300x3"})
    assert [each.code for each in made.diagnostics] == ["D151"]
    assert made.text == surgeon.init(graph, unchecked=True).text
