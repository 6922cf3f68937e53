"""What a detector graph says of itself: every finding, on graphs of three dates, edited ones, and contradictory ones."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property

import numpy as np
import pytest

from surgeon.diagnostics import Diagnostic, SurgeonError
from surgeon.families.ssd.detector import SingleShotDetector as Detector
from surgeon.graph import DType, Graph, Node, Ref, Shape, TensorSpec, TensorValue
from surgeon.infer import Inference

DATES = ("2017", "2018", "2019")
NMS = "Postprocessor/BatchMultiClassNonMaxSuppression/map/while/MultiClassNonMaxSuppression"
SIMPLE = f"{NMS}/non_max_suppression/NonMaxSuppressionV2"
SCORED = f"{NMS}/non_max_suppression_with_scores"
RESIZE = "Preprocessor/map/while/ResizeImage"
SCALE = 0.007843138


def refused(code: str, graph: Graph, finding: str) -> str:
    with pytest.raises(SurgeonError) as caught:
        getattr(Detector(graph), finding)
    assert caught.value.diagnostics[0].code == code, str(caught.value)
    return str(caught.value)


def names(graph: Graph, *parts: str) -> list[str]:
    return [node.name for node in graph if all(part in node.name for part in parts)]


# --- all of it ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("date", DATES)
def test_everything_is_found(zoo_graph, date):
    found = Detector(zoo_graph(date))
    assert (
        found.architecture.value == "ssd"
        and found.backbone.value == "mobilenet_v1"
        and found.pyramid.value == ""
    )
    assert found.picture.value == Ref("image_tensor") and found.network_input.value == Ref("Preprocessor/sub")
    image = found.image.value
    assert (image.size, image.resize, image.interpolation, image.color) == (
        (96, 96),
        "stretch",
        "tf1-bilinear",
        "RGB",
    )
    assert [step.model_dump(exclude_none=True) for step in image.steps] == [
        {"scale": SCALE},
        {"subtract": 1.0},
    ]
    assert found.feature_maps.value == ((6, 6), (3, 3), (2, 2), (1, 1), (1, 1), (1, 1))
    assert found.boxes_per_location.value == (3, 6, 6, 6, 6, 6) and found.count.value == 108 + 54 + 24 + 18
    assert found.loc_concat.value == "concat" and found.conf_concat.value == "concat_1"
    assert found.encodings.value == Ref(
        "concat" if date == "2017" else "Squeeze"
    ) and found.logits.value == Ref("concat_1")
    assert found.decoded.value == Ref("Postprocessor/ExpandDims_1")
    assert found.anchors_tensor.value == Ref(
        "MultipleGridAnchorGenerator/Identity" if date == "2017" else "Concatenate/concat"
    )
    assert found.classes.value == 4 and found.background.value == 0 and found.label_offset.value == 1
    assert found.coder.value == (0.1, 0.1, 0.2, 0.2)
    assert found.score_converter.value == "sigmoid" and found.logit_scale.value == 1.0
    assert (
        found.score_threshold.value == 1e-8
        and found.iou_threshold.value == 0.6
        and found.soft_sigma.value == 0
    )
    assert (
        found.max_per_class.value == 100
        and found.max_total.value == 100
        and found.class_agnostic.value is False
    )
    assert found.clip.value == ("after" if date == "2019" else "before")
    assert found.drops_empty.value is (date != "2019") and found.score_sense.value == "above"
    assert found.drops_empty_after.value is (date == "2019")
    assert dict(found.outputs.value) == {
        port: Ref(name)
        for port, name in (
            ("boxes", "detection_boxes"),
            ("scores", "detection_scores"),
            ("classes", "detection_classes"),
            ("count", "num_detections"),
        )
    }


@pytest.mark.parametrize("date", DATES)
def test_every_finding_has_evidence(zoo_graph, date):
    found = Detector(zoo_graph(date))
    names = [
        name
        for owner in Detector.__mro__
        for name, value in vars(owner).items()
        if isinstance(value, cached_property) and not name.startswith("_")
    ]
    for name in ("anchor_source", "inference", "kind", "postprocessing", "plugin_sources"):
        names.remove(name)
    assert len(names) > 28
    for name in names:
        assert getattr(found, name).evidence and all(getattr(found, name).evidence), name


@pytest.mark.parametrize("date", DATES)
@pytest.mark.parametrize(
    "options",
    [
        {
            "classes": 1,
            "score_threshold": 0.3,
            "iou_threshold": 0.45,
            "max_detections": 20,
            "height": 128,
            "width": 96,
        },
        {"classes": 7, "aspect_ratios": (1.0, 2.0, 0.5), "min_scale": 0.05},
    ],
)
def test_options_are_found(zoo_graph, date, options):
    found = Detector(zoo_graph(date, **options))
    assert found.classes.value == options["classes"] + 1
    assert found.score_threshold.value == options.get("score_threshold", 1e-8)
    assert found.iou_threshold.value == options.get("iou_threshold", 0.6)
    assert found.max_per_class.value == found.max_total.value == options.get("max_detections", 100)
    assert found.image.value.size == (options.get("height", 96), options.get("width", 96))
    assert found.boxes_per_location.value[1] == len(options.get("aspect_ratios", range(5))) + 1


def renamed(graph: Graph) -> Graph:
    """Return the graph with names that mean nothing."""
    table = {node.name: f"n{i}" for i, node in enumerate(graph)}
    return Graph(
        [
            replace(
                node,
                name=table[node.name],
                inputs=tuple(Ref(table[ref.node], ref.slot) for ref in node.inputs),
                control=tuple(table[name] for name in node.control),
            )
            for node in graph
        ],
        versions=graph.versions,
    )


@pytest.mark.parametrize("date", DATES)
def test_structure_tells_where_names_do_not(zoo_graph, date):
    graph = zoo_graph(date)
    plain, nameless = Detector(graph), Detector(renamed(graph))
    table = {f"n{i}": node.name for i, node in enumerate(graph)}
    for name in (
        "architecture",
        "classes",
        "background",
        "coder",
        "score_threshold",
        "iou_threshold",
        "max_total",
        "max_per_class",
        "image",
        "feature_maps",
        "boxes_per_location",
        "clip",
        "drops_empty",
        "drops_empty_after",
        "score_sense",
        "score_converter",
        "label_offset",
        "pyramid",
    ):
        assert getattr(nameless, name).value == getattr(plain, name).value, name
    for name in ("network_input", "encodings", "logits", "anchors_tensor", "decoded", "picture"):
        assert table[getattr(nameless, name).value.node] == getattr(plain, name).value.node, name
    assert {port: table[ref.node] for port, ref in nameless.outputs.value.items()} == {
        port: ref.node for port, ref in plain.outputs.value.items()
    }
    assert np.array_equal(nameless.anchors.value, plain.anchors.value)
    assert "no name" in refused("D113", renamed(graph), "backbone")


def test_either_join_may_come_first(zoo_graph):
    graph = zoo_graph()
    swap = {"concat": "concat_1", "concat_1": "concat"}

    def other(name: str) -> str:
        top, slash, rest = name.partition("/")
        return swap.get(top, top) + slash + rest

    swapped = Graph(
        [
            replace(
                node,
                name=other(node.name),
                inputs=tuple(Ref(other(ref.node), ref.slot) for ref in node.inputs),
            )
            for node in graph
        ],
        versions=graph.versions,
    )
    found = Detector(swapped)
    assert (found.loc_concat.value, found.conf_concat.value) == (
        "concat_1",
        "concat",
    ) and found.classes.value == 4


# --- anchors and decoding -------------------------------------------------------------------------------------


@pytest.mark.parametrize("date", DATES)
def test_anchors_are_what_tensorflow_computes(zoo_graph, date):
    tensorflow = pytest.importorskip("tensorflow", reason="TensorFlow is the referee")
    from surgeon.formats.graphdef import to_bytes

    graph = zoo_graph(date, height=96, width=128)
    found = Detector(graph)
    tf = tensorflow.compat.v1
    message = tf.GraphDef()
    message.ParseFromString(to_bytes(graph))
    with tf.Graph().as_default() as imported:
        tf.import_graph_def(message, name="")
        with tf.Session(graph=imported) as session:
            wanted = session.run(
                f"{found.anchors_tensor.value}:0", {"image_tensor:0": np.zeros((1, 30, 40, 3), np.uint8)}
            )
    assert found.anchors.value.dtype == np.float32 and found.anchors.value.shape == wanted.shape
    assert np.abs(found.anchors.value - wanted).max() <= 1e-7
    assert np.abs(found.anchors.value[:, [1, 0, 3, 2]] - wanted).max() > 1e-2


@pytest.mark.parametrize("date", DATES)
def test_the_coder_is_measured_axis_by_axis(zoo_graph, edit, date):
    graph = edit.graph(
        zoo_graph(date),
        {
            f"Postprocessor/Decode/truediv{end}/y": edit.value(number)
            for end, number in (("", 8.0), ("_1", 16.0), ("_2", 4.0), ("_3", 2.0))
        },
    )
    # The encodings are ty, tx, th, tw; the variances x, y, width, height.
    assert Detector(graph).coder.value == (1 / 16, 1 / 8, 1 / 2, 1 / 4)


def test_another_coding_is_refused(zoo_graph, edit):
    graph = edit.graph(zoo_graph(), {"Postprocessor/Decode/Exp": edit.op("Softplus")})
    assert "zero" in refused("D114", graph, "anchors")
    squared = edit.before(
        zoo_graph(),
        "Postprocessor/Decode/truediv_3",
        Node("squared", "Square", (Ref("Postprocessor/Decode/truediv_3"),), attrs={"T": DType.FLOAT32}),
    )
    assert "centre and size" in refused("D116", squared, "coder")


def test_a_coder_that_cannot_be_evaluated_is_refused(zoo_graph, edit):
    graph = edit.graph(zoo_graph(), {"Postprocessor/Decode/Exp": edit.op("Mystery")})
    assert "cannot be computed" in refused("D117", graph, "anchors")


def test_anchors_in_pixels_are_refused(zoo_graph, edit):
    graph = zoo_graph("2019")
    scale = edit.const("pixels", 96.0)
    joined = Node("scaled", "Mul", (Ref("Concatenate/concat"), Ref("pixels")), attrs={"T": DType.FLOAT32})
    graph = edit.before(graph, "Concatenate/concat", joined).replace()
    graph = graph.replace([*graph, scale]).check()
    assert "relative" in refused("D117", graph, "anchors")


def test_a_constant_may_hold_the_anchors(zoo_graph, edit):
    graph = zoo_graph("2018")
    anchors = Detector(graph).anchors.value
    folded = edit.graph(
        graph, {"Postprocessor/ExpandDims": lambda node: edit.const(node.name, anchors[None])}
    )
    found = Detector(folded)
    assert found.anchors_tensor.value == Ref("Postprocessor/ExpandDims") and np.array_equal(
        found.anchors.value, anchors
    )
    wrong = edit.graph(
        graph, {"Postprocessor/ExpandDims": lambda node: edit.const(node.name, anchors[None, :5])}
    )
    assert "no tensor of 204 anchors" in refused("D113", wrong, "anchors_tensor")


# --- scores ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("date", ["2018", "2019"])
def test_other_conversions_of_scores(zoo_graph, edit, date):
    graph = zoo_graph(date)
    softmax = Detector(edit.graph(graph, {"Postprocessor/convert_scores": edit.op("Softmax")}))
    assert softmax.score_converter.value == "softmax" and softmax.background.value == 0
    identity = Detector(edit.graph(graph, {"Postprocessor/convert_scores": edit.op("Identity")}))
    assert identity.score_converter.value == "identity" and identity.classes.value == 4
    scaled = Detector(edit.graph(graph, {"Postprocessor/scale_logits/y": edit.value(4.0)}))
    assert scaled.logit_scale.value == 0.25 and scaled.logits.value == Ref("concat_1")
    twice = edit.before(
        graph,
        "Postprocessor/convert_scores",
        Node("again", "Sigmoid", (Ref("Postprocessor/convert_scores"),)),
    )
    assert "twice" in refused("D114", twice, "score_converter")
    unknown = edit.graph(graph, {"Postprocessor/convert_scores": edit.op("Tanh")})
    assert "Tanh" in refused("D113", unknown, "logits")


def test_a_softmax_without_the_background_is_refused(zoo_graph, edit):
    graph = edit.graph(zoo_graph("2017"), {"Postprocessor/convert_scores": edit.op("Softmax")})
    assert "background" in refused("D116", graph, "score_converter")


def test_scores_without_a_background(zoo_graph, edit):
    graph = edit.graph(zoo_graph("2018"), {"Postprocessor/Slice": edit.op("Identity")})
    found = Detector(graph)
    assert found.background.value == -1 and found.classes.value == 4
    assert "3 operations suppress boxes of 4 classes" in refused("D114", graph, "class_agnostic")


def test_contradicting_heads_are_refused(zoo_graph, edit):
    graph = zoo_graph()
    weights = "BoxPredictor_2/ClassPredictor/weights"
    more = edit.graph(graph, {weights: edit.value(np.zeros((*graph[weights].attrs["value"].shape[:3], 30)))})
    assert "classes is contradictory" in refused("D114", more, "classes")
    odd = edit.graph(
        graph, {"BoxPredictor_2/BoxEncodingPredictor/weights": edit.value(np.zeros((1, 1, 32, 22)))}
    )
    assert "4 for each box" in refused("D114", odd, "boxes_per_location")
    fewer = edit.graph(
        graph, {"BoxPredictor_0/BoxEncodingPredictor/weights": edit.value(np.zeros((1, 1, 64, 8)))}
    )
    assert "no tensor of 168 anchors" in refused("D113", fewer, "anchors")


def test_names_against_structure_are_refused(zoo_graph):
    graph = zoo_graph("2018")
    swap = {"BoxEncodingPredictor": "ClassPredictor", "ClassPredictor": "BoxEncodingPredictor"}

    def other(name: str) -> str:
        return "/".join(swap.get(part, part) for part in name.split("/"))

    swapped = Graph(
        [
            replace(
                node,
                name=other(node.name),
                inputs=tuple(Ref(other(ref.node), ref.slot) for ref in node.inputs),
            )
            for node in graph
        ],
        versions=graph.versions,
    )
    message = refused("D114", swapped, "box_heads")
    assert (
        "'BoxPredictor_0/ClassPredictor/Conv2D'" in message
        and "'concat' is used as the join of box heads" in message
    )
    assert "class heads" in refused("D114", swapped, "class_heads")


@pytest.mark.parametrize("scope", ["BoxPredictor", "ClassPredictor", "BoxPredictor_1"])
def test_one_scope_around_all_heads_says_nothing(zoo_graph, scope):
    graph = zoo_graph("2018")
    plain = Detector(graph)
    heads = ("BoxEncodingPredictor", "ClassPredictor")
    table = {}
    for number, node in enumerate(graph):
        parts = node.name.split("/")
        inside = len(parts) > 2 and parts[1] in heads
        table[node.name] = f"Net/{scope}/{parts[-1]}_{number}" if inside else node.name
    found = Detector(
        Graph(
            [
                replace(
                    node,
                    name=table[node.name],
                    inputs=tuple(Ref(table[ref.node], ref.slot) for ref in node.inputs),
                )
                for node in graph
            ],
            versions=graph.versions,
        )
    )
    assert found.architecture.value == "ssd"
    assert [head.conv for head in found.box_heads.value] == [table[h.conv] for h in plain.box_heads.value]
    assert [head.conv for head in found.class_heads.value] == [table[h.conv] for h in plain.class_heads.value]
    assert found.classes.value == plain.classes.value


# --- suppression ----------------------------------------------------------------------------------------------


def test_contradicting_thresholds_are_refused(zoo_graph, edit):
    graph = zoo_graph()
    iou = names(graph, "non_max_suppression", "/iou_threshold")
    assert len(iou) == 3
    message = refused("D114", edit.graph(graph, {iou[1]: edit.value(0.5)}), "iou_threshold")
    assert iou[0] in message and iou[1] in message and "0.5" in message and "0.6" in message
    assert Detector(edit.graph(graph, dict.fromkeys(iou, edit.value(0.5)))).iou_threshold.value == 0.5
    score = names(graph, "FilterGreaterThan", "/Greater/y")
    assert "scores" in refused("D114", edit.graph(graph, {score[2]: edit.value(0.1)}), "score_threshold")
    most = names(graph, NMS, "/Minimum/x")
    assert "kept for a class" in refused("D114", edit.graph(graph, {most[0]: edit.value(7)}), "max_per_class")


def test_the_numbers_kept_are_told_apart(zoo_graph, edit):
    graph = zoo_graph()
    per_class = [f"{NMS}/Minimum{end}/x" for end in ("", "_1", "_2")]
    found = Detector(edit.graph(graph, dict.fromkeys(per_class, edit.value(7))))
    assert (found.max_per_class.value, found.max_total.value) == (7, 100)
    found = Detector(edit.graph(graph, {f"{NMS}/Minimum_3/x": edit.value(30)}))
    assert (found.max_per_class.value, found.max_total.value) == (100, 30)


def test_numbers_that_static_shapes_make_constant(zoo_graph, edit):
    graph = zoo_graph()
    total = f"{NMS}/Minimum_3"
    static = edit.graph(
        graph,
        {
            total: lambda node: [
                edit.const("all", 612, DType.INT32),
                node.with_inputs((node.inputs[0], Ref("all"))),
            ]
        },
    )
    assert Detector(static).max_total.value == 100
    alone = edit.graph(
        graph,
        {
            SIMPLE: lambda node: [
                edit.const("most", 100, DType.INT32),
                node.with_inputs((*node.inputs[:2], Ref("most"), *node.inputs[3:])),
            ]
        },
    )
    assert Detector(alone).max_per_class.value == 100


def test_the_rows_of_all_outputs_tell_how_many_are_kept(zoo_graph, edit):
    """As of TensorFlow 2, a function gives every output through one IdentityN, and none has a name."""
    graph = zoo_graph()
    unbounded = edit.graph(graph, {f"{NMS}/Minimum_3": edit.op("Maximum")})
    shown = (*(Ref(f"detection_{name}") for name in ("boxes", "scores", "classes")), Ref("num_detections"))
    table = {ref.node: f"Postprocessor/{ref.node}" for ref in shown}
    nodes = [replace(node, name=table.get(node.name, node.name)) for node in unbounded]
    given = (*(Ref(table[ref.node]) for ref in shown), Ref("concat"))
    function = Node("function", "IdentityN", given, attrs={"T": (DType.FLOAT32,) * 5})
    outputs = [Ref("function", slot) for slot in range(5)]
    found = Detector(Graph([*nodes, function], outputs, versions=graph.versions))
    assert found.max_total.value == 100
    perm = edit.const("perm", [0, 2, 1], DType.INT32)
    turned = Node("turned", "Transpose", (given[0], Ref("perm")), attrs={"T": DType.FLOAT32})
    unlike = replace(function, inputs=(Ref("turned"), *given[1:]))
    graph = Graph([*nodes, perm, turned, unlike], outputs, versions=graph.versions)
    assert "kept cannot be told" in refused("D113", graph, "max_total")


def test_scores_masked_for_static_shapes(zoo_graph, edit):
    graph = zoo_graph("2019")
    read = f"{NMS.rpartition('/')[0]}/TensorArrayReadV3_1"
    filling = Node(
        "filling", "Fill", (Ref("sizes"), Ref("least")), attrs={"T": DType.FLOAT32, "index_type": DType.INT32}
    )
    masked = Node("masked", "Select", (Ref("counts"), Ref(read), Ref("filling")), attrs={"T": DType.FLOAT32})
    graph = edit.before(graph, read, masked)
    graph = graph.replace(
        [
            *graph,
            filling,
            edit.const("sizes", [204, 3], DType.INT32),
            edit.const("least", -1e38),
            edit.const("counts", [True] * 204, DType.BOOL),
        ]
    )
    found = Detector(
        graph.replace(
            [
                replace(node, op="NonMaxSuppressionV4", inputs=node.inputs[:5])
                if node.op == "NonMaxSuppressionV5"
                else node
                for node in graph
            ]
        ).check()
    )
    assert (
        found.logits.value == Ref("concat_1")
        and found.score_converter.value == "sigmoid"
        and found.background.value == 0
    )
    assert (
        found.score_threshold.value == 1e-8
        and found.soft_sigma.value == 0
        and found.class_agnostic.value is False
    )
    either = edit.graph(
        graph.check(),
        {"filling": lambda node: Node("filling", "Identity", (Ref(read),), attrs={"T": DType.FLOAT32})},
    )
    assert "Select" in refused("D113", either, "logits")


@pytest.mark.parametrize("op", ["NonMaxSuppressionV3", "NonMaxSuppressionV4"])
def test_the_higher_of_two_score_thresholds_counts(zoo_graph, edit, op):
    graph = zoo_graph()
    suppressing = [node.name for node in graph if node.op == "NonMaxSuppressionV2"]

    def with_threshold(value: float) -> Graph:
        def change(node: Node) -> list[Node]:
            constant = edit.const(f"{node.name}/score_threshold", value)
            return [constant, replace(node, op=op, inputs=(*node.inputs, Ref(constant.name)))]

        return edit.graph(graph, dict.fromkeys(suppressing, change))

    assert Detector(with_threshold(0.25)).score_threshold.value == 0.25
    assert Detector(with_threshold(float("-inf"))).score_threshold.value == 1e-8


def test_no_threshold_is_zero(zoo_graph, edit):
    graph = zoo_graph("2019")
    endless = edit.graph(
        graph, {name: edit.value(float("-inf")) for name in names(graph, SCORED, "/score_threshold")}
    )
    assert Detector(endless).score_threshold.value == 0.0


def test_soft_suppression_is_seen(zoo_graph, edit):
    graph = zoo_graph("2019")
    soft = edit.graph(graph, {name: edit.value(0.5) for name in names(graph, SCORED, "soft_nms_sigma")})
    assert Detector(soft).soft_sigma.value == 0.5


def test_suppression_over_all_classes_is_seen(zoo_graph, edit):
    graph = zoo_graph("2019", classes=1)
    scores = f"{NMS}/Reshape"
    best = Node(
        "best", "Max", (Ref(f"{NMS}/Slice"), Ref("axis")), attrs={"T": DType.FLOAT32, "keep_dims": False}
    )
    changed = edit.graph(
        graph,
        {
            scores: lambda node: [
                edit.const("axis", [1], DType.INT32),
                best,
                node.with_inputs((Ref("best"), node.inputs[1])),
            ]
        },
    )
    found = Detector(changed)
    assert found.class_agnostic.value is True and found.classes.value == 2


def test_one_operation_for_all(zoo_graph, edit):
    graph = zoo_graph("2018")
    scores = Ref("Postprocessor/Slice")
    constants = [
        edit.const("of_class", 40, DType.INT32),
        edit.const("in_all", 60, DType.INT32),
        edit.const("iou", 0.55),
        edit.const("least", 0.2),
    ]
    combined = Node(
        "combined",
        "CombinedNonMaxSuppression",
        (Ref("Postprocessor/ExpandDims_1"), scores, *(Ref(c.name) for c in constants)),
        attrs={"clip_boxes": False, "pad_per_class": False},
    )
    outputs = [
        Node(name, "Identity", (Ref("combined", slot),), attrs={"T": DType.FLOAT32})
        for slot, name in enumerate(("boxes_out", "scores_out"))
    ]
    kept = [
        node
        for node in graph
        if not node.name.startswith(("Postprocessor/Batch", "detection_", "num_detections", "add"))
        and node.name not in ("Postprocessor/ToFloat_3",)
    ]
    kept = [node for node in kept if all(source in {n.name for n in kept} for source in node.sources)]
    found = Detector(
        Graph([*kept, *constants, combined, *outputs], [Ref("boxes_out"), Ref("scores_out")]).check()
    )
    assert (
        found.iou_threshold.value,
        found.score_threshold.value,
        found.max_per_class.value,
        found.max_total.value,
    ) == (0.55, 0.2, 40, 60)
    assert (
        found.clip.value == "none"
        and found.class_agnostic.value is False
        and found.coder.value == (0.1, 0.1, 0.2, 0.2)
    )
    for attrs in ({"clip_boxes": True}, {}):  # TensorFlow's default is True; it clips what it returns
        clipping = edit.graph(found.graph, {"combined": lambda node, attrs=attrs: replace(node, attrs=attrs)})
        assert Detector(clipping).clip.value == "after"


# --- preprocessing --------------------------------------------------------------------------------------------


def test_mean_subtraction_of_channels(zoo_graph, edit):
    means = [123.68, 116.779, 103.939]
    graph = edit.graph(
        zoo_graph("2019"),
        {
            "Preprocessor/sub": edit.reads(
                "Preprocessor/map/TensorArrayStack/TensorArrayGatherV3", "Preprocessor/sub/y"
            ),
            "Preprocessor/sub/y": edit.value([[means]]),
        },
    )
    assert [step.model_dump(exclude_none=True) for step in Detector(graph).image.value.steps] == [
        {"subtract": tuple(means)}
    ]


def test_division_addition_and_reversed_channels(zoo_graph, edit):
    graph = edit.graph(
        zoo_graph("2018"),
        {
            "Preprocessor/mul": lambda node: replace(node, op="RealDiv", inputs=node.inputs[::-1]),
            "Preprocessor/mul/x": edit.value(127.5),
            "Preprocessor/sub": edit.op("AddV2"),
            "Preprocessor/sub/y": edit.value(-1.0),
        },
    )
    assert [step.model_dump(exclude_none=True) for step in Detector(graph).image.value.steps] == [
        {"divide": 127.5},
        {"subtract": 1.0},
    ]
    turned = edit.before(
        graph,
        "Preprocessor/mul",
        Node(
            "turned",
            "ReverseV2",
            (Ref("Preprocessor/mul"), Ref("last")),
            attrs={"T": DType.FLOAT32, "Tidx": DType.INT32},
        ),
    )
    turned = turned.replace([*turned, edit.const("last", [3], DType.INT32)]).check()
    assert Detector(turned).image.value.color == "BGR"


def test_interpolations(zoo_graph, edit):
    graph = zoo_graph("2019")
    resize = f"{RESIZE}/resize/ResizeBilinear"
    half = edit.graph(graph, {resize: edit.op("ResizeBilinear", half_pixel_centers=True)})
    assert Detector(half).image.value.interpolation == "half-pixel-bilinear"
    nearest = edit.graph(graph, {resize: edit.op("ResizeNearestNeighbor")})
    assert Detector(nearest).image.value.interpolation == "nearest"
    corners = edit.graph(graph, {resize: edit.op("ResizeBilinear", align_corners=True)})
    assert "corners" in refused("D115", corners, "image")
    cubic = edit.graph(graph, {resize: edit.op("ResizeBicubic")})
    assert "ResizeBicubic" in refused("D115", cubic, "image")


def test_a_size_that_depends_on_the_picture_is_refused(zoo_graph, edit):
    read = "Preprocessor/map/while/TensorArrayReadV3"
    graph = edit.graph(
        zoo_graph("2018"),
        {
            f"{RESIZE}/stack": lambda node: Node(
                node.name, "KeepAspect", (Ref(read),), attrs={"dtype": DType.INT32}
            )
        },
    )
    message = refused("D115", graph, "image")
    assert "keep_aspect_ratio_resizer" in message and "KeepAspect" in message
    gather = "Preprocessor/map/TensorArrayStack/TensorArrayGatherV3"
    unknown = edit.graph(
        graph, {gather: lambda node: node.with_attr("element_shape", Shape.of(None, None, 3))}
    )
    assert "size of the feature map" in refused("D113", unknown, "feature_maps")


def test_other_changes_of_pixels_are_refused(zoo_graph, edit):
    graph = zoo_graph("2018")
    root = edit.before(
        graph,
        "Preprocessor/mul",
        Node("root", "Sqrt", (Ref("Preprocessor/mul"),), attrs={"T": DType.FLOAT32}),
    )
    assert "Sqrt" in refused("D115", root, "image")
    left = edit.graph(graph, {"Preprocessor/sub": lambda node: node.with_inputs(node.inputs[::-1])})
    assert "number for each channel" in refused("D115", left, "image")
    odd = edit.graph(graph, {"Preprocessor/mul/x": edit.value([1.0, 2.0])})
    assert "number for each channel" in refused("D115", odd, "image")


def test_padding_of_another_kind_is_refused(zoo_graph, edit):
    graph = zoo_graph("2018")
    squeeze = f"{RESIZE}/resize_images/Squeeze"
    padded = Node(
        "padded", "Pad", (Ref(squeeze), Ref("amounts")), attrs={"T": DType.FLOAT32, "Tpaddings": DType.INT32}
    )
    graph = edit.before(graph, squeeze, padded)
    graph = graph.replace([*graph, edit.const("amounts", [[0, 0], [0, 0], [0, 0]], DType.INT32)]).check()
    assert "pad_to_max_dimension" in refused("D115", graph, "image")


def test_the_preprocessing_of_another_tensor(zoo_graph):
    found = Detector(zoo_graph("2018"))
    assert [
        step.model_dump(exclude_none=True) for step in found.image_at(Ref("Preprocessor/mul")).value.steps
    ] == [{"scale": SCALE}]
    with pytest.raises(SurgeonError, match="D115"):
        found.image_at(Ref("concat"))


def test_a_graph_of_fixed_size_need_not_resize(zoo_graph, edit):
    graph = zoo_graph("2018")
    fixed = edit.graph(
        graph,
        {
            "image_tensor": lambda node: node.with_attr("shape", Shape.of(1, 96, 96, 3)),
            "Preprocessor/mul": edit.reads("Preprocessor/mul/x", "ToFloat"),
        },
    )
    image = Detector(fixed).image.value
    assert image.size == (96, 96) and len(image.steps) == 2
    unknown = edit.graph(
        fixed, {"image_tensor": lambda node: node.with_attr("shape", Shape.of(1, None, None, 3))}
    )
    assert "size is not known" in refused("D115", unknown, "image")


def test_a_picture_of_its_own_batch_may_be_unstacked(zoo_graph, edit):
    graph = zoo_graph("2019")
    stack = Node(
        "Preprocessor/stack",
        "Pack",
        (Ref(f"{RESIZE}/resize/Squeeze"),),
        attrs={"N": 1, "T": DType.FLOAT32, "axis": 0},
    )
    unstack = Node(
        "Preprocessor/unstack", "Unpack", (Ref("Cast"),), attrs={"num": 1, "T": DType.FLOAT32, "axis": 0}
    )
    graph = edit.graph(
        graph,
        {
            "image_tensor": lambda node: node.with_attr("shape", Shape.of(1, None, None, 3)),
            "Cast": lambda node: [node, unstack],
            f"{RESIZE}/resize/ExpandDims": lambda node: node.with_inputs((Ref(unstack.name), node.inputs[1])),
            "Preprocessor/mul": lambda node: [stack, node.with_inputs((node.inputs[0], Ref(stack.name)))],
        },
    )
    found = Detector(graph)
    assert (
        found.image.value.size == (96, 96)
        and found.picture.value == Ref("image_tensor")
        and len(found.anchors.value) == 204
    )


def test_padding_belongs_to_the_network(zoo_graph, edit):
    graph = zoo_graph("2018")
    zeros = edit.const("zeros", np.zeros((1, 96, 32, 3)))
    padded = Node(
        "padded",
        "ConcatV2",
        (Ref("Preprocessor/sub"), Ref("zeros"), Ref("axis")),
        attrs={"N": 2, "T": DType.FLOAT32, "Tidx": DType.INT32},
    )
    graph = edit.before(graph, "Preprocessor/sub", padded)
    graph = graph.replace([*graph, zeros, edit.const("axis", 2, DType.INT32)]).check()
    assert Detector(graph).network_input.value == Ref("Preprocessor/sub")
    ones = edit.graph(graph, {"zeros": edit.value(np.ones((1, 96, 32, 3)))})
    assert Detector(ones).network_input.value == Ref("padded")


# --- what is no such detector ---------------------------------------------------------------------------------


def test_a_classifier_is_no_detector():
    from surgeon.formats.graphdef import from_bytes
    from surgeon.zoo import build_lenet

    graph = from_bytes(build_lenet())
    assert "NonMaxSuppression" in refused("D112", graph, "architecture")
    refused("D112", graph, "iou_threshold")


def test_two_stages_are_told_apart(zoo_graph, edit):
    graph = zoo_graph("2018")
    second = edit.graph(
        graph, {names(graph, "FeatureExtractor", "Conv2d_5_pointwise", "Relu6")[0]: edit.op("CropAndResize")}
    )
    assert Detector(second).architecture.value == "faster_rcnn"
    assert "faster_rcnn" in refused("D112", second, "image")
    masks = second.replace(
        [*second, Node("detection_masks", "Identity", (Ref("detection_scores"),), attrs={"T": DType.FLOAT32})]
    )
    assert Detector(masks).architecture.value == "mask_rcnn"


def test_what_is_recognised_and_what_not_is_said(zoo_graph, edit):
    graph = edit.graph(zoo_graph("2018"), {"BoxPredictor_3/BoxEncodingPredictor/Conv2D": edit.op("Mystery")})
    message = refused("D112", graph, "architecture")
    assert (
        "3 NonMaxSuppressionV2" in message
        and "joins of convolutions" in message
        and "'FeatureExtractor'" in message
    )
    refused("D113", graph, "box_heads")


def test_outputs_that_cannot_be_told_apart_are_refused(zoo_graph):
    graph = zoo_graph("2018")
    kept = Graph(
        [
            node
            for node in graph
            if node.name not in ("detection_classes", "detection_scores", "detection_boxes")
        ],
        [Ref("num_detections")],
    )
    refused("D113", kept, "outputs")
    refused("D113", kept, "label_offset")


def test_two_inputs_are_refused(zoo_graph, edit):
    graph = zoo_graph("2018")
    second = Node("second", "Placeholder", attrs={"dtype": DType.FLOAT32, "shape": Shape.of()})
    graph = edit.graph(
        graph,
        {
            "Preprocessor/mul/x": lambda node: [
                second,
                Node(node.name, "Identity", (Ref("second"),), attrs={"T": DType.FLOAT32}),
            ]
        },
    )
    assert "2 inputs" in refused("D113", graph, "picture")


def test_pyramids_are_told_apart(zoo_graph, edit):
    graph = zoo_graph("2018")
    joined = [graph["BoxPredictor_4/BoxEncodingPredictor/Conv2D"].inputs[0]]
    pools = [
        Node(
            f"pool_{i}",
            "MaxPool",
            (joined[0] if i == 0 else Ref("pool_0"),),
            attrs={
                "T": DType.FLOAT32,
                "ksize": (1, 1, 1, 1),
                "strides": (1, 1, 1, 1),
                "padding": b"SAME",
                "data_format": b"NHWC",
            },
        )
        for i in range(2)
    ]
    pooled = edit.graph(
        graph,
        {
            "BoxPredictor_4/BoxEncodingPredictor/Conv2D": lambda node: [
                *pools,
                node.with_inputs((Ref("pool_1"), *node.inputs[1:])),
            ]
        },
    )
    assert Detector(pooled).pyramid.value == "ppn"
    once = edit.graph(
        graph,
        {
            "BoxPredictor_4/BoxEncodingPredictor/Conv2D": lambda node: [
                pools[0],
                node.with_inputs((Ref("pool_0"), *node.inputs[1:])),
            ]
        },
    )
    assert Detector(once).pyramid.value == ""
    enlarged = edit.graph(graph, {joined[0].node: edit.op("ResizeNearestNeighbor")})
    assert Detector(enlarged).pyramid.value == "fpn"


# --- how it works ---------------------------------------------------------------------------------------------


def test_sizes_may_be_given(zoo_graph):
    graph = zoo_graph("2018")
    given = Inference(graph, {"Preprocessor/sub": TensorSpec.of("float32", 1, 96, 96, 3)})
    assert Detector(graph, given).count.value == Detector(graph).count.value == 204


def test_cost_is_linear_in_the_nodes(zoo_graph):
    found = Detector(zoo_graph("2018", extra_nodes=20_000))
    assert (
        found.architecture.value == "ssd"
        and found.coder.value == (0.1, 0.1, 0.2, 0.2)
        and found.max_total.value == 100
    )


def test_values_are_found_once(zoo_graph):
    found = Detector(zoo_graph("2018"))
    assert found.anchors is found.anchors and isinstance(found.image.value.size, tuple)
    assert isinstance(TensorValue.of(found.anchors.value), TensorValue)


def test_a_draft_takes_the_old_name_of_its_diagnostics() -> None:
    from surgeon.families import Draft

    warning = Diagnostic("D115", "the picture is not known")
    with pytest.warns(DeprecationWarning, match="'remarks'.*use 'diagnostics'") as caught:
        old = Draft("ssd", "", "recipe: 1", remarks=(warning,))
    assert caught[0].filename == __file__
    assert old.diagnostics == (warning,) and old == Draft("ssd", "", "recipe: 1", (warning,))
    with pytest.warns(DeprecationWarning, match="'remarks'"):
        assert old.remarks == (warning,)
