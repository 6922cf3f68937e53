"""Which scores go into suppression: every filter in front of it is told, or refused by its name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import surgeon
from surgeon.diagnostics import SurgeonError
from surgeon.families import nearest_family
from surgeon.formats.graphdef import load_graph
from surgeon.graph import DType, Graph, Node, Ref, TensorValue
from surgeon.zoo.keras_retinanet import build_keras_retinanet
from surgeon.zoo.keras_ssd import KerasSsdOptions, build_keras_ssd
from surgeon.zoo.yolo import YoloOptions, build_yolo

COMPARISON = "GreaterEqual"
"""What keeps scores of 0.3 or more of the YOLO below."""

BUILDERS: Mapping[str, Callable[[], bytes]] = {
    "yolo": lambda: build_yolo(YoloOptions(heads=2, tail="keras-eval", size=(96, 96))),
    "combined": lambda: build_yolo(YoloOptions(heads=2, tail="combined", size=(96, 96))),
    "retinanet": build_keras_retinanet,
    "ssd": build_keras_ssd,
    "fast": lambda: build_keras_ssd(KerasSsdOptions(fast=True)),
}


@pytest.fixture(scope="module")
def graphs(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Graph]:
    folder = tmp_path_factory.mktemp("filters")
    found = {}
    for name, build in BUILDERS.items():
        (folder / f"{name}.pb").write_bytes(build())
        found[name] = load_graph(folder / f"{name}.pb")
    return found


def _constant(name: str, value: Any, dtype: DType = DType.FLOAT32) -> Node:
    array = np.asarray(value, dtype.numpy())
    return Node(name, "Const", attrs={"dtype": dtype, "value": TensorValue.of(array)})


def _with_values(graph: Graph, values: Mapping[str, Any]) -> Graph:
    """Return the graph with other numbers in some constants."""
    nodes = []
    for node in graph:
        if node.name in values:
            value = node.attrs["value"]
            assert isinstance(value, TensorValue)
            array = np.asarray(values[node.name], value.array().dtype)
            node = replace(node, attrs={**node.attrs, "value": TensorValue.of(array)})
        nodes.append(node)
    return graph.replace(nodes)


def _instead(graph: Graph, name: str, make: Callable[[Node], list[Node]]) -> Graph:
    """Return the graph with other nodes in the place of one."""
    return graph.replace([new for node in graph for new in (make(node) if node.name == name else [node])])


def _suppressing(graph: Graph) -> list[Node]:
    return [node for node in graph if node.op == "NonMaxSuppressionV3"]


def _beside(op: str, value: float, join: str) -> Callable[[Node], list[Node]]:
    """Return what joins the comparison with a second one."""

    def make(node: Node) -> list[Node]:
        first = replace(node, name="first")
        second = Node("second", op, (node.inputs[0], Ref("limit")), attrs=node.attrs)
        return [
            first,
            _constant("limit", value),
            second,
            Node(node.name, join, (Ref("first"), Ref("second"))),
        ]

    return make


def _not_less(node: Node) -> list[Node]:
    return [replace(node, name="less", op="Less"), Node(node.name, "LogicalNot", (Ref("less"),))]


def _told(graph: Graph) -> tuple[float, str]:
    original = nearest_family(graph).postprocessing
    return round(original.score_threshold.value, 6), original.score_sense.value


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (_not_less, (0.3, "at least")),
        (lambda node: [replace(node, op="LessEqual", inputs=node.inputs[::-1])], (0.3, "at least")),
        (lambda node: [replace(node, op="Less", inputs=node.inputs[::-1])], (0.3, "above")),
        (_beside("Greater", 0.4, "LogicalAnd"), (0.4, "above")),
        (_beside("Greater", 0.3, "LogicalAnd"), (0.3, "above")),
        (_beside("Greater", 0.2, "LogicalAnd"), (0.3, "at least")),
    ],
)
def test_a_lower_bound_is_told_however_it_is_written(
    graphs: Mapping[str, Graph], make: Callable[[Node], list[Node]], told: tuple[float, str]
) -> None:
    assert _told(_instead(graphs["yolo"], COMPARISON, make)) == told


@pytest.mark.parametrize(
    ("make", "condition"),
    [
        (_beside("LessEqual", 0.6, "LogicalAnd"), "'second' (LessEqual)"),
        (_beside("Greater", 0.4, "LogicalOr"), "'GreaterEqual' (LogicalOr)"),
        (lambda node: [replace(node, op="Less")], "'GreaterEqual' (Less)"),
        (lambda node: [replace(node, op="NotEqual")], "'GreaterEqual' (NotEqual)"),
    ],
)
def test_another_filter_is_refused(
    graphs: Mapping[str, Graph], tmp_path: Path, make: Callable[[Node], list[Node]], condition: str
) -> None:
    changed = _instead(graphs["yolo"], COMPARISON, make)
    with pytest.raises(SurgeonError) as caught:
        surgeon.init(changed, tmp_path / "yolo.yaml")
    assert [each.code for each in caught.value.diagnostics][:2] == ["D147", "D113"]
    assert f"by {condition}" in str(caught.value)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["yolo", "retinanet"])
def test_the_threshold_of_suppression_itself_counts(graphs: Mapping[str, Graph], name: str) -> None:
    graph = graphs[name]
    limits = {node.inputs[4].node: 0.6 for node in _suppressing(graph)}
    assert _told(_with_values(graph, limits)) == (0.6, "above")
    one = dict([next(iter(limits.items()))])
    with pytest.raises(SurgeonError, match="threshold of scores"):
        _told(_with_values(graph, one))


def test_classes_of_different_thresholds_are_refused(graphs: Mapping[str, Graph]) -> None:
    graph = graphs["retinanet"]
    changed = _with_values(graph, {"filtered_detections/map/while/Greater_1/y": 0.4})
    with pytest.raises(SurgeonError, match="the threshold of scores is contradictory"):
        _told(changed)


def test_no_threshold_is_zero(graphs: Mapping[str, Graph]) -> None:
    graph = graphs["yolo"]
    limits = {node.inputs[4].node: -np.inf for node in _suppressing(graph)}
    endless = _with_values(graph, {**limits, graph[COMPARISON].inputs[1].node: -np.inf})
    assert _told(endless) == (0.0, "above")


LABELS = "decoded_predictions/loop_over_batch/map/while/loop_over_classes/range/value"


def test_the_loop_over_classes_tells_the_background(graphs: Mapping[str, Graph]) -> None:
    graph = graphs["ssd"]
    assert nearest_family(graph).postprocessing.background.value == 0
    assert nearest_family(_with_values(graph, {LABELS: 0})).postprocessing.background.value == -1
    with pytest.raises(SurgeonError, match=r"the classes \[1, 2\] of 4 are suppressed"):
        nearest_family(_with_values(graph, {f"{LABELS}_1": 3})).postprocessing.background.value  # noqa: B018


def test_boxes_of_the_best_class_tell_the_background(graphs: Mapping[str, Graph]) -> None:
    graph = graphs["fast"]
    assert nearest_family(graph).postprocessing.background.value == 0
    name = next(node.name for node in graph if node.op == "NotEqual")
    changed = _instead(graph, name, lambda node: [replace(node, op="Equal")])
    with pytest.raises(SurgeonError, match=r"by '.*NotEqual' \(Equal\)"):
        _told(changed)


def test_what_the_graph_does_to_pixels_is_named(graphs: Mapping[str, Graph]) -> None:
    (shown,) = nearest_family(graphs["ssd"]).image.evidence
    assert "by 'input_mean_normalization/sub' (Sub), 'input_stddev_normalization/truediv'" in shown
    bare = graphs["ssd"]
    first = next(node for node in bare if node.op == "Conv2D" and node.inputs[0].node.startswith("input_std"))
    raw = _instead(bare, first.name, lambda node: [replace(node, inputs=(Ref("input_1"), node.inputs[1]))])
    assert "no operation prepares them" in nearest_family(raw).image.evidence[0]


def test_overlaps_of_centres_and_sizes_are_refused(graphs: Mapping[str, Graph]) -> None:
    """The graph takes centre and size for corners: its overlaps are none that a plugin computes."""
    graph = graphs["combined"]
    (suppression,) = (node for node in graph if node.op == "CombinedNonMaxSuppression")
    sides = np.array([[0, 0.5, 0, 0.5], [0.5, 0, 0.5, 0], [0, -1, 0, 1], [-1, 0, 1, 0]], np.float32).T
    attrs = {"T": DType.FLOAT32, "adj_x": False, "adj_y": False}

    def centred(node: Node) -> list[Node]:
        product = Node("centred", "BatchMatMulV2", (node.inputs[0], Ref("sides")), attrs=attrs)
        moved = replace(node, inputs=(Ref("centred"), *node.inputs[1:]))
        return [_constant("sides", sides[None]), product, moved]

    unclipped = _instead(
        graph, suppression.name, lambda node: [replace(node, attrs={**node.attrs, "clip_boxes": False})]
    )
    changed = _instead(unclipped, suppression.inputs[0].node, centred)
    assert nearest_family(unclipped).postprocessing.iou_threshold.value == pytest.approx(0.45)
    with pytest.raises(SurgeonError, match="as if they were corners"):
        nearest_family(changed).postprocessing.iou_threshold.value  # noqa: B018  raises


def _counted_from_1(graph: Graph) -> Graph:
    """Return a detector of Keras that adds 1 to its classes."""
    outputs = [Ref(node.name) for node in graph if node.op == "TensorArrayGatherV3"] or list(
        graph.output_refs
    )
    plus = Node("labels", "Add", (outputs[2], Ref("label_of_first")), attrs={"T": DType.INT32})
    nodes = [*graph, _constant("label_of_first", 1, DType.INT32), plus]
    return graph.replace(nodes, [*outputs[:2], Ref("labels")])


@pytest.mark.parametrize("name", ["yolo", "retinanet"])
def test_classes_that_count_from_1_are_told(graphs: Mapping[str, Graph], name: str, tmp_path: Path) -> None:
    graph = _counted_from_1(graphs[name])
    assert nearest_family(graph).class_shift == -1
    surgeon.init(graph, tmp_path / "labels.yaml")
    assert "'labels' adds 1 on the way to 'labels'" in (tmp_path / "labels.yaml").read_text()


def test_classes_that_count_from_1_are_verified(graphs: Mapping[str, Graph], tmp_path: Path) -> None:
    pytest.importorskip("tensorflow", reason="TensorFlow computes the original")
    graph = _counted_from_1(graphs["yolo"])
    surgeon.init(graph, tmp_path / "labels.yaml")
    assert surgeon.verify(tmp_path / "labels.yaml", graph).passed


def test_a_loop_over_all_classes_is_verified(graphs: Mapping[str, Graph], tmp_path: Path) -> None:
    pytest.importorskip("tensorflow", reason="TensorFlow computes the original")
    graph = _with_values(graphs["ssd"], {LABELS: 0})
    surgeon.init(graph, tmp_path / "ssd.yaml")
    assert surgeon.verify(tmp_path / "ssd.yaml", graph).passed
