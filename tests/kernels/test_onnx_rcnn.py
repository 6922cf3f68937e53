"""Regions of R-CNNs in standard operators: changed fields, equal and rounded scores, samples at borders, refusals."""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np
import pytest

from surgeon.diagnostics import SurgeonError
from surgeon.formats.onnx.emitter import Emitter
from surgeon.formats.onnx.lowering import PluginNode, standard_rendering
from surgeon.graph import Shape, TensorSpec
from surgeon.kernels.mask_rcnn import onnx as mask_rcnn
from surgeon.kernels.regions.onnx import HALF_PIXEL_OPSET
from surgeon.kernels.suppression.onnx import TENSORRT_ROWS
from surgeon.targets import load_target

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
onnx_inputs = importlib.import_module("onnx_inputs")

CLOSE = 1e-5
TENSORRT = load_target("onnx@tensorrt-8.5")

SUPPRESSING = (
    "Proposal",
    "ProposalDynamic",
    "ProposalLayer_TRT",
    "MultilevelProposeROI_TRT",
    "DetectionLayer_TRT",
    "GenerateDetection_TRT",
)
POOLING = (
    "CropAndResize_TRT",
    "CropAndResizeDynamic",
    "ROIAlign_TRT",
    "PyramidROIAlign_TRT",
    "MultilevelCropAndResize_TRT",
)

CHANGED: dict[str, list[dict[str, Any]]] = {
    "ResizeNearest_TRT": [{"scale": 1.5}, {"scale": 3.0}],
    "LReLU_TRT": [{"negSlope": 0.3}],
    "Clip_TRT": [{"clipMin": -1.0}, {"clipMax": 1.0}],
    "CustomClipPlugin": [{"clipMin": -1.0}, {"clipMax": 1.0}],
    "Split_TRT": [{"output_lengths": [2, 1, 3]}],
    "InstanceNormalization_TRT": [
        {"epsilon": 0.1},
        {"scales": [1.0, 1.0, 1.0]},
        {"bias": [0.0, 0.0, 1.0]},
        {"relu": 1},
        {"relu": 1, "alpha": 0.3},
    ],
    "CropAndResize_TRT": [{"crop_height": 6}, {"crop_width": 2}],
    "CropAndResizeDynamic": [{"crop_height": 6}],
    "ROIAlign_TRT": [
        {"mode": 1},
        {"coordinate_transformation_mode": 1},
        {"sampling_ratio": 1},
        {"spatial_scale": 0.4},
        {"output_height": 2},
        {"output_width": 5},
    ],
    "PyramidROIAlign_TRT": [
        {"fpn_scale": 14},
        {"pooled_size": 3},
        {"image_size": [60, 128]},
        {"roi_coords_absolute": 0},
        {"roi_coords_swap": 1},
        {"roi_coords_plusone": 1},
        {"roi_coords_transform": 1},
        {"roi_coords_transform": 2, "sampling_ratio": 0},
        {"sampling_ratio": 3},
        {"legacy": 1},
    ],
    "MultilevelCropAndResize_TRT": [
        {"pooled_size": 3},
        {"image_size": [3, 600, 1500]},
        {"image_size": [3, 1200, 600]},
    ],
    "Proposal": [
        {"input_height": 60},
        {"input_width": 90},
        {"rpn_stride": 8},
        {"roi_min_size": 80.0},
        {"nms_iou_threshold": 0.3},
        {"pre_nms_top_n": 30},
        {"post_nms_top_n": 39},
        {"anchor_sizes": [60.0, 20.0]},
        {"anchor_ratios": [1.0, 0.5, 3.0]},
    ],
    "ProposalDynamic": [{"nms_iou_threshold": 0.3}],
    "ProposalLayer_TRT": [{"prenms_topk": 50}, {"keep_topk": 49}, {"iou_threshold": 0.2}],
    "MultilevelProposeROI_TRT": [
        {"prenms_topk": 10},
        {"keep_topk": 49},
        {"iou_threshold": 0.2},
        {"fg_threshold": 0.999},
    ],
    "DetectionLayer_TRT": [{"keep_topk": 20}, {"score_threshold": 0.9}, {"iou_threshold": 0.1}],
    "GenerateDetection_TRT": [
        {"keep_topk": 20},
        {"score_threshold": 0.9},
        {"iou_threshold": 0.1},
        {"image_size": [3, 200, 500]},
        {"image_size": [3, 300, 300]},
    ],
}
"""Changes of the fields of a plugin's first random sample, each of which changes the outputs."""


