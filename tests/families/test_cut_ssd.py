"""SSD detectors that end before suppression: recognised, and suppression added by parameters."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import surgeon
from surgeon.families import recognise, recognise_detector
from surgeon.families.parts.head_concat import single_joins
from surgeon.families.ssd.cut import CutDetector, find_cut
from surgeon.graph import DType, Graph, Node, Ref, Shape, TensorValue
from surgeon.infer import infer
from surgeon.zoo import SsdOptions
from surgeon.zoo.cut_ssd import build_cut_ssd

SMALL = {"height": 96, "width": 96, "depth_multiplier": 0.125}


@pytest.fixture(scope="module")
def cut_ssd(tmp_path_factory: pytest.TempPathFactory):
    """Give ``cut_ssd(date, **options) -> Path``."""
    folder = tmp_path_factory.mktemp("cut")

    def written(date: str, share_constants: bool = True, **options) -> Path:
        path = folder / f"{date}_{share_constants}_{len(list(folder.iterdir()))}.pb"
        made = SsdOptions(date=date, **{**SMALL, **options})
        path.write_bytes(build_cut_ssd(made, share_constants=share_constants))
        return path

    return written


@pytest.mark.parametrize(("date", "share_constants"), [("2017", True), ("2018", False), ("2019", True)])
def test_a_recipe_is_written_and_planned(cut_ssd, date: str, share_constants: bool) -> None:
    path = cut_ssd(date, share_constants)
    made = surgeon.init(path, path.with_suffix(".yaml"))
    assert not made.errors and made.family == "ssd"
    background = ", background: 0" if date == "2019" else ""
    assert f"{{iou_threshold: 0.6, score_threshold: 1e-8, max_detections: 100{background}}}" in made.text
    assert [d.code for d in made.diagnostics] == (["D147"] if background else [])
    assert "nmsThreshold: $iou_threshold" in made.text
    plan = surgeon.plan(path.with_suffix(".yaml"), path, parameters={"iou_threshold": 0.5})
    assert plan.result["NMS"].attrs["nmsThreshold"] == pytest.approx(0.5)
    assert plan.result["NMS"].attrs["numClasses"] == 4


def test_what_the_graph_does_not_tell_is_not_told(cut_ssd) -> None:
    graph = surgeon.load_graph(cut_ssd("2018"))
    found = recognise_detector(graph)
    assert isinstance(found, CutDetector) and not found.suppresses
    with pytest.raises(surgeon.SurgeonError, match="ends before suppression and does not tell at which"):
        found.iou_threshold  # noqa: B018
    recipe = surgeon.init(graph).recipe
    assert not [d for d in surgeon.check(recipe, graph).diagnostics if d.code == "D160"]
    open_recipe = surgeon.parse_recipe(surgeon.init(graph).text.replace("$iou_threshold", "auto"))
    with pytest.raises(surgeon.SurgeonError, match="ends before suppression"):
        surgeon.plan(open_recipe, graph)


@pytest.mark.parametrize("date", ["2017", "2019"])
def test_detections_are_those_of_suppression_in_tensorflow(cut_ssd, date: str, tmp_path: Path) -> None:
    pytest.importorskip("tensorflow", reason="runs the original")
    path, recipe = cut_ssd(date), tmp_path / "cut.yaml"
    surgeon.init(path, recipe)
    found = surgeon.verify(recipe, path, parameters={"iou_threshold": 0.45})
    assert found.passed
    detections = found.verdicts[0].comparisons[0]
    assert detections.matched == detections.original == 100 and not found.verdicts[0].excused
    assert len(found.verdicts[1].passed_probes) > 4
    power = {f"{each.node}.{each.field}": each.exercised for each in found.power}
    assert power["NMS.nmsThreshold"] and power["NMS.confidenceThreshold"] and power["NMS.keepTopK"]
    assert found.added is not None and found.added.suppressed_by == "TensorFlow"
    assert found.added.values["NMS.nmsThreshold"] == pytest.approx(0.45)
    assert not found.literals


def test_other_decoding_than_the_graphs_fails(cut_ssd) -> None:
    pytest.importorskip("tensorflow", reason="runs the original")
    path = cut_ssd("2018")
    text = surgeon.init(path).text.replace(
        "variance: [0.1, 0.1, 0.2, 0.2]", "variance: [0.1, 0.1, 0.2, 0.21]"
    )
    assert surgeon.verify(surgeon.parse_recipe(text), path).outcome == "failed"


def test_a_name_does_not_tell_the_background(cut_ssd, tmp_path: Path) -> None:
    graph = surgeon.load_graph(cut_ssd("2019"))
    nodes = [replace(n, name="scores") if n.name == "raw_detection_scores" else n for n in graph]
    renamed = graph.replace(nodes, [Ref("raw_detection_boxes"), Ref("scores")])
    made = surgeon.init(renamed)
    (warning,) = made.diagnostics
    assert warning.code == "D147" and "does not tell whether the first of the 4 columns" in warning.message
    assert "max_detections: 100, background: -1}" in made.text
    found = recognise_detector(renamed)
    assert isinstance(found, CutDetector)
    with pytest.raises(surgeon.SurgeonError, match="does not tell whether the first column"):
        found.background  # noqa: B018
    # Whatever the recipe says is among what verify takes as given, and is done to the original's scores.
    fields = {"nmsThreshold": 0.6, "confidenceThreshold": 0.0, "keepTopK": 9}
    assert found.given(fields | {"backgroundLabelId": 0})["backgroundLabelId"] == 0
    for label, columns in ((0, 3), (-1, 4)):
        whole = found.completed(fields | {"backgroundLabelId": label})
        assert whole is not None
        (suppressing,) = [node for node in whole if node.op == "CombinedNonMaxSuppression"]
        assert infer(whole).spec(suppressing.inputs[1]).shape.dims[-1] == columns


@pytest.mark.parametrize("named", [True, False])
def test_a_softmax_tells_the_background(cut_ssd, named: bool) -> None:
    sigmoids = surgeon.load_graph(cut_ssd("2019"))
    graph = sigmoids.replace([replace(n, op="Softmax") if n.op == "Sigmoid" else n for n in sigmoids])
    nodes = [replace(n, name="scores") if n.name == "raw_detection_scores" else n for n in graph]
    graph = graph if named else graph.replace(nodes, [Ref("raw_detection_boxes"), Ref("scores")])
    made = surgeon.init(graph)
    assert not made.diagnostics and "backgroundLabelId: 0" in made.text
    assert made.summary == "ssd_mobilenet_v1 for 3 classes at 96 x 96"


def test_many_outputs_are_walked_once() -> None:
    a, last = {"T": DType.FLOAT32}, "exp"
    kernel = TensorValue.of(np.zeros((1, 1, 4, 4), np.float32))
    conv = {**a, "strides": (1, 1, 1, 1), "padding": b"VALID", "data_format": b"NHWC"}
    joined = (Ref("c1"), Ref("c2"), Ref("axis"))
    nodes = [
        Node("x", "Placeholder", attrs={"dtype": DType.FLOAT32, "shape": Shape((1, 8, 8, 4))}),
        Node("kernel", "Const", attrs={"dtype": DType.FLOAT32, "value": kernel}),
        Node("axis", "Const", attrs={"dtype": DType.INT32, "value": TensorValue.of(np.int32(3))}),
        *(Node(name, "Conv2D", (Ref("x"), Ref("kernel")), attrs=conv) for name in ("c1", "c2")),
        Node("join", "ConcatV2", joined, attrs={**a, "N": 2, "Tidx": DType.INT32}),
        Node("exp", "Exp", (Ref("join"),), attrs=a),
    ]
    for i in range(3000):
        nodes.append(Node(f"r{i}", "Relu", (Ref(last),), attrs=a))
        last = f"r{i}"
    ends = [Ref(f"r{i}") for i in range(2000, 3000)]
    graph, visits = Graph(nodes, ends), 0

    class Counting(set[str]):
        def __contains__(self, name: object) -> bool:
            nonlocal visits
            visits += 1
            return super().__contains__(name)

    changing = Counting(node.name for node in graph if node.op != "Const")
    found = single_joins(graph, changing)
    assert all(found[ref.node] == "join" for ref in ends) and visits < 3 * len(nodes)
    assert find_cut(graph) is None


def test_an_onnx_file_detects_the_same(cut_ssd, tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime", reason="runs the file")
    path, file = cut_ssd("2018"), tmp_path / "cut.onnx"
    recipe = surgeon.init(path).recipe
    surgeon.convert(recipe, path, file)
    assert surgeon.verify(recipe, path, onnx=file).passed


def test_a_uff_file_is_written(cut_ssd, tmp_path: Path) -> None:
    path, file = cut_ssd("2018"), tmp_path / "cut.uff"
    surgeon.convert(surgeon.init(path).recipe, path, file)
    assert file.stat().st_size > 10_000


def test_whole_detectors_and_classifiers_are_none(zoo_graph) -> None:
    whole = zoo_graph("2018")
    assert recognise_detector(whole).suppresses
    without_boxes = whole.replace(None, [Ref("Postprocessor/convert_scores")])
    assert recognise(without_boxes).name == "generic"
