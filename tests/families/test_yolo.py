"""The family of YOLO detectors: raw heads are recognised, and the recipe's decoding is Keras' own."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

import surgeon
from surgeon.diagnostics import SurgeonError
from surgeon.families import Refusal, recognise, recognise_detector
from surgeon.families.yolo import YoloDetector
from surgeon.families.yolo.cells import corners, from_corners
from surgeon.formats.graphdef import load_graph
from surgeon.graph import DType, Graph, Node, Ref, TensorValue, print_graph
from surgeon.infer import evaluate
from surgeon.verification.results import Verification
from surgeon.zoo.networks import build_unet
from surgeon.zoo.yolo import Tail, YoloOptions, build_yolo

SIZE = (96, 128)
SCORE, IOU = 0.3, 0.45


def _graph(folder: Path, data: bytes, name: str = "yolo.pb") -> Graph:
    path = folder / name
    path.write_bytes(data)
    return load_graph(path)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("yolo")


@pytest.mark.parametrize(
    ("options", "kind", "strides", "boxes"),
    [
        (YoloOptions(), "tiny_yolo_v3", (32, 16), 180),
        (YoloOptions(heads=3, activation="LeakyRelu", classes=7), "yolo_v3", (32, 16, 8), 756),
        (YoloOptions(size=(None, None), classes=80), "tiny_yolo_v3", (32, 16), 2535),
        (YoloOptions(heads=1, per_cell=5), "yolo_v2", (32,), 60),
        (YoloOptions(heads=1, per_cell=5, folds=False, activation="LeakyRelu"), "yolo_v2", (32,), 60),
    ],
)
def test_raw_heads_are_recognised(
    folder: Path, options: YoloOptions, kind: str, strides: tuple[int, ...], boxes: int
) -> None:
    found = recognise(_graph(folder, build_yolo(options)))
    assert isinstance(found, YoloDetector)
    assert found.kind == kind
    assert found.strides.value == strides
    assert found.classes.value == options.classes
    assert found.count.value == boxes
    assert not found.suppresses
    with pytest.raises(SurgeonError, match="does not tell detections"):
        found.outputs  # noqa: B018  raises


def test_other_networks_with_several_heads_are_none(folder: Path) -> None:
    """Convolutions of one size at the end are not enough: cells of their own, maps enlarged and joined."""
    graph = _graph(folder, build_yolo())
    assert isinstance(recognise_detector(graph), YoloDetector)
    head = graph.output_refs[0].node
    for changed in (
        graph.replace([*graph, Node("y", "Relu", (Ref(head),), attrs={"T": DType.FLOAT32})]),
        graph.replace(
            replace(node, op="Relu6", inputs=node.inputs[:1]) if "Nearest" in node.op else node
            for node in graph
        ),
    ):
        assert isinstance(recognise_detector(changed), Refusal)
    assert recognise(_graph(folder, build_unet(), "unet.pb")).name == "generic"  # type: ignore[union-attr]


def test_other_activations_are_warned_of(folder: Path) -> None:
    graph = _graph(folder, build_yolo(YoloOptions(activation="LeakyRelu")))
    assert not surgeon.init(graph).diagnostics
    relu = graph.replace(
        Node(n.name, "Relu", n.inputs, attrs={"T": DType.FLOAT32}) if n.op == "LeakyRelu" else n
        for n in graph
    )
    (warning,) = surgeon.init(relu).diagnostics
    assert warning.code == "D147" and "may be no YOLO detector: none of its activations" in warning.message


def test_anchors_of_four_heads_are_not_known(folder: Path) -> None:
    graph = _graph(folder, build_yolo(YoloOptions(heads=4, size=(128, 128))))  # type: ignore[arg-type]
    found = recognise_detector(graph)
    assert isinstance(found, YoloDetector) and found.kind == "yolo"
    with pytest.raises(SurgeonError, match="does not tell the anchors of its 4 heads") as raised:
        surgeon.init(graph)
    assert raised.value.diagnostics[0].code == "D147"


@pytest.mark.parametrize(("axis", "turned"), [(2, False), (1, False), (3, True), (-1, True)])
def test_only_channels_that_are_turned_make_bgr(folder: Path, axis: int, turned: bool) -> None:
    graph = _graph(folder, build_yolo(YoloOptions(tail="slim", size=(96, 96))))
    number = {"dtype": DType.INT32, "value": TensorValue.of(np.array([axis], np.int32))}
    nodes: list[Node] = []
    for node in graph:
        if node.name == "normalized":
            attrs = {"T": DType.FLOAT32, "Tidx": DType.INT32}
            nodes += [
                Node("axis", "Const", attrs=number),
                Node("turned", "ReverseV2", (node.inputs[0], Ref("axis")), attrs=attrs),
            ]
            node = node.with_inputs((Ref("turned"), *node.inputs[1:]), ())
        nodes.append(node)
    found = recognise_detector(graph.replace(nodes))
    assert isinstance(found, YoloDetector)
    if turned:
        assert found.image.value.color == "BGR"
        return
    with pytest.raises(SurgeonError, match="ReverseV2"):
        found.image  # noqa: B018  raises


def test_numbers_of_a_probe_go_to_every_picture(folder: Path) -> None:
    graph = _graph(folder, build_yolo(YoloOptions(tail="combined", size=(96, 96))))
    found = recognise_detector(graph)
    assert isinstance(found, YoloDetector)
    rows, classes = found.count.value, found.classes.value
    tensors = found.decoded_tensors
    assert tensors.boxes is not None and tensors.scores is not None
    values = {}
    for ref in (tensors.boxes, tensors.scores):
        dims = found.inference.spec(ref).shape.dims or ()
        values[ref] = np.zeros((2, *dims[1:]), np.float32)
    boxes = np.random.default_rng(2).random((rows, 4))
    made = found.heads_for(boxes, np.full((rows, classes), 0.5), values)
    for ref, value in values.items():
        assert made[ref].shape == value.shape
        np.testing.assert_array_equal(made[ref][0], made[ref][1])


@dataclass(frozen=True)
class Journey:
    """What came of a detector from 'init' to its ONNX file."""

    text: str
    verified: Verification
    file: Verification
    heads: list[np.ndarray]
    rows: list[np.ndarray]


@pytest.fixture(scope="module", params=[2, 3], ids=["tiny", "v3"])
def journey(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Journey:
    tf = pytest.importorskip("tensorflow", reason="TensorFlow computes the original").compat.v1
    runtime = pytest.importorskip("onnxruntime", reason="the ONNX file is run")
    folder = tmp_path_factory.mktemp("journey")
    activation = "Maximum" if request.param == 2 else "LeakyRelu"
    data = build_yolo(YoloOptions(heads=request.param, activation=activation))
    graph = _graph(folder, data)
    authored = surgeon.init(graph, folder / "yolo.yaml")
    recipe, file = folder / "yolo.yaml", folder / "yolo.onnx"
    surgeon.convert(recipe, graph, file, target="onnx@onnxruntime")
    pixels = np.random.default_rng(4).random((1, *SIZE, 3), np.float32)
    graph_def = tf.GraphDef.FromString(data)
    with tf.Graph().as_default() as original:
        tf.import_graph_def(graph_def, name="")
        names = [f"{ref.node}:0" for ref in graph.output_refs]
        heads = tf.Session(graph=original).run(names, {"input_1:0": pixels})
    session = runtime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    (fed,) = session.get_inputs()
    own = pixels if fed.shape[-1] == 3 else pixels.transpose(0, 3, 1, 2)
    rows = session.run(None, {fed.name: own})
    return Journey(
        authored.text,
        surgeon.verify(recipe, graph, target="uff@tensorrt-8.5"),
        surgeon.verify(recipe, graph, target="onnx@onnxruntime", onnx=file),
        sorted(heads, key=lambda head: head.shape[1]),
        rows,
    )


def test_verify_compares_the_heads_and_what_is_added(journey: Journey) -> None:
    for verification in (journey.verified, journey.file):
        assert verification.passed, str(verification)
        assert verification.added is not None
        assert {"decode-cells.anchors", "decode-cells.masks", "NMS.iouThreshold"} <= set(
            verification.added.values
        )
        assert not any(verdict.excused for verdict in verification.verdicts)


def test_detections_are_those_of_keras(journey: Journey) -> None:
    """An independent computation by the formulas of yolo_head and yolo_eval finds the same rows."""
    anchors, masks = {
        2: ([(10, 14), (23, 27), (37, 58), (81, 82), (135, 169), (344, 319)], [(3, 4, 5), (1, 2, 3)]),
        3: (
            [(10, 13), (16, 30), (33, 23), (30, 61), (62, 45), (59, 119), (116, 90), (156, 198), (373, 326)],
            [(6, 7, 8), (3, 4, 5), (0, 1, 2)],
        ),
    }[len(journey.heads)]
    boxes, scores = _keras_boxes(journey.heads, np.array(anchors, np.float64), masks)
    expected = sorted(_keras_rows(boxes, scores), key=lambda row: -row[1])[:100]
    number, found, confidences, classes = journey.rows
    assert 10 < len(expected) == number.reshape(-1)[0]
    for (box, score, label), own, own_score, own_label in zip(
        expected, found[0], confidences[0], classes[0], strict=False
    ):
        assert label == own_label
        assert score == pytest.approx(own_score, abs=1e-5)
        np.testing.assert_allclose(own, box, atol=1e-5, rtol=1e-5)
    other, _ = _keras_boxes(journey.heads, np.array(anchors[::-1], np.float64), masks)
    assert np.abs(other - boxes).max() > 0.1, "other anchors give other boxes"


def _sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x.astype(np.float64)))


def _keras_boxes(
    heads: list[np.ndarray], anchors: np.ndarray, masks: list[tuple[int, ...]]
) -> tuple[np.ndarray, np.ndarray]:
    """Return float64[P, 4] (ymin, xmin, ymax, xmax relative to the input) and float64[P, C]."""
    boxes, scores = [], []
    for head, mask in zip(heads, masks, strict=True):
        _, height, width, _ = head.shape
        cells = head.reshape(height, width, len(mask), -1)
        grid = np.stack(np.meshgrid(np.arange(width), np.arange(height)), -1)[:, :, None]
        middle = (_sigmoid(cells[..., :2]) + grid) / [width, height]
        size = np.exp(cells[..., 2:4].astype(np.float64)) * anchors[list(mask)] / [SIZE[1], SIZE[0]]
        corners = [middle[..., ::-1] - size[..., ::-1] / 2, middle[..., ::-1] + size[..., ::-1] / 2]
        boxes.append(np.concatenate(corners, -1).reshape(-1, 4))
        found = _sigmoid(cells[..., 4:5]) * _sigmoid(cells[..., 5:])
        scores.append(found.reshape(-1, found.shape[-1]))
    return np.concatenate(boxes), np.concatenate(scores)


def _keras_rows(boxes: np.ndarray, scores: np.ndarray) -> list[tuple[np.ndarray, float, int]]:
    """Return box, score and class of what suppression class by class leaves."""
    rows = []
    for label in range(scores.shape[1]):
        kept: list[int] = []
        for index in np.argsort(-scores[:, label], kind="stable"):
            if scores[index, label] <= SCORE:
                break
            if all(_overlap(boxes[index], boxes[other]) <= IOU for other in kept):
                kept.append(index)
        rows += [(boxes[index], float(scores[index, label]), label) for index in kept]
    return rows


def _overlap(a: np.ndarray, b: np.ndarray) -> float:
    sides = np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2])
    common = float(np.prod(np.maximum(sides, 0)))
    return common / (float(np.prod(a[2:] - a[:2])) + float(np.prod(b[2:] - b[:2])) - common)


ANCHORS = (
    ((116, 90), (156, 198), (373, 326)),
    ((30, 61), (62, 45), (59, 119)),
    ((10, 13), (16, 30), (33, 23)),
)

TAILS = {
    "slim": ("boxes", "xywh", True, (0, 1, 2), (1, 1, 1)),
    "slim-corners": ("boxes", "xyxy", True, (0, 1, 2), (1, 1, 1)),
    "scales": ("boxes", "xywh", True, (2, 1, 0), (1, 1, 1)),
    "parts": ("boxes", "xyxy", True, (0, 1, 2), (1, 1, 1)),
    "keras-eval": ("detections", "yxyx", True, (0, 1, 2), (1, 1, 1)),
    "combined": ("detections", "yxyx", False, (2, 1, 0), (1.05, 1.1, 1.2)),
}


@pytest.mark.parametrize("tail", TAILS)
def test_decoding_in_the_graph_is_told_from_its_numbers(folder: Path, tail: Tail) -> None:
    form, layout, pixels, order, scales = TAILS[tail]
    detector = recognise(_graph(folder, build_yolo(YoloOptions(heads=3, size=(96, 96), tail=tail))))
    assert isinstance(detector, YoloDetector)
    assert detector.form == form
    decoding = detector.decoding.value
    assert decoding.anchors == ANCHORS
    assert (decoding.layout, decoding.pixels, decoding.order) == (layout, pixels, order)
    assert decoding.scale_xy == scales
    assert detector.suppresses == (form == "detections")


@pytest.mark.parametrize("tail", ["slim", "slim-corners"])
def test_decoded_boxes_become_corners_each_by_itself(folder: Path, tail: Tail) -> None:
    """An infinite width leaves ymin and ymax; a convolution would multiply it by 0."""
    graph = _graph(folder, build_yolo(YoloOptions(heads=3, size=(96, 128), tail=tail)))
    detector = recognise(graph)
    assert isinstance(detector, YoloDetector)
    result = surgeon.plan(surgeon.init(graph).recipe, graph, target="onnx@onnxruntime").result
    assert result is not None
    (ref,) = detector.decoded_tensors.rows
    rows = np.random.default_rng(2).uniform(1, 90, (1, detector.count.value, 8)).astype(np.float32)
    x, y, wide, high = rows[0, :, :4].T.copy()
    wide[3] = rows[0, 3, 2] = np.inf
    if tail == "slim":
        parts = [y - high / 2, x - wide / 2, y + high / 2, x + wide / 2]
    else:
        parts = [y, x, high, wide]
    expected = np.stack(parts, -1) / np.float32([96, 128, 96, 128])
    (boxes,) = evaluate(result, [Ref("boxes")], {ref: rows})
    assert boxes.shape == (1, len(expected), 1, 4)
    np.testing.assert_allclose(boxes[0, :, 0], expected, rtol=1e-5, atol=1e-6)
    layout = detector.decoding.value.layout
    np.testing.assert_allclose(corners(rows[0, :, :4], layout, 96, 128), expected, rtol=1e-5, atol=1e-6)
    again = from_corners(corners(rows[0, 4:, :4], layout, 96, 128), layout, 96, 128)
    np.testing.assert_allclose(again, rows[0, 4:, :4], rtol=1e-5, atol=1e-4)


def test_a_decoding_by_another_formula_is_not_known(folder: Path) -> None:
    """The numbers are the witness: a size that grows by other steps than exp is refused, not guessed."""
    graph = _graph(folder, build_yolo(YoloOptions(heads=3, size=(96, 96), tail="slim")))
    other = graph.replace(
        replace(node, op="Softplus") if node.op == "Exp" and node.name == "Exp_1" else node for node in graph
    )
    with pytest.raises(SurgeonError) as caught:
        surgeon.init(other)
    assert [each.code for each in caught.value.diagnostics] == ["D147", "D116"]


def test_rules_of_suppression_are_read_off_the_graph(folder: Path) -> None:
    keras, combined = (
        recognise(_graph(folder, build_yolo(YoloOptions(heads=3, size=(96, 96), tail=tail))))
        for tail in ("keras-eval", "combined")
    )
    expected = {
        "score_threshold": (0.3, 0.3),
        "score_sense": ("at least", "above"),
        "iou_threshold": (0.45, 0.45),
        "max_per_class": (20, 40),
        "max_total": (60, 40),
        "clip": ("none", "after"),
    }
    for key, values in expected.items():
        for detector, value in zip((keras, combined), values, strict=True):
            assert isinstance(detector, YoloDetector)
            found = detector.finding(key).value
            assert found == (pytest.approx(value) if isinstance(value, float) else value), key


def _limited(graph: Graph, low: float | None, high: float | None) -> Graph:
    """Return a graph that limits the coordinates of its first output."""
    given, *others = graph.output_refs
    nodes: list[Node] = list(graph)
    for op, limit in (("Maximum", low), ("Minimum", high)):
        if limit is None:
            continue
        value = TensorValue.of(np.array(limit, np.float32))
        nodes += [
            Node(f"limit_{op}", "Const", attrs={"dtype": DType.FLOAT32, "value": value}),
            Node(f"limited_{op}", op, (given, Ref(f"limit_{op}")), attrs={"T": DType.FLOAT32}),
        ]
        given = Ref(f"limited_{op}")
    return graph.replace(nodes, [given, *others])


def test_clipping_behind_suppression_is_told_by_the_window(folder: Path) -> None:
    graph = _graph(folder, build_yolo(YoloOptions(heads=2, size=(96, 96), tail="keras-eval")))
    clipped = recognise(_limited(graph, 0, 96))
    assert isinstance(clipped, YoloDetector)
    assert clipped.clip.value == "after"
    for low, high in ((0, 95), (1, 96), (0, None), (None, 96), (0, 1)):
        with pytest.raises(SurgeonError) as caught:
            surgeon.init(_limited(graph, low, high))
        assert [each.code for each in caught.value.diagnostics] == ["D147", "D113"]
        assert "how boxes are clipped" in caught.value.diagnostics[1].message


def test_a_verification_with_a_letterbox_sees_clipping(tmp_path: Path) -> None:
    """Both sides were clipped to the picture before they were compared."""
    pytest.importorskip("tensorflow", reason="TensorFlow computes the original")
    graph = _graph(tmp_path, build_yolo(YoloOptions(heads=2, size=(96, 96), tail="keras-eval")))
    recipe = tmp_path / "yolo.yaml"
    clipped = _limited(graph, 0, 96)
    surgeon.init(clipped, recipe)
    assert "resize: letterbox" in recipe.read_text() and "clip: 2" in recipe.read_text()
    assert surgeon.verify(recipe, clipped, target="onnx@onnxruntime").passed
    assert not surgeon.verify(recipe, graph, target="onnx@onnxruntime").passed


def test_a_score_on_the_threshold_tells_the_sense(tmp_path: Path) -> None:
    """Scores are compared twice with one number; where they may not equal it once, they may not."""
    pytest.importorskip("tensorflow", reason="TensorFlow computes the original")
    graph = _graph(tmp_path, build_yolo(YoloOptions(heads=2, size=(96, 96), tail="keras-eval")))
    threshold = Node(
        "again",
        "Const",
        attrs={"dtype": DType.FLOAT32, "value": TensorValue.of(np.array(SCORE, np.float32))},
    )
    twice = graph.replace(
        [
            threshold,
            *(
                replace(node, op="NonMaxSuppressionV3", inputs=(*node.inputs[:4], Ref("again")))
                if node.op.startswith("NonMaxSuppressionV")
                else node
                for node in graph
            ),
        ]
    )
    senses = []
    for each in (graph, twice):
        detector = recognise(each)
        assert isinstance(detector, YoloDetector)
        senses.append(detector.score_sense.value)
    assert senses == ["at least", "above"]
    recipe = tmp_path / "yolo.yaml"
    surgeon.init(twice, recipe)
    verification = surgeon.verify(recipe, twice, target="onnx@onnxruntime")
    assert verification.passed, str(verification)
    assert verification.power is not None
    (field,) = (each for each in verification.power if each.field == "scoreAtLeast")
    assert {by for _, by in field.changes} == {"probe: a score on the threshold"}


def test_soft_suppression_drops_no_box_by_its_overlap(folder: Path) -> None:
    graph = _graph(folder, build_yolo(YoloOptions(heads=2, size=(96, 96), tail="keras-eval")))
    numbers = {"none": 0.0, "sigma": 0.5}
    constants = [
        Node(
            name,
            "Const",
            attrs={"dtype": DType.FLOAT32, "value": TensorValue.of(np.array(value, np.float32))},
        )
        for name, value in numbers.items()
    ]
    soft = graph.replace(
        [
            *constants,
            *(
                replace(node, op="NonMaxSuppressionV5", inputs=(*node.inputs[:4], Ref("none"), Ref("sigma")))
                if node.op.startswith("NonMaxSuppressionV")
                else node
                for node in graph
            ),
        ]
    )
    fields = surgeon.init(soft).recipe.nodes["NMS"].fields
    assert fields is not None
    assert fields["iouThreshold"] == 1 and fields["softSigma"] == 0.5
    plain = surgeon.init(graph).recipe.nodes["NMS"].fields
    assert plain is not None and plain["iouThreshold"] == pytest.approx(IOU)


@pytest.mark.parametrize(
    "tail",
    [
        pytest.param("slim", marks=pytest.mark.exhaustive),
        "slim-corners",
        "scales",
        pytest.param("parts", marks=pytest.mark.exhaustive),
        "keras-eval",
        "combined",
    ],
)
def test_tails_go_all_the_way(tail: Tail, tmp_path: Path) -> None:
    pytest.importorskip("tensorflow", reason="TensorFlow computes the original")
    pytest.importorskip("onnxruntime", reason="the ONNX file is run")
    graph = _graph(tmp_path, build_yolo(YoloOptions(heads=3, size=(96, 96), tail=tail)))
    decodes_alone = tail in ("slim", "slim-corners", "scales", "parts")
    recipe, file = tmp_path / "yolo.yaml", tmp_path / "yolo.onnx"
    surgeon.init(graph, recipe)
    surgeon.convert(recipe, graph, file, target="onnx@onnxruntime")
    surgeon.convert(recipe, graph, tmp_path / "yolo.uff", target="uff@tensorrt-8.5")
    # Of boxes decoded in the graph, the record decodes heads as UFF does, and the file as the graph does.
    for target in ("uff@tensorrt-8.5", "onnx@onnxruntime"):
        verification = surgeon.verify(recipe, graph, target=target, onnx=file)
        # Nothing compares the original's own decoding with what UFF has in its place, and verify names it.
        replaced = target.startswith("uff") and decodes_alone
        assert verification.passed is not replaced, str(verification)
        first = verification.verdicts[0]
        assert first.outcome.value == ("inconclusive" if replaced else "passed")
        assert {each.outcome.value for each in first.comparisons} <= {"passed", "inconclusive"}
        assert not any(verdict.excused for verdict in verification.verdicts)
        assert first.comparisons[0].original > 10  # type: ignore[union-attr]


@pytest.mark.parametrize(("name", "heads"), [("keras_tiny_yolo_v3", 2), ("keras_yolo_v3", 3)])
def test_the_shipped_recipe_does_what_init_writes(folder: Path, name: str, heads: int) -> None:
    graph = _graph(folder, build_yolo(YoloOptions(heads=heads, size=(416, 416), classes=80)))  # type: ignore[arg-type]
    own = [f"conv2d_{number}/BiasAdd" for number in (7, 10, 13)[:heads]]
    shipped = surgeon.plan(surgeon.load_recipe(name, parameters={"heads": own}), graph)
    written = surgeon.plan(surgeon.init(graph).recipe, graph)
    assert shipped.result is not None and written.result is not None
    assert print_graph(shipped.result) == print_graph(written.result)
    assert shipped.image == written.image


def test_version_2_is_decoded_with_softmax(tmp_path: Path) -> None:
    """Its map is folded by SpaceToDepth in the place of ExtractImagePatches, which UFF lacks."""
    pytest.importorskip("tensorflow", reason="TensorFlow computes the original")
    pytest.importorskip("onnxruntime", reason="the ONNX file is run")
    graph = _graph(tmp_path, build_yolo(YoloOptions(heads=1, per_cell=5)))
    recipe, file = tmp_path / "yolo.yaml", tmp_path / "yolo.onnx"
    made = surgeon.init(graph, recipe)
    assert "class_scores: softmax" in made.text
    surgeon.convert(recipe, graph, file, target="onnx@onnxruntime")
    surgeon.convert(recipe, graph, tmp_path / "yolo.uff", target="uff@tensorrt-8.5")
    plan = surgeon.plan(recipe, graph)
    assert plan.result is not None
    assert {"SpaceToDepth", "LeakyRelu"} <= {node.op for node in plan.result}
    assert {"ExtractImagePatches", "Maximum"}.isdisjoint(node.op for node in plan.result)
    verification = surgeon.verify(recipe, graph, target="uff@tensorrt-8.5", onnx=file)
    assert verification.passed, str(verification)


def test_every_target_takes_the_recipe(folder: Path) -> None:
    graph = _graph(folder, build_yolo(YoloOptions(heads=3)))
    recipe = surgeon.init(graph, name="yolo").recipe
    for target, plugin in (
        ("uff@tensorrt-5.1", "BatchedNMS_TRT"),
        ("uff@tensorrt-8.5", "BatchedNMS_TRT"),
        ("onnx@tensorrt-8.5", "BatchedNMSDynamic_TRT"),
        ("onnx@tensorrt-10", "BatchedNMSDynamic_TRT"),
        ("onnx@tensorrt-11", "BatchedNMSDynamic_TRT"),
    ):
        plan = surgeon.plan(recipe, graph, target=target)
        assert plan.result is not None
        assert plan.result["NMS"].op == plugin
        assert not surgeon.check(recipe, graph, target=target).errors, target


def test_an_open_size_may_be_given(folder: Path) -> None:
    graph = _graph(folder, build_yolo(YoloOptions(size=(None, None))))
    made = surgeon.init(graph, input_specs={"input_1": [1, 320, 256, 3]})
    assert made.recipe.nodes["Input"].shape == (None, 320, 256, 3)
    image = made.recipe.image
    assert image is not None and image != "auto" and image.size == (320, 256)
    plan = surgeon.plan(made.recipe, graph, target="uff@tensorrt-8.5")
    assert plan.result is not None and plan.result["NMS"].attrs["topK"] == 3 * (10 * 8 + 20 * 16)


@pytest.mark.parametrize("shape", [(1, 64, 100, 3), (1, 0, 0, 3)])
def test_a_size_that_no_cells_fit_is_refused(folder: Path, shape: tuple[int, ...]) -> None:
    graph = _graph(folder, build_yolo(YoloOptions(heads=2, size=(None, None))), "open.pb")
    with pytest.raises(SurgeonError) as caught:
        surgeon.init(graph, input_specs={"input_1": shape})
    first, second = caught.value.diagnostics
    assert (first.code, second.code) == ("D147", "D112")
    assert f"but not with 'input_1' of float32[{','.join(map(str, shape))}]" in first.message
    assert "a multiple of the largest stride" in first.help[0]


def test_labels_count_from_0(folder: Path) -> None:
    graph = _graph(folder, build_yolo())
    made = surgeon.init(graph, labels={1: "dog", 2: "cat", 3: "bird"})
    assert made.recipe.labels == {0: "dog", 1: "cat", 2: "bird"}
    more = surgeon.init(graph, labels={1: "dog", 2: "cat", 3: "bird", 4: "fish"})
    assert [each.code for each in more.diagnostics] == ["D145"]
