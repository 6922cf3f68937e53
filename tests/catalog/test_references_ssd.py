"""GridAnchor_TRT, FlattenConcat_TRT and NMS_TRT against what TensorFlow computes of generated graphs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from surgeon.catalog import load_catalog
from surgeon.catalog.reference import Reference

tf = pytest.importorskip("tensorflow", reason="TensorFlow is the referee")

CATALOG = load_catalog()
CLASSES, KEPT = 3, 100
ANCHORS = {
    "2017": "MultipleGridAnchorGenerator/Identity",
    "2018": "Concatenate/concat",
    "2019": "Concatenate/concat",
}
ENCODINGS = {"2017": "concat", "2018": "Squeeze", "2019": "Squeeze"}
LOGITS = {"2017": "concat_1", "2018": "concat_1", "2019": "concat_1"}
CHANGES = {
    "2017": ("all-candidates", "clip-first"),
    "2018": ("all-candidates", "clip-first"),
    "2019": ("all-candidates", "drop-empty"),
}
"""The rules by which NMS_TRT is the Postprocessor of the Object Detection API of that year."""
DETECTIONS = ("detection_boxes", "detection_scores", "detection_classes", "num_detections")

Ssd = Callable[..., Path]


def reference(op: str) -> Reference:
    found = CATALOG.reference(op)
    assert found is not None
    return found


@dataclass
class Graph:
    """A generated graph in TensorFlow."""

    path: Path

    def __post_init__(self) -> None:
        v1 = tf.compat.v1
        graph_def = v1.GraphDef()
        graph_def.ParseFromString(self.path.read_bytes())
        self.graph = tf.Graph()
        with self.graph.as_default():
            tf.import_graph_def(graph_def, name="")
        self.session = v1.Session(graph=self.graph)

    def run(self, fetches: Sequence[str], feeds: Mapping[str, np.ndarray]) -> list[np.ndarray]:
        picture = np.zeros((len(next(iter(feeds.values()), [0])), 60, 60, 3), np.uint8)
        named = {f"{name}:0": value for name, value in {"image_tensor": picture, **feeds}.items()}
        return self.session.run([f"{name}:0" for name in fetches], named)  # type: ignore[no-any-return]


@cache
def loaded(path: Path) -> Graph:
    """Return a graph's session; it is kept."""
    return Graph(path)


def swapped(boxes: np.ndarray) -> np.ndarray:
    """Return boxes with x and y exchanged."""
    return boxes[..., [1, 0, 3, 2]]


def anchor_fields(sizes: Sequence[int], **other: Any) -> dict[str, Any]:
    return {
        "numLayers": 6,
        "minSize": 0.2,
        "maxSize": 0.95,
        "aspectRatios": [1, 2, 0.5, 3, 1 / 3],
        "variance": [0.1, 0.1, 0.2, 0.2],
        "featureMapShapes": list(sizes),
    } | other


def joined(outputs: Sequence[np.ndarray]) -> np.ndarray:
    return np.concatenate(outputs, axis=2)


def worst(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.abs(a - b).max())


@pytest.mark.parametrize("date", ANCHORS)
def test_anchors_are_those_of_the_generator(zoo_ssd: Ssd, date: str) -> None:
    expected = loaded(zoo_ssd(date, classes=CLASSES)).run([ANCHORS[date]], {})[0]
    square = reference("GridAnchor_TRT").run(anchor_fields([19, 10, 5, 3, 2, 1]), [])
    oblong = reference("GridAnchorRect_TRT").run(
        anchor_fields([n for n in (19, 10, 5, 3, 2, 1) for _ in "hw"]), []
    )
    assert all(np.array_equal(a, b) for a, b in zip(square, oblong, strict=True))
    anchors = joined(square)[0, 0].reshape(-1, 4)
    assert anchors.shape == expected.shape == (1917, 4)
    assert worst(swapped(anchors), expected) < 3e-7 and worst(anchors, expected) > 0.1


