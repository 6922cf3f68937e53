"""Matterport's Mask R-CNN: its layers are found by structure, and a recipe keeps every detection and mask."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

import surgeon
from surgeon.catalog import load_catalog
from surgeon.diagnostics import Severity, SurgeonError
from surgeon.families import Refusal, recognise, recognise_detector
from surgeon.families.matterport.detector import MatterportMaskRcnn
from surgeon.formats.graphdef import load_graph
from surgeon.graph import DType, Graph, Node, Ref, TensorValue
from surgeon.runners.tensorflow import TensorFlowRunner
from surgeon.steps.anchor_input import AnchorInput
from surgeon.verification.results import DetectionComparison, Verification
from surgeon.zoo.matterport import MatterportOptions, build_matterport, make_anchors, make_meta

LAYOUTS = {
    "NHWC": MatterportOptions(),
    "NCHW_CPU": MatterportOptions(layout="NCHW_CPU", date="2019"),
}


def _graph(folder: Path, options: MatterportOptions, name: str = "mask_rcnn.pb") -> Graph:
    path = folder / name
    path.write_bytes(build_matterport(options))
    return load_graph(path)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("matterport")


@pytest.mark.parametrize(
    "options",
    [
        MatterportOptions(),
        MatterportOptions(layout="NCHW_CPU", date="2019"),
        MatterportOptions(layout="NCHW_GPU", classes=3, masks=False),
        MatterportOptions(height=128, width=192, proposals=33, detections=7, min_confidence=0),
    ],
)
def test_layers_are_found_by_structure(folder: Path, options: MatterportOptions) -> None:
    found = recognise(_graph(folder, options))
    assert isinstance(found, MatterportMaskRcnn)
    assert found.kind == ("matterport_mask_rcnn" if options.masks else "matterport_faster_rcnn")
    assert found.picture_size.value == (options.height, options.width)
    assert found.channels_first.value == (options.layout != "NHWC")
    assert found.anchor_count.value == options.anchors
    assert found.strides.value == (4, 8, 16, 32, 64)
    assert found.candidates.value == options.candidates
    assert found.proposal_count.value == options.proposals
    assert found.proposal_iou.value == pytest.approx(0.7)
    assert found.classes.value == options.classes
    assert found.score_threshold.value == pytest.approx(options.min_confidence)
    assert found.iou_threshold.value == pytest.approx(0.3)
    assert found.max_detections.value == options.detections
    assert found.levels.value == (2, 3, 4, 5)
    assert found.crop_sides.value == ((7, 14) if options.masks else (7,))
    assert (found.anchors_input, found.meta_input) == ("input_anchors", "input_image_meta")


def test_names_do_not_matter(folder: Path) -> None:
    graph = _graph(folder, MatterportOptions())
    names = {node.name: f"n{number}" for number, node in enumerate(graph)}
    renamed = graph.replace(
        [
            replace(
                node,
                name=names[node.name],
                inputs=tuple(Ref(names[ref.node], ref.slot) for ref in node.inputs),
                control=tuple(names[name] for name in node.control),
            )
            for node in graph
        ]
    )
    found = recognise(renamed)
    assert isinstance(found, MatterportMaskRcnn)
    assert found.candidates.value == 300
    assert found.masks.value.node == names["mrcnn_mask/Reshape_1"]


def test_a_graph_that_cuts_out_regions_otherwise_is_none(folder: Path) -> None:
    graph = _graph(folder, MatterportOptions())
    other = graph.replace(
        replace(node, op="ConcatV2" if node.op == "GatherNd" and "roi_align" in node.name else node.op)
        for node in graph
    )
    found = recognise_detector(other)
    assert isinstance(found, Refusal)
    reason = MatterportMaskRcnn.match(other)
    assert isinstance(reason, Refusal)
    assert "does not take the regions of one level of a pyramid" in str(reason.reason)


def test_anchors_are_those_of_the_generator() -> None:
    step = AnchorInput.model_validate(
        {
            "step": "anchor-input",
            "node": "anchors",
            "size": [128, 192],
            "strides": [4, 8, 16, 32, 64],
            "scales": [32, 64, 128, 256, 512],
            "ratios": [0.5, 1, 2],
        }
    )
    np.testing.assert_array_equal(step.anchors(), make_anchors(128, 192))
    sparse = step.model_copy(update={"step_of_cells": 2}).anchors()
    assert sparse.shape == (1, 3 * (16 * 24 + 8 * 12 + 4 * 6 + 2 * 3 + 1 * 2), 4)
    with pytest.raises(ValueError, match="1 stride and 2 scales"):
        AnchorInput.model_validate(
            {
                "step": "anchor-input",
                "node": "a",
                "size": [8, 8],
                "strides": [4],
                "scales": [4, 8],
                "ratios": [1],
            }
        )


def test_only_anchors_that_are_an_input_are_made_up(folder: Path) -> None:
    """The recipe says where scales and ratios come from, and init warns of it."""
    made = surgeon.init(_graph(folder, MatterportOptions()), target="onnx@onnxruntime")
    assert [each.code for each in made.diagnostics] == ["D152"]
    assert "scales and ratios are not in the graph" in made.text


def test_three_layouts_compute_the_same(folder: Path) -> None:
    """What has convolutions with channels first runs on a CPU, too."""
    tables = []
    for layout in ("NHWC", "NCHW_CPU", "NCHW_GPU"):
        options = MatterportOptions(layout=layout)  # type: ignore[arg-type]
        table = Ref("mrcnn_detection/Reshape_1")
        pixels = np.float32(_picture(3)[None]) - 110
        feeds = {
            "input_image": pixels if layout == "NHWC" else pixels.transpose(0, 3, 1, 2),
            "input_image_meta": make_meta(options),
            "input_anchors": make_anchors(options.height, options.width),
        }
        runner = TensorFlowRunner(_graph(folder, options, f"{layout}.pb"), [table])
        tables.append(runner.run(feeds)[str(table)])
    assert (tables[0][0, :, 5] > 0).sum() > 3
    for other in tables[1:]:
        np.testing.assert_allclose(other, tables[0], atol=1e-5)


def _constant(number: np.generic | np.ndarray) -> TensorValue:
    array = np.asarray(number)
    return TensorValue.of(array, DType(array.dtype.name))


def _changed(graph: Graph, part: str, **changes: object) -> Graph:
    """Return a graph whose nodes with names of this end have other attributes, or another operation."""
    op = changes.pop("op", None)
    return graph.replace(
        replace(node, op=str(op or node.op), attrs={**node.attrs, **changes})
        if node.name.endswith(part)
        else node
        for node in graph
    )


def _with_inputs(graph: Graph, name: str, op: str, numbers: list[float]) -> Graph:
    """Return a graph whose node is another operation and reads these constants besides."""
    added = [
        Node(
            f"added_{place}", "Const", attrs={"dtype": DType.FLOAT32, "value": _constant(np.float32(number))}
        )
        for place, number in enumerate(numbers)
    ]
    refs = tuple(Ref(node.name) for node in added)
    changed = [
        replace(node, op=op, inputs=(*node.inputs, *refs)) if node.name == name else node for node in graph
    ]
    return graph.replace([*added, *changed])


def _detector(graph: Graph) -> MatterportMaskRcnn:
    found = recognise(graph)
    assert isinstance(found, MatterportMaskRcnn)
    return found


@pytest.fixture(scope="module")
def plain(folder: Path) -> Graph:
    return _graph(folder, MatterportOptions(), "plain.pb")


def test_scores_are_compared_as_the_graph_compares_them(plain: Graph) -> None:
    after = float(np.nextafter(np.float32(0.7), np.float32(1)))
    above = _changed(plain, "mrcnn_detection/GreaterEqual", op="Greater")
    assert _detector(above).score_threshold.value == after > np.float32(0.7)
    other = _detector(_changed(plain, "mrcnn_detection/GreaterEqual", op="Less"))
    with pytest.raises(SurgeonError, match="expected the least score"):
        other.score_threshold  # noqa: B018 - raises


def test_the_score_threshold_of_a_suppression_counts(plain: Graph) -> None:
    found = _detector(plain)
    last, first = found.detection_layer.suppression, found.proposal_layer.suppression
    higher = _detector(_with_inputs(plain, last, "NonMaxSuppressionV3", [0.9]))
    assert higher.score_threshold.value == float(np.nextafter(np.float32(0.9), np.float32(1)))
    lower = _detector(_with_inputs(plain, last, "NonMaxSuppressionV4", [0.5]))
    assert lower.score_threshold.value == pytest.approx(0.7)
    none = _detector(_with_inputs(plain, last, "NonMaxSuppressionV3", [float("-inf")]))
    assert none.score_threshold == found.score_threshold
    with pytest.raises(SurgeonError, match="soft suppression"):
        _detector(  # noqa: B018 - raises
            _with_inputs(plain, last, "NonMaxSuppressionV5", [0.5, 0.3])
        ).score_threshold
    with pytest.raises(SurgeonError, match="leaves out regions by their scores"):
        _detector(  # noqa: B018 - raises
            _with_inputs(plain, first, "NonMaxSuppressionV3", [0.5])
        ).proposal_iou


def test_the_first_kind_of_suppression_has_its_overlap_as_an_attribute(plain: Graph) -> None:
    name = _detector(plain).detection_layer.suppression
    old = plain.replace(
        replace(node, op="NonMaxSuppression", inputs=node.inputs[:3], attrs={"iou_threshold": 0.4})
        if node.name == name
        else node
        for node in plain
    )
    assert _detector(old).iou_threshold.value == pytest.approx(0.4)


def test_a_cap_of_a_class_below_that_of_all_is_refused(plain: Graph) -> None:
    name = _detector(plain).detection_layer.suppression
    capped = _changed(plain, f"{name}/max_output_size", value=_constant(np.int32(8)))
    with pytest.raises(SurgeonError, match=r"D147.*8 detections at most, all classes 20"):
        surgeon.init(capped, target="onnx@onnxruntime")


@pytest.mark.parametrize(
    ("name", "change", "said"),
    [
        ("mask/CropAndResize_2", {"method": b"nearest"}, "has the method 'nearest'"),
        ("classifier/CropAndResize", {"extrapolation_value": 1.0}, "gives 1 outside the map"),
        (
            "mask/CropAndResize/crop_size",
            {"value": _constant(np.array([14, 12], np.int32))},
            r"cuts out \[14, 12\]",
        ),
        ("classifier/truediv/x", {"value": _constant(np.float32(100.5))}, "100.5, 224"),
    ],
)
def test_regions_that_are_cut_out_otherwise_are_refused(
    plain: Graph, name: str, change: dict[str, object], said: str
) -> None:
    graph = _changed(plain, name, **change)
    with pytest.raises(SurgeonError, match=said):
        assert _detector(graph).crop_sides and _detector(graph).region_unit


def test_the_side_of_regions_of_a_level_comes_from_the_graph(plain: Graph) -> None:
    graph = _changed(plain, "classifier/truediv/x", value=_constant(np.float32(112)))
    graph = _changed(graph, "mask/truediv/x", value=_constant(np.float32(112)))
    assert "fpn_scale: 112" in surgeon.init(graph, target="onnx@onnxruntime").text


def test_a_low_score_threshold_stays_where_the_plugin_sorts(folder: Path) -> None:
    """The best of two classes has at least 0.5, so that no detection is lost."""
    graph = _graph(folder, MatterportOptions(classes=2, min_confidence=0.003, masks=False))
    made = surgeon.init(graph, target="onnx@onnxruntime")
    assert "score_threshold: 0.0071" in made.text
    pytest.importorskip("tensorflow", reason="TensorFlow computes the original")
    assert surgeon.verify(made.recipe, graph, target="onnx@onnxruntime").passed


def test_a_region_of_equal_scores_is_of_the_first_class(plain: Graph) -> None:
    found = _detector(plain)
    values = {ref: np.zeros(1) for ref in found.plugin_sources}
    values[found.plugin_sources[1]] = np.array([[[0.1, 0.3, 0.3], [0.2, 0.1, 0.7]]], np.float32)
    plugin = load_catalog()["EfficientNMS_TRT"]
    scores = found.plugin_inputs(plugin, {}, values)["scores"]
    np.testing.assert_array_equal(scores, np.array([[[0, 0.3, 0], [0, 0, 0.7]]], np.float32))


def test_other_numbers_of_anchors_get_ratios_that_the_recipe_calls_its_own(folder: Path) -> None:
    graph = _graph(folder, MatterportOptions(anchors_of_cell=4, masks=False))
    made = surgeon.init(graph, target="onnx@onnxruntime")
    assert [each.code for each in made.diagnostics] == ["D152"]
    assert "scales: [32, 64, 128, 256, 512]" in made.text and "are 4 ratios" in made.text
    assert "ratios as a cell has anchors, which are made up" in made.diagnostics[0].message
    plan = surgeon.plan(made.recipe, graph, target="onnx@onnxruntime")
    assert plan.inference is not None
    assert str(plan.inference.spec(Ref("input_anchors"))) == f"float32[1,{4 * 1364},4]"


@dataclass(frozen=True)
class Journey:
    """What came of a detector from 'init' to its ONNX file."""

    text: str
    verified: tuple[Verification, ...]
    folder: Path


def _picture(seed: int) -> np.ndarray:
    """Return a picture of coarse random squares."""
    cells = np.random.default_rng(seed).integers(0, 256, (16, 16, 3), np.uint8)
    return cells.repeat(8, axis=0).repeat(8, axis=1)


@pytest.fixture(scope="module", params=LAYOUTS)
def journey(request: pytest.FixtureRequest, folder: Path) -> Journey:
    """Without a hand edit: init, check, convert, verify by references and with ONNX Runtime."""
    own = folder / request.param
    own.mkdir()
    graph = _graph(own, LAYOUTS[request.param])
    made = surgeon.init(graph, target="onnx@onnxruntime")
    recipe = own / "recipe.yaml"
    recipe.write_text(made.text)
    target = "onnx@onnxruntime"
    surgeon.check(recipe, graph, target=target)
    surgeon.convert(recipe, graph, own / "mask_rcnn.onnx", target=target)
    pictures = [_picture(seed) for seed in (1, 2)]
    file = own / "mask_rcnn.onnx"
    verified = [surgeon.verify(recipe, graph, images=pictures, target=target, file=file)]
    plugins = "onnx@tensorrt-10" if request.param == "NHWC" else "uff@tensorrt-8.5"
    verified.append(surgeon.verify(recipe, graph, images=pictures[:1], target=plugins))
    return Journey(made.text, tuple(verified), own)


def test_every_detection_and_mask_is_kept(journey: Journey) -> None:
    for verified in journey.verified:
        assert verified.passed and verified.takes_as_given(verified.verdicts[-1])
        found = [
            each
            for verdict in verified.verdicts
            if verdict.name == "cut to cut"
            for each in verdict.comparisons
            if isinstance(each, DetectionComparison) and each.subject == "detections"
        ]
        assert len(found) == len(verified.pictures)
        for each in found:
            assert each.original == each.matched > 3
            assert not each.excused
            assert each.worst_box_error < 1e-4 and each.worst_score_error < 1e-4
            assert each.masks == each.matched and each.worst_mask_error < 1e-3


def test_thresholds_and_caps_are_noticed(journey: Journey) -> None:
    """A wrong field of the last suppression would not pass."""
    *_, by_references = journey.verified
    power = {each.field for each in by_references.power if each.changes and "NMS" not in each.node}
    assert {"iou_threshold", "score_threshold"} <= power


def test_uff_refuses_what_merges_batch_and_regions_alone(journey: Journey, folder: Path) -> None:
    recipe = journey.folder / "recipe.yaml"
    with pytest.raises(SurgeonError) as caught:
        surgeon.convert(recipe, journey.folder / "mask_rcnn.pb", folder / "mask_rcnn.uff")
    assert {each.code for each in caught.value.diagnostics if each.severity is Severity.ERROR} == {"L102"}
    assert not (folder / "mask_rcnn.uff").exists()


def test_the_size_of_a_picture_is_asked_for_where_the_graph_leaves_it_open(folder: Path) -> None:
    graph = _graph(folder, MatterportOptions(open_size=True))
    with pytest.raises(SurgeonError, match="the size of a picture is not known") as caught:
        surgeon.init(graph, target="onnx@onnxruntime")
    assert "--input input_image=1x1024x1024x3" in caught.value.diagnostics[0].help[0]
    made = surgeon.init(graph, target="onnx@onnxruntime", input_specs={"input_image": (1, 128, 128, 3)})
    assert [each.code for each in made.diagnostics] == ["D152"]
    plan = surgeon.plan(made.recipe, graph, target="onnx@onnxruntime")
    assert plan.inference is not None
    assert str(plan.inference.spec(Ref("detections"))) == "float32[1,20,6]"


def test_run_gives_detections_and_masks(journey: Journey) -> None:
    (found,) = surgeon.detect(journey.folder / "mask_rcnn.onnx", [_picture(1)])
    assert len(found.detections) > 3
    assert found.detections.masks is not None


def test_a_model_of_several_pictures_a_step_is_refused(folder: Path) -> None:
    graph = _graph(folder, MatterportOptions())
    regions = recognise(graph)
    assert isinstance(regions, MatterportMaskRcnn)
    name = regions.proposal_layer.regions.node
    stacked = graph.replace(
        replace(node, inputs=(node.inputs[0], node.inputs[0]), attrs={**node.attrs, "N": 2})
        if node.name == name
        else node
        for node in graph
    )
    refused = MatterportMaskRcnn.match(stacked)
    assert isinstance(refused, Refusal)
    assert "IMAGES_PER_GPU = 1" in str(refused.reason)


def test_findings_of_another_network_say_why_there_are_none() -> None:
    """What has nothing in common is no nearer than other families; its findings fail as theirs do."""
    refused = MatterportMaskRcnn.match(Graph([]))
    assert isinstance(refused, Refusal)
    assert refused.nearness < 0
    with pytest.raises(SurgeonError, match="nothing cuts regions out of feature maps"):
        refused.family.outputs  # noqa: B018  raises
    assert all(isinstance(found, SurgeonError) for found in refused.family.findings.values())