def first_sample(op: str) -> Any:
    return onnx_inputs.GENERATORS[op](np.random.default_rng(7))[0]


def sample_of(op: str, name: str) -> Any:
    (sample,) = [each for each in onnx_inputs.GENERATORS[op](np.random.default_rng(7)) if each.name == name]
    return sample


def rendered(op: str, fields: Any, inputs: Any, **more: Any) -> Any:
    return onnx_inputs.render(op, fields, onnx_inputs.specs_of(inputs), **more)


def computed(op: str, fields: Any, inputs: Any) -> Any:
    return rendered(op, fields, inputs).run(inputs)


def only(outputs: Any) -> np.ndarray:
    (array,) = outputs.values()
    return np.asarray(array)


def close(op: str) -> float:
    return float(max(CLOSE, onnx_inputs.TOLERANCES.get(op, 0)))


def code_of(op: str, fields: Any, specs: Any, opset: int = 17, target: Any = None) -> str:
    catalog = onnx_inputs.CATALOG
    standard = standard_rendering(catalog, op)
    assert standard is not None
    names = tuple(f"input{i}" for i in range(len(specs)))
    with pytest.raises(SurgeonError) as caught:
        standard(
            PluginNode(
                catalog[op],
                catalog[op].complete(fields),
                names,
                tuple(specs),
                Emitter("node", opset),
                catalog,
                target,
            )
        )
    return caught.value.diagnostics[0].code


@pytest.mark.parametrize(
    ("op", "changed"), [(op, changed) for op, each in CHANGED.items() for changed in each], ids=str
)
def test_every_field_counts(op: str, changed: dict[str, Any]) -> None:
    sample = first_sample(op)
    fields = {**sample.fields, **changed}
    found = computed(op, fields, sample.inputs)
    assert (
        onnx_inputs.differences(found, onnx_inputs.expected(op, fields, sample.inputs), close(op), close(op))
        == []
    )
    assert onnx_inputs.differences(
        found, onnx_inputs.expected(op, sample.fields, sample.inputs), close(op), close(op)
    )


@pytest.mark.parametrize("op", [*SUPPRESSING, *POOLING])
def test_every_input_and_every_picture_count(op: str) -> None:
    sample = sample_of(op, "many") if op == "MultilevelProposeROI_TRT" else first_sample(op)
    wanted = onnx_inputs.expected(op, sample.fields, sample.inputs)
    rendering = rendered(op, sample.fields, sample.inputs)
    assert onnx_inputs.differences(rendering.run(sample.inputs), wanted, close(op), close(op)) == []
    for index, array in enumerate(sample.inputs):
        turned = [each[::-1].copy() if place == index else each for place, each in enumerate(sample.inputs)]
        assert onnx_inputs.differences(rendering.run(turned), wanted, close(op), close(op)), (
            index,
            array.shape,
        )


@pytest.mark.parametrize("op", [*SUPPRESSING, *POOLING])
def test_one_file_serves_batches_of_any_size(op: str) -> None:
    sample = first_sample(op)
    if op == "ROIAlign_TRT":
        pytest.skip("its regions are of all pictures; the batch is an input")
    rendering = onnx_inputs.render(op, sample.fields, onnx_inputs.specs_of(sample.inputs, open_batch=True))
    for pictures in (1, 2, 5):
        inputs = [array[np.arange(pictures) % 2] for array in sample.inputs]
        wanted = onnx_inputs.expected(op, sample.fields, inputs)
        assert onnx_inputs.differences(rendering.run(inputs), wanted, close(op), close(op)) == []