def test_a_third_written_as_0_33_is_made_good_by_exact_ratios(zoo_ssd: Ssd) -> None:
    expected = loaded(zoo_ssd("2018", classes=CLASSES)).run([ANCHORS["2018"]], {})[0]
    fields = anchor_fields([19, 10, 5, 3, 2, 1], aspectRatios=[1, 2, 0.5, 3, 0.33])
    as_written = joined(reference("GridAnchor_TRT").run(fields, []))[0, 0].reshape(-1, 4)
    exact = joined(reference("GridAnchor_TRT").run(fields, [], ["exact-ratios"]))[0, 0].reshape(-1, 4)
    assert worst(swapped(exact), expected) < 3e-7 and worst(swapped(as_written), expected) > 1e-3


def test_anchors_of_oblong_maps_have_the_generators_centres(zoo_ssd: Ssd) -> None:
    # The generator scales widths and heights by the shorter side of the picture, the plugin does not.
    expected = loaded(zoo_ssd("2019", classes=CLASSES, height=120, width=200)).run([ANCHORS["2019"]], {})[0]
    sizes = [8, 13, 4, 7, 2, 4, 1, 2, 1, 1, 1, 1]
    anchors = swapped(
        joined(reference("GridAnchorRect_TRT").run(anchor_fields(sizes), []))[0, 0].reshape(-1, 4)
    )
    middle = lambda boxes: (boxes[:, :2] + boxes[:, 2:]) / 2  # noqa: E731
    side = lambda boxes: boxes[:, 2:] - boxes[:, :2]  # noqa: E731
    assert worst(middle(anchors), middle(expected)) < 3e-7
    assert worst(side(anchors) * np.array([1, 120 / 200]), side(expected)) < 3e-7
    turned = sizes.copy()
    turned[::2], turned[1::2] = sizes[1::2], sizes[::2]
    wrong = swapped(
        joined(reference("GridAnchorRect_TRT").run(anchor_fields(turned), []))[0, 0].reshape(-1, 4)
    )
    assert worst(middle(wrong), middle(expected)) > 0.1


def test_flattening_and_joining_are_reshape_and_concat() -> None:
    rng = np.random.default_rng(0)
    parts = [rng.random((2, channels, 1, 4)).astype(np.float32) for channels in (3, 1, 5)]
    expected = tf.concat([tf.reshape(part, [2, -1, 1, 1]) for part in parts], 1).numpy()
    (found,) = reference("FlattenConcat_TRT").run({"axis": 1, "ignoreBatch": 0}, parts)
    assert np.array_equal(found, expected)
    (other,) = reference("FlattenConcat_TRT").run({"axis": 1, "ignoreBatch": 0}, parts[::-1])
    assert not np.array_equal(other, expected)


# Post-processing

NMS: Mapping[str, Any] = {
    "shareLocation": 1,
    "varianceEncodedInTarget": 0,
    "backgroundLabelId": 0,
    "numClasses": CLASSES + 1,
    "topK": KEPT,
    "keepTopK": KEPT,
    "confidenceThreshold": 1e-8,
    "nmsThreshold": 0.6,
    "inputOrder": [0, 2, 1],
    "confSigmoid": 1,
    "isNormalized": 1,
}


