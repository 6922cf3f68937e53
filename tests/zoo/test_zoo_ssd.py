"""Generated detectors: what is in them, that TensorFlow runs them, and that they detect something."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from surgeon.formats.graphdef.protos import GraphDef
from surgeon.zoo import SsdOptions, build_ssd, write_ssd

pytestmark = pytest.mark.xdist_group("zoo")

LOOP = "Postprocessor/BatchMultiClassNonMaxSuppression/map"
DATES = ("2017", "2018", "2019")
OUTPUTS = ["detection_boxes", "detection_scores", "detection_classes", "num_detections"]
RAW = ["detection_multiclass_scores", "raw_detection_boxes", "raw_detection_scores"]
PREDICTORS = [f"BoxPredictor_{index}" for index in range(6)]
COMMON = {
    "image_tensor",
    "Preprocessor",
    "FeatureExtractor",
    "MultipleGridAnchorGenerator",
    "concat",
    "concat_1",
    "Postprocessor",
    "Squeeze",
    *PREDICTORS,
    *OUTPUTS,
}
TOP = {
    "2017": COMMON
    | {
        "Const",
        "ToFloat",
        "assert_equal",
        "add",
        *(f"add_{i}" for i in range(1, 7)),
        *(f"Squeeze_{i}" for i in range(1, 6)),
        *(f"Shape_{i}" for i in range(6, 14)),
        *(f"strided_slice_{i}" for i in range(6, 15)),
    },
    "2018": COMMON | {"Const", "ToFloat", "Concatenate", "add"},
    "2019": COMMON | {"Cast", "Concatenate", "add", *RAW},
}
JOINED = "Concatenate/concat"
ANCHORS = {"2017": "MultipleGridAnchorGenerator/Identity", "2018": JOINED, "2019": JOINED}


@cache
def built(options: SsdOptions) -> bytes:
    return build_ssd(options)


@cache
def nodes(options: SsdOptions) -> dict[str, object]:
    graph = GraphDef()
    graph.ParseFromString(built(options))
    named = {node.name: node for node in graph.node}
    assert len(named) == len(graph.node)
    return named


@cache
def session(options: SsdOptions) -> Any:
    """Return a session of a generated graph, which is kept: to load one takes longer than to run it."""
    tf = pytest.importorskip("tensorflow", reason="the graphs run in TensorFlow").compat.v1
    graph_def = tf.GraphDef()
    graph_def.ParseFromString(built(options))
    with tf.Graph().as_default() as graph:
        tf.import_graph_def(graph_def, name="")
        return tf.Session(graph=graph)


def run(options: SsdOptions, fetches: list[str], picture: np.ndarray) -> dict[str, np.ndarray]:
    values = session(options).run([f"{fetch}:0" for fetch in fetches], {"image_tensor:0": picture})
    return dict(zip(fetches, values, strict=True))


def in_part(cases: dict[str, Any]) -> list[Any]:
    """Return each case with the date that it is for in CI, and with the other dates for the whole suite."""
    return [
        pytest.param(date, case, marks=() if date == chosen else pytest.mark.exhaustive)
        for chosen, case in cases.items()
        for date in DATES
    ]


def picture(height: int = 200, width: int = 260, count: int = 1) -> np.ndarray:
    return np.random.default_rng(7).integers(0, 256, (count, height, width, 3)).astype(np.uint8)


@pytest.mark.parametrize("date", DATES)
def test_top_level(date: str) -> None:
    assert {name.partition("/")[0] for name in nodes(SsdOptions(date=date))} == TOP[date]


@pytest.mark.parametrize("date", DATES)
def test_namespaces(date: str) -> None:
    names = nodes(SsdOptions(date=date))
    for expected in (
        "Preprocessor/map/while/TensorArrayReadV3",
        "Preprocessor/map/TensorArrayStack/TensorArrayGatherV3",
        "Preprocessor/mul",
        "Preprocessor/sub",
        "FeatureExtractor/MobilenetV1/Conv2d_0/weights/read",
        "FeatureExtractor/MobilenetV1/MobilenetV1/Conv2d_0/Relu6",
        "FeatureExtractor/MobilenetV1/MobilenetV1/Conv2d_13_pointwise/Relu6",
        "FeatureExtractor/MobilenetV1/Conv2d_13_pointwise_2_Conv2d_5_3x3_s2_32/Relu6",
        "BoxPredictor_5/ClassPredictor/BiasAdd",
        "BoxPredictor_0/BoxEncodingPredictor/weights",
        "MultipleGridAnchorGenerator/Meshgrid_17/ExpandedShape_1/concat",
        "Postprocessor/Decode/get_center_coordinates_and_sizes/unstack",
        "Postprocessor/convert_scores",
        f"{LOOP}/while/MultiClassNonMaxSuppression/SortByField/TopKV2",
        f"{LOOP}/while/PadOrClipBoxList/strided_slice",
        f"{LOOP}/TensorArrayStack_2/TensorArrayGatherV3",
    ):
        assert expected in names


@pytest.mark.parametrize("date", DATES)
def test_no_input_is_missing(date: str) -> None:
    named = nodes(SsdOptions(date=date, extra_nodes=250))
    sources = {source.lstrip("^").partition(":")[0] for node in named.values() for source in node.input}
    assert sources <= set(named)


def inputs(named: dict[str, object], name: str) -> list[str]:
    return list(named[name].input)


def test_wiring_2017() -> None:
    named = nodes(SsdOptions(date="2017"))
    squeezed = ["Squeeze", *(f"Squeeze_{index}" for index in range(1, 6))]
    assert inputs(named, "concat") == [*squeezed, "concat/axis"]
    assert inputs(named, "concat/axis") == ["^assert_equal/Assert/Assert"]
    assert inputs(named, "concat_1/axis") == ["^assert_equal/Assert/Assert"]
    assert inputs(named, "Squeeze_3") == ["BoxPredictor_3/Reshape"]
    assert inputs(named, "MultipleGridAnchorGenerator/ToFloat") == ["strided_slice_6"]
    assert outside("Postprocessor", named) == {"concat", "concat_1", "MultipleGridAnchorGenerator/Identity"}
    assert outside("MultipleGridAnchorGenerator", named) == {"Const", "strided_slice_6", "strided_slice_7"}


@pytest.mark.parametrize("date", ["2018", "2019"])
def test_wiring_later(date: str) -> None:
    named = nodes(SsdOptions(date=date))
    assert inputs(named, "concat") == [*(f"{predictor}/Reshape" for predictor in PREDICTORS), "concat/axis"]
    scores = [f"{predictor}/Reshape_1" for predictor in PREDICTORS]
    assert inputs(named, "concat_1") == [*scores, "concat_1/axis"]
    assert inputs(named, "Squeeze") == ["concat"]
    sizes = "Preprocessor/map/TensorArrayStack_1/TensorArrayGatherV3"
    assert outside("Postprocessor", named) == {"Squeeze", "concat_1", "Concatenate/concat", sizes}
    assert outside("MultipleGridAnchorGenerator", named) == ({"Const"} if date == "2018" else set())


def outside(namespace: str, named: dict[str, object]) -> set[str]:
    read = {
        source.lstrip("^").partition(":")[0]
        for name, node in named.items()
        if name.startswith(f"{namespace}/")
        for source in node.input
    }
    return {source for source in read if not source.startswith(f"{namespace}/")}


def test_operations_by_date() -> None:
    ops = {date: Counter(node.op for node in nodes(SsdOptions(date=date)).values()) for date in DATES}
    assert {"Gather", "NonMaxSuppressionV2", "Add", "Rsqrt"} <= set(ops["2017"])
    assert {"GatherV2", "NonMaxSuppressionV2", "Add", "Rsqrt"} <= set(ops["2018"])
    assert {"GatherV2", "NonMaxSuppressionV5", "AddV2", "FusedBatchNormV3"} <= set(ops["2019"])
    assert not {"GatherV2", "AddV2", "FusedBatchNormV3"} & set(ops["2017"])
    assert not {"Gather", "AddV2", "FusedBatchNormV3"} & set(ops["2018"])
    assert not {"Gather", "Add", "Rsqrt", "NonMaxSuppressionV2"} & set(ops["2019"])
    assert ops["2017"]["NonMaxSuppressionV2"] == ops["2018"]["NonMaxSuppressionV2"] == 3
    assert ops["2019"]["NonMaxSuppressionV5"] == 3


@pytest.mark.parametrize(("date", "classes"), in_part({"2017": 1, "2018": 3, "2019": 2}))
def test_runs(date: str, classes: int) -> None:
    options = SsdOptions(date=date, classes=classes, max_detections=60)
    found = run(options, OUTPUTS, picture(count=2))
    assert found["detection_boxes"].shape == (2, 60, 4)
    assert found["detection_boxes"].min() >= 0 and found["detection_boxes"].max() <= 1
    assert found["num_detections"].tolist() == [60, 60]
    assert set(np.unique(found["detection_classes"])) == set(range(1, classes + 1))
    scores = found["detection_scores"]
    assert (np.diff(scores, axis=1) <= 0).all()
    assert scores[0, 0] - scores[0, -1] > 0.05
    assert len(np.unique(found["detection_boxes"][0], axis=0)) > 30


def test_dates_agree() -> None:
    fetches = ["concat_1", *OUTPUTS]
    one, two, three = (run(SsdOptions(date=date), fetches, picture()) for date in DATES)
    for name in one:
        np.testing.assert_allclose(one[name], two[name], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(one["concat_1"], three["concat_1"], rtol=1e-2, atol=1e-2)


def test_raw_outputs() -> None:
    found = run(SsdOptions(date="2019"), [*OUTPUTS, *RAW], picture())
    assert found["raw_detection_boxes"].shape == (1, 1917, 4)
    assert found["raw_detection_scores"].shape == (1, 1917, 4)
    best = found["detection_multiclass_scores"][0, :, 1:].max(axis=1)
    assert (best >= found["detection_scores"][0] - 1e-6).all()


@pytest.mark.parametrize("date", ["2017", pytest.param("2018", marks=pytest.mark.exhaustive), "2019"])
def test_pads_when_little_is_found(date: str) -> None:
    found = run(SsdOptions(date=date, score_threshold=0.99), OUTPUTS, picture())
    count = int(found["num_detections"][0])
    assert 0 < count < 100
    assert (found["detection_scores"][0, :count] > 0.99).all()
    assert (found["detection_scores"][0, count:] == 0).all()


def test_same_seed_same_bytes() -> None:
    assert build_ssd(SsdOptions(seed=3)) == build_ssd(SsdOptions(seed=3))
    assert build_ssd(SsdOptions(seed=3)) != build_ssd(SsdOptions(seed=4))


def corners(options: SsdOptions) -> np.ndarray:
    """Anchors from the definition of the generator, one at a time."""
    boxes = []
    base = min(options.height, options.width)
    scales = [*np.linspace(options.min_scale, options.max_scale, 6), 1.0]
    rows, columns = options.height, options.width
    for stride in range(1, 10):
        rows, columns = math.ceil(rows / 2), math.ceil(columns / 2)
        layer = stride - 4
        if layer < 0:
            continue
        shapes = [(scales[layer], ratio) for ratio in options.aspect_ratios]
        shapes.append((math.sqrt(scales[layer] * scales[layer + 1]), 1.0))
        if layer == 0:
            shapes = [(0.1, 1.0), (scales[0], 2.0), (scales[0], 0.5)]
        for row in range(rows):
            for column in range(columns):
                for scale, ratio in shapes:
                    y, x = (row + 0.5) / rows, (column + 0.5) / columns
                    h = scale / math.sqrt(ratio) * base / options.height
                    w = scale * math.sqrt(ratio) * base / options.width
                    boxes.append((y - h / 2, x - w / 2, y + h / 2, x + w / 2))
    return np.array(boxes)


OBLONG: dict[str, Any] = {"height": 200, "width": 330}
OTHER_ANCHORS: dict[str, Any] = {"aspect_ratios": (1.0, 2.0), "min_scale": 0.1, "max_scale": 0.8}


@pytest.mark.parametrize(
    ("date", "changes"),
    [
        *((date, {}) for date in DATES),
        *in_part({"2017": OBLONG, "2018": OTHER_ANCHORS, "2019": {**OBLONG, **OTHER_ANCHORS}}),
    ],
)
def test_anchors(date: str, changes: dict[str, Any]) -> None:
    options = SsdOptions(date=date, **changes)
    found = run(options, [ANCHORS[date]], picture())[ANCHORS[date]]
    np.testing.assert_allclose(found, corners(options), atol=2e-6)


def test_feature_maps() -> None:
    options = SsdOptions()
    assert options.feature_maps() == [(n, n) for n in (19, 10, 5, 3, 2, 1)]
    convolutions = [f"BoxPredictor_{index}/ClassPredictor/BiasAdd" for index in range(6)]
    found = run(options, convolutions, picture())
    assert [found[name].shape[1:3] for name in convolutions] == options.feature_maps()
    assert [found[name].shape[3] for name in convolutions] == [3 * 4] + [6 * 4] * 5


@pytest.mark.parametrize(
    ("date", "size"), in_part({"2017": (160, 288), "2018": (513, 257), "2019": (33, 40)})
)
def test_other_sizes(date: str, size: tuple[int, int]) -> None:
    options = SsdOptions(date=date, height=size[0], width=size[1], classes=2)
    found = run(options, [*OUTPUTS, "concat_1"], picture())
    assert found["concat_1"].shape == (1, sum(options.anchors_per_layer()), 3)
    assert np.isfinite(found["detection_boxes"]).all() and found["num_detections"][0] > 0


def test_extra_nodes() -> None:
    plain, padded = SsdOptions(date="2018"), SsdOptions(date="2018", extra_nodes=3001)
    assert len(nodes(padded)) == len(nodes(plain)) + 3001
    names = nodes(padded)
    assert sum(name.startswith("FeatureExtractor/MobilenetV1/Padding/") for name in names) == 1500
    assert sum(name.startswith("Postprocessor/Unused_") for name in names) == 1501
    before, after = (run(options, OUTPUTS, picture()) for options in (plain, padded))
    for name in OUTPUTS:
        np.testing.assert_array_equal(before[name], after[name])


@pytest.mark.parametrize(("date", "weights"), in_part({"2019": 3_000_001}))
def test_large_weights(date: str, weights: int) -> None:
    plain = SsdOptions(date=date)
    large = replace(plain, large_weights=weights)
    assert weights <= len(built(large)) - len(built(plain)) < weights + 10_000
    before, after = run(plain, OUTPUTS, picture()), run(large, OUTPUTS, picture())
    for name in OUTPUTS:
        np.testing.assert_array_equal(before[name], after[name])


def test_given_weights() -> None:
    asked: dict[str, tuple[int, ...]] = {}

    def zeros(name: str, shape: tuple[int, ...]) -> np.ndarray:
        asked[name] = shape
        return np.full(shape, 0.25, np.float32)

    graph = GraphDef()
    graph.ParseFromString(build_ssd(SsdOptions(), zeros))
    named = {node.name: node for node in graph.node}
    assert asked["BoxPredictor_0/ClassPredictor/weights"] == (1, 1, 128, 12)
    assert asked["FeatureExtractor/MobilenetV1/Conv2d_0/BatchNorm/moving_variance"] == (16,)
    for name in asked:
        content = named[name].attr["value"].tensor.tensor_content
        assert np.unique(np.frombuffer(content, "<f4")).tolist() == [0.25]
    assert {name for name in named if f"{name}/read" in named} == set(asked)


def test_weights_of_another_shape() -> None:
    with pytest.raises(ValueError, match=r"'FeatureExtractor/MobilenetV1/Conv2d_0/weights' are \[2\]"):
        build_ssd(SsdOptions(), lambda name, shape: np.zeros(2))


@pytest.mark.parametrize(
    "changes",
    [{"date": "2020"}, {"classes": 0}, {"height": 32}, {"extra_nodes": -1}, {"aspect_ratios": ()}],
)
def test_bad_options(changes: dict) -> None:
    with pytest.raises(ValueError, match="expected"):
        SsdOptions(**changes)


def test_write(tmp_path: Path) -> None:
    path = write_ssd(tmp_path / "ssd.pb", SsdOptions(date="2019"))
    assert path.read_bytes() == build_ssd(SsdOptions(date="2019"))
    assert [entry.name for entry in tmp_path.iterdir()] == ["ssd.pb"]