@pytest.mark.parametrize("op", [*SUPPRESSING, *POOLING])
def test_only_what_is_selected_has_a_shape_of_the_data(op: str) -> None:
    for sample in onnx_inputs.GENERATORS[op](np.random.default_rng(9)):
        rendering = rendered(op, sample.fields, sample.inputs)
        model = onnx.shape_inference.infer_shapes(rendering.model, strict_mode=True, data_prop=True)
        producers = {name: node.op_type for node in model.graph.node for name in node.output}
        open_ones = {
            producers[value.name]
            for value in model.graph.value_info
            if not all(dim.HasField("dim_value") for dim in value.type.tensor_type.shape.dim)
        }
        assert open_ones == ({"GatherND", "NonMaxSuppression"} if op in SUPPRESSING else set()), sample.name


@pytest.mark.parametrize("opset", [14, 15, 16])
@pytest.mark.parametrize("op", list(CHANGED))
def test_every_opset_holds(op: str, opset: int) -> None:
    sample = first_sample(op)
    rendering = rendered(op, sample.fields, sample.inputs, opset=opset)
    rendering.check()
    wanted = onnx_inputs.expected(op, sample.fields, sample.inputs)
    assert onnx_inputs.differences(rendering.run(sample.inputs), wanted, close(op), close(op)) == []