@dataclass
class Scene:
    """Encodings and scores of two pictures, with many boxes across the border and beside the picture, and what is found."""

    encodings: np.ndarray
    logits: np.ndarray
    anchors: np.ndarray
    expected: list[np.ndarray]

    def inputs(self) -> list[np.ndarray]:
        prior = np.stack(
            [swapped(self.anchors).ravel(), np.tile(np.float32([0.1, 0.1, 0.2, 0.2]), len(self.anchors))]
        )
        flat = [array.reshape(len(array), -1, 1, 1) for array in (self.encodings, self.logits)]
        return [flat[0], prior.astype(np.float32).reshape(1, 2, -1, 1), flat[1]]

    def run(self, changes: Sequence[str], **fields: Any) -> tuple[np.ndarray, np.ndarray]:
        found, count = reference("NMS_TRT").run({**NMS, **fields}, self.inputs(), changes)
        return found[:, 0], count.view(np.int32).ravel()

    def differs(self, changes: Sequence[str], **fields: Any) -> bool:
        found, count = self.run(changes, **fields)
        boxes, scores, classes, number = self.expected
        if found.shape != (len(boxes), KEPT, 7) or not np.array_equal(count, number):
            return True
        labels = np.where(np.arange(KEPT) < number[:, None], classes, -1)
        return not (
            np.array_equal(found[..., 1], labels)
            and np.allclose(found[..., 2], scores, rtol=0, atol=1e-6)
            and np.allclose(swapped(found[..., 3:]), boxes, rtol=0, atol=2e-6)
        )


@cache
def scene(path: Path, date: str, share: float = 1.0, classes: int = CLASSES) -> Scene:
    """Make a scene; ``share`` is the part of the scores that are above the threshold, in the first ``classes``."""
    graph = loaded(path)
    anchors = graph.run([ANCHORS[date]], {})[0]
    rng = np.random.default_rng(17)
    encodings = (rng.standard_normal((2, len(anchors), 4)) * [10, 10, 3, 3]).astype(np.float32)
    logits = rng.standard_normal((2, len(anchors), CLASSES + 1)).astype(np.float32) * 2
    logits[rng.random(logits.shape) > share] = -30
    logits[..., classes + 1 :] = -30
    expected = graph.run(DETECTIONS, {ENCODINGS[date]: encodings, LOGITS[date]: logits})
    return Scene(encodings, logits, anchors, expected)


@pytest.fixture(params=ANCHORS)
def date(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def graph(zoo_ssd: Ssd, date: str) -> Path:
    return zoo_ssd(date, classes=CLASSES, height=100, width=100, max_detections=KEPT)


def test_detections_are_those_of_the_postprocessor(graph: Path, date: str) -> None:
    made = scene(graph, date)
    assert made.expected[3].tolist() == [KEPT, KEPT] and not made.differs(CHANGES[date])


@pytest.mark.parametrize(
    "fields",
    [
        {"nmsThreshold": 0.5},
        {"codeType": 1},
        {"confSigmoid": 0},
        {"backgroundLabelId": 1},
        {"confidenceThreshold": 0.99},
    ],
)
def test_other_fields_give_other_detections(graph: Path, date: str, fields: dict[str, Any]) -> None:
    assert scene(graph, date).differs(CHANGES[date], **fields)


def test_each_changed_rule_is_needed(graph: Path, date: str) -> None:
    made = scene(graph, date, classes=1)
    assert not made.differs(CHANGES[date])
    for rule in CHANGES[date]:
        assert made.differs([other for other in CHANGES[date] if other != rule])


def test_few_detections_are_counted_and_padded(graph: Path, date: str) -> None:
    made = scene(graph, date, share=0.02)
    assert 0 < made.expected[3].max() < KEPT and not made.differs(CHANGES[date])
    found, count = made.run(CHANGES[date])
    assert (found[0, count[0] :, 1] == -1).all() and (found[0, count[0] :, 2:] == 0).all()


def test_no_detection_at_all(graph: Path, date: str) -> None:
    made = scene(graph, date, share=0)
    assert made.expected[3].tolist() == [0, 0] and not made.differs(CHANGES[date])


def test_keep_all_begins_with_what_is_kept(graph: Path, date: str) -> None:
    made = scene(graph, date)
    kept, count = made.run(CHANGES[date])
    every, total = made.run([*CHANGES[date], "keep-all"])
    assert np.array_equal(every[:, :KEPT], kept) and (total > count).all() and every.shape[1] == total.max()
    for n in range(2):
        assert (np.diff(every[n, : total[n], 2]) <= 0).all() and (every[n, total[n] :, 1] == -1).all()
