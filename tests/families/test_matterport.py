"""Matterport's Mask R-CNN: its layers are found by structure, and a recipe keeps every detection and mask."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

import surgeon
from surgeon.diagnostics import Severity, SurgeonError
from surgeon.families import Refusal, recognise, recognise_detector
from surgeon.families.matterport.detector import MatterportMaskRcnn
from surgeon.formats.graphdef import load_graph
from surgeon.graph import Graph, Ref
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


def test_other_numbers_of_anchors_get_ratios_that_the_recipe_calls_its_own(folder: Path) -> None:
    graph = _graph(folder, MatterportOptions(anchors_of_cell=4, masks=False))
    made = surgeon.init(graph, target="onnx@onnxruntime")
    assert [each.code for each in made.diagnostics] == ["D152"]
    assert "scales: [32, 64, 128, 256, 512]" in made.text and "are 4 ratios" in made.text
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