@pytest.mark.parametrize(
    "op", ["ProposalLayer_TRT", "MultilevelProposeROI_TRT", "DetectionLayer_TRT", "GenerateDetection_TRT"]
)
def test_equal_scores_come_in_the_order_of_the_plugins_threads(
    op: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    sample = sample_of(op, "equal-scores")
    wanted = onnx_inputs.expected(op, sample.fields, sample.inputs)
    assert (
        onnx_inputs.differences(computed(op, sample.fields, sample.inputs), wanted, close(op), close(op))
        == []
    )
    monkeypatch.setattr(
        mask_rcnn, "_last_sort", lambda emit, scores, count, threads: (scores, np.arange(count))
    )
    assert onnx_inputs.differences(computed(op, sample.fields, sample.inputs), wanted, close(op), close(op))


@pytest.mark.parametrize(("less", "first"), [(1e-6, 0.0), (1e-3, 0.1)])
def test_scores_that_are_rounded_to_one_keep_their_order(less: float, first: float) -> None:
    # Class 1 of 81 adds 79 x 2.5 to its scores, which leaves steps of 0.000015.
    fields = {"num_classes": 81, "keep_topk": 2, "score_threshold": 0.1, "iou_threshold": 0.5}
    scores = np.zeros((1, 2, 81, 1, 1), np.float32)
    scores[0, :, 1, 0, 0] = 0.75 - less, 0.75
    rois = np.array([[[0, 0, 0.5, 0.5], [0.1, 0, 0.5, 0.5]]], np.float32)
    inputs = (np.zeros((1, 2, 324, 1, 1), np.float32), scores, rois)
    found = only(computed("DetectionLayer_TRT", fields, inputs))
    np.testing.assert_allclose(found[0, 0], [first, 0, 0.5, 0.5, 1, 0.75], atol=1e-5)
    np.testing.assert_allclose(found[0, 1], [0, 0, 0, 0, -1, 0])
    np.testing.assert_allclose(
        found, only(onnx_inputs.expected("DetectionLayer_TRT", fields, inputs)), atol=1e-6
    )


def test_a_score_as_high_as_the_threshold_counts() -> None:
    sample = first_sample("MultilevelProposeROI_TRT")
    inputs = [array if index % 2 == 0 else np.zeros_like(array) for index, array in enumerate(sample.inputs)]
    inputs[1][:, 0] = 0.5
    for threshold, counts in ((0.5, True), (0.5000001, False)):
        fields = {**sample.fields, "fg_threshold": threshold}
        found = computed("MultilevelProposeROI_TRT", fields, inputs)
        op = "MultilevelProposeROI_TRT"
        assert (
            onnx_inputs.differences(found, onnx_inputs.expected(op, fields, inputs), close(op), close(op))
            == []
        )
        assert bool(only(found).any()) == counts


def test_a_score_above_1_is_1() -> None:
    fields = {"num_classes": 3, "keep_topk": 1, "score_threshold": 0.1, "iou_threshold": 0.5}
    for score, wanted in ((1.25, 1), (0.75, 0.75)):
        scores = np.array([0, score, 0], np.float32).reshape(1, 1, 3, 1, 1)
        inputs = (np.zeros((1, 1, 12, 1, 1), np.float32), scores, np.array([[[0, 0, 0.5, 0.5]]], np.float32))
        found = only(computed("DetectionLayer_TRT", fields, inputs))
        np.testing.assert_allclose(found, [[[0, 0, 0.5, 0.5, 1, wanted]]])
        np.testing.assert_allclose(found, only(onnx_inputs.expected("DetectionLayer_TRT", fields, inputs)))


@pytest.mark.parametrize(
    ("op", "equal", "label"),
    [
        ("DetectionLayer_TRT", (1, 2), 2),
        ("DetectionLayer_TRT", (31, 32), 31),
        ("DetectionLayer_TRT", (5, 7, 40), 7),
        ("GenerateDetection_TRT", (31, 32), 32),
        ("GenerateDetection_TRT", (32, 33), 32),
    ],
)
def test_of_classes_with_equal_scores_the_highest_of_a_block_counts(
    op: str, equal: tuple[int, ...], label: int
) -> None:
    fields: dict[str, Any] = {"num_classes": 45, "keep_topk": 1, "score_threshold": 0.1, "iou_threshold": 0.5}
    fields |= {"image_size": [3, 50, 50]} if op == "GenerateDetection_TRT" else {}
    scores = np.zeros((1, 1, 45, 1, 1), np.float32)
    scores[0, 0, list(equal)] = 0.25
    inputs = (np.zeros((1, 1, 180, 1, 1), np.float32), scores, np.array([[[0, 0, 1, 1]]], np.float32))
    found = only(computed(op, fields, inputs))
    assert found[0, 0, 4] == label
    np.testing.assert_allclose(found, only(onnx_inputs.expected(op, fields, inputs)), atol=1e-5)
    # Without the equal one the lowest counts.
    scores[0, 0, list(equal[1:])] = 0.125
    assert only(computed(op, fields, inputs))[0, 0, 4] == equal[0]


def test_boxes_too_small_come_last() -> None:
    sample = sample_of("Proposal", "small-ones-last")
    few, none = ({**sample.fields, "roi_min_size": size, "post_nms_top_n": 60} for size in (70.0, 0.0))
    found = only(computed("Proposal", few, sample.inputs))[..., 0]
    last = np.array([119, 199], np.float32)
    side = ((found[..., 2:] - found[..., :2]) * last).min(axis=-1)
    small = side <= 70
    assert small.any() and not small.all()
    assert (np.diff(small.astype(int), axis=1) >= 0).all()
    unsorted = only(computed("Proposal", none, sample.inputs))[..., 0]
    assert (
        np.diff((((unsorted[..., 2:] - unsorted[..., :2]) * last).min(axis=-1) <= 70).astype(int), axis=1) < 0
    ).any()


def test_a_region_that_is_no_number_is_outside() -> None:
    maps = onnx_inputs.normal(np.random.default_rng(3), 1, 2, 5, 6)
    rois = np.array(
        [[0, 0, 1, 1], [np.nan, 0, 1, 1], [0, 0, np.inf, 1], [-np.inf, 0, 1, 1]], np.float32
    ).reshape(1, 4, 4, 1)
    fields = {"crop_height": 2, "crop_width": 3}
    found = only(computed("CropAndResize_TRT", fields, (maps, rois)))
    np.testing.assert_allclose(
        found, only(onnx_inputs.expected("CropAndResize_TRT", fields, (maps, rois))), atol=1e-6
    )
    assert found[0, 0].any() and not found[0, 1].any()


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("op", ["CropAndResize_TRT", "CropAndResizeDynamic"])
def test_a_region_that_ends_with_the_map_has_its_last_row_whatever_the_rounding(op: str, axis: int) -> None:
    rois = np.tile(np.array([0.1, 0.1, 0.5, 0.5], np.float32), (1, 300, 1))
    rois[0, :, axis] = np.random.default_rng(0).uniform(0, 0.9, 300)
    rois[0, :, 2 + axis] = 1
    fields, inputs = (
        {"crop_height": 14, "crop_width": 14},
        (np.ones((1, 1, 64, 64), np.float32), rois[..., None]),
    )
    found = only(computed(op, fields, inputs))
    np.testing.assert_allclose(found, 1, rtol=1e-6)
    # The plugin, as TensorFlow, leaves the last row of some regions out, and nothing else. X172 says so.
    plugin = np.moveaxis(only(onnx_inputs.expected(op, fields, inputs))[0, :, 0], 1 + axis, 1)
    outside = (plugin[:, -1] == 0).all(axis=1)
    assert 3 <= outside.sum() <= 60 and not (plugin[:, :-1] == 0).any() and not (plugin[~outside] == 0).any()
    # What lies further outside is 0 in both.
    rois[0, :, 2 + axis] = 1 + 1e-5
    beyond = np.moveaxis(only(computed(op, fields, inputs))[0, :, 0], 1 + axis, 1)
    assert not beyond[:, -1].any() and beyond[:, :-1].all()


@pytest.mark.parametrize(
    ("box", "wanted"),
    [((0.5, 0.5, 0.5, 0.5), [7.5, 7.5, 7.5, 7.5]), ((0.25, 0.5, 0.75, 0.5), [5.5, 5.5, 9.5, 9.5])],
)
def test_a_region_without_width_is_sampled(box: tuple[float, ...], wanted: list[float]) -> None:
    # The map is 4 y + x; the middle of the picture is 2, less a half 1.5. y 0.25 to 0.75 is 0.5 to 2.5, sampled at 1 and 2.
    maps = [np.arange(16, dtype=np.float32).reshape(1, 1, 4, 4), *[np.zeros((1, 1, 1, 1), np.float32)] * 3]
    rois = np.array([[box]], np.float32)
    fields = {
        "pooled_size": 2,
        "image_size": [16, 16],
        "roi_coords_absolute": 0,
        "roi_coords_swap": 1,
        "sampling_ratio": 0,
    }
    found = only(computed("PyramidROIAlign_TRT", fields, (rois, *maps)))
    np.testing.assert_allclose(found.ravel(), wanted, atol=1e-5)
    assert not np.allclose(
        only(computed("PyramidROIAlign_TRT", fields, (rois + np.float32(0.01), *maps))).ravel(),
        wanted,
        atol=1e-2,
    )


@pytest.mark.parametrize("transform", [1, 2])
def test_a_region_that_is_cut_to_a_border_is_sampled(transform: int) -> None:
    # Regions beside the picture are cut to lines and points at its borders, where the plugin samples the last row and column.
    maps = [np.arange(1, 17, dtype=np.float32).reshape(1, 1, 4, 4), *[np.zeros((1, 1, 1, 1), np.float32)] * 3]
    rois = np.array(
        [[[1.1, 1.1, 1.2, 1.2], [0, 1.1, 0.5, 1.2], [1.1, 0, 1.2, 0.5], [-0.2, -0.2, -0.1, -0.1]]], np.float32
    )
    fields = {
        "pooled_size": 7,
        "image_size": [16, 16],
        "roi_coords_absolute": 0,
        "roi_coords_swap": 1,
        "sampling_ratio": 0,
        "roi_coords_transform": transform,
    }
    found = only(computed("PyramidROIAlign_TRT", fields, (rois, *maps)))
    np.testing.assert_allclose(
        found, only(onnx_inputs.expected("PyramidROIAlign_TRT", fields, (rois, *maps))), atol=1e-5
    )
    np.testing.assert_allclose(
        found[0, [0, 3]], np.repeat(np.float32([16, 1]), 49).reshape(2, 1, 7, 7), atol=1e-5
    )
    inwards = only(computed("PyramidROIAlign_TRT", fields, (rois - np.float32(0.4), *maps)))
    assert not np.allclose(found, inwards, atol=1e-2)


@pytest.mark.parametrize("mode", [0, 1])
def test_a_region_whose_corners_are_in_the_wrong_order_is_0(mode: int) -> None:
    maps = np.ones((1, 1, 6, 6), np.float32)
    rois = np.array([[5, 5, 1, 1], [5, 1, 1, 5], [1, 1, 5, 5]], np.float32)
    inputs, fields = (maps, rois, np.zeros(3, np.int32)), {"mode": mode, "coordinate_transformation_mode": 1}
    found = only(computed("ROIAlign_TRT", fields, inputs))
    np.testing.assert_allclose(found, only(onnx_inputs.expected("ROIAlign_TRT", fields, inputs)), atol=1e-6)
    assert (found.ravel() != 0).tolist() == [False, False, True]


def test_no_sample_has_the_mean_0() -> None:
    maps, rois = np.ones((1, 1, 4, 4), np.float32), np.array([[2, 2, 2, 2], [1, 1, 3, 3]], np.float32)
    inputs = (maps, rois, np.zeros(2, np.int32))
    found = only(computed("ROIAlign_TRT", {}, inputs)).ravel()
    np.testing.assert_allclose(found, [0, 1])
    assert np.isnan(only(onnx_inputs.expected("ROIAlign_TRT", {}, inputs)).ravel()[0])


@pytest.mark.parametrize("transform", [-1, 0])
def test_samples_that_roialign_does_not_take_are_refused(transform: int) -> None:
    sample = first_sample("PyramidROIAlign_TRT")
    specs = onnx_inputs.specs_of(sample.inputs)
    fields = {**sample.fields, "roi_coords_transform": transform}
    assert code_of("PyramidROIAlign_TRT", {**fields, "sampling_ratio": 0}, specs) == "X170"
    onnx_inputs.render("PyramidROIAlign_TRT", {**fields, "sampling_ratio": 1}, specs)
    # What legacy 1 means has one sample.
    onnx_inputs.render("PyramidROIAlign_TRT", {**fields, "sampling_ratio": 0, "legacy": 1}, specs)


@pytest.mark.parametrize(
    ("op", "changed", "instead"),
    [
        ("ROIAlign_TRT", {"coordinate_transformation_mode": 1}, {"coordinate_transformation_mode": 0}),
        (
            "PyramidROIAlign_TRT",
            {"roi_coords_transform": 2, "sampling_ratio": 0},
            {"roi_coords_transform": 2, "sampling_ratio": 2},
        ),
        (
            "PyramidROIAlign_TRT",
            {"roi_coords_transform": 1, "sampling_ratio": 0},
            {"roi_coords_transform": 1, "sampling_ratio": 2},
        ),
    ],
)
def test_half_a_pixel_needs_an_opset(op: str, changed: dict[str, int], instead: dict[str, int]) -> None:
    sample = first_sample(op)
    specs = onnx_inputs.specs_of(sample.inputs)
    assert code_of(op, {**sample.fields, **changed}, specs, HALF_PIXEL_OPSET - 1) == "X171"
    onnx_inputs.render(op, {**sample.fields, **changed}, specs, HALF_PIXEL_OPSET).check()
    onnx_inputs.render(op, {**sample.fields, **instead}, specs, HALF_PIXEL_OPSET - 1).check()


@pytest.mark.parametrize(
    ("op", "port"),
    [
        ("CoordConvAC", 0),
        ("CropAndResize_TRT", 0),
        ("CropAndResizeDynamic", 1),
        ("PyramidROIAlign_TRT", 0),
        ("PyramidROIAlign_TRT", 1),
        ("MultilevelCropAndResize_TRT", 0),
        ("MultilevelCropAndResize_TRT", 5),
        ("Proposal", 0),
        ("ProposalDynamic", 1),
        ("DetectionLayer_TRT", 2),
        ("GenerateDetection_TRT", 2),
    ],
)
def test_an_unknown_size_is_refused(op: str, port: int) -> None:
    sample = first_sample(op)
    specs = onnx_inputs.specs_of(sample.inputs)
    for shape in (Shape((specs[port].shape.dims[0], *[None] * (specs[port].shape.rank - 1))), Shape()):
        unknown = [
            TensorSpec(spec.dtype, shape) if index == port else spec for index, spec in enumerate(specs)
        ]
        assert code_of(op, sample.fields, unknown) == "X160"


def test_a_map_of_unknown_size_is_resized_where_the_places_do_not_depend_on_it() -> None:
    x = onnx_inputs.normal(np.random.default_rng(4), 2, 3, 5, 7)
    specs = [TensorSpec.of("float32", None, 3, None, None)]
    found = onnx_inputs.render("ResizeNearest_TRT", {"scale": 2.0}, specs).run([x])
    assert (
        onnx_inputs.differences(found, onnx_inputs.expected("ResizeNearest_TRT", {"scale": 2.0}, [x]), 0, 0)
        == []
    )
    assert onnx_inputs.differences(
        found, onnx_inputs.expected("ResizeNearest_TRT", {"scale": 2.0}, [x[..., ::-1]]), 0, 0
    )
    assert code_of("ResizeNearest_TRT", {"scale": 1.5}, specs) == "X160"


@pytest.mark.parametrize(
    ("op", "changed"),
    [
        ("Proposal", {"post_nms_top_n": TENSORRT_ROWS + 1}),
        ("ProposalLayer_TRT", {"keep_topk": TENSORRT_ROWS + 1}),
        ("MultilevelProposeROI_TRT", {"keep_topk": TENSORRT_ROWS + 1}),
        ("MultilevelProposeROI_TRT", {"prenms_topk": TENSORRT_ROWS + 1, "image_size": [3, 256, 256]}),
        ("DetectionLayer_TRT", {"keep_topk": TENSORRT_ROWS + 1}),
        ("GenerateDetection_TRT", {"keep_topk": TENSORRT_ROWS + 1}),
    ],
)
def test_more_rows_than_tensorrt_takes_are_refused(op: str, changed: dict[str, Any]) -> None:
    sample = first_sample(op)
    specs = onnx_inputs.specs_of(sample.inputs)
    if "image_size" in changed:
        counts = [3 * (256 // 2**level) ** 2 for level in (2, 3, 4, 5, 6)]
        specs = tuple(TensorSpec.of("float32", 1, count, last, 1) for count in counts for last in (4, 1))
    fields = {**sample.fields, **changed}
    assert code_of(op, fields, specs, target=TENSORRT) == "X162"
    onnx_inputs.render(op, fields, specs)
    fewer = {name: TENSORRT_ROWS if value == TENSORRT_ROWS + 1 else value for name, value in fields.items()}
    onnx_inputs.render(op, fewer, specs, target=TENSORRT)


def test_more_candidates_than_tensorrt_takes_are_refused_where_there_are_as_many() -> None:
    sample = first_sample("Proposal")
    fields = {**sample.fields, "pre_nms_top_n": TENSORRT_ROWS + 1}
    few, many = (
        [TensorSpec.of("float32", 1, channels, 1, columns) for channels in (6, 24)] for columns in (640, 641)
    )
    onnx_inputs.render("Proposal", fields, few, target=TENSORRT).check()
    assert code_of("Proposal", fields, many, target=TENSORRT) == "X162"
