"""Shapes and rules of the plugins of regions of interest, by numbers computed by hand."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest

from surgeon.catalog import Catalog, load_catalog
from surgeon.diagnostics import Diagnostic, SurgeonError
from surgeon.graph import DType, TensorSpec

f32 = lambda *dims: TensorSpec.of("float32", *dims)  # noqa: E731
i32 = lambda *dims: TensorSpec.of("int32", *dims)  # noqa: E731
ANY = TensorSpec()

CROP = {"crop_width": 9, "crop_height": 7}
PROPOSAL: Mapping[str, Any] = {
    "input_height": 272,
    "input_width": 480,
    "rpn_stride": 16,
    "roi_min_size": 1.0,
    "nms_iou_threshold": 0.7,
    "pre_nms_top_n": 6000,
    "post_nms_top_n": 300,
    "anchor_sizes": [32.0, 64.0, 128.0],
    "anchor_ratios": [1.0, 0.5, 2.0],
}
LAYER: Mapping[str, Any] = {"prenms_topk": 1024, "keep_topk": 1000, "iou_threshold": 0.7}
DETECTION = {"num_classes": 81, "keep_topk": 100, "score_threshold": 0.7, "iou_threshold": 0.3}
LEVELS = {"prenms_topk": 4096, "keep_topk": 1000, "fg_threshold": 0.0, "iou_threshold": 0.7}
RPROI: Mapping[str, Any] = {
    "poolingH": 7,
    "poolingW": 5,
    "featureStride": 16,
    "preNmsTop": 6000,
    "nmsMaxOut": 300,
    "anchorsRatioCount": 3,
    "anchorsScaleCount": 2,
    "iouThreshold": 0.7,
    "minBoxSize": 16.0,
    "spatialScale": 0.0625,
    "anchorsRatios": [0.5, 1.0, 2.0],
    "anchorsScales": [8.0, 16.0],
}

FIELDS: Mapping[str, Mapping[str, Any]] = {
    "CropAndResize_TRT": CROP,
    "CropAndResizeDynamic": CROP,
    "Proposal": PROPOSAL,
    "ProposalDynamic": PROPOSAL,
    "ProposalLayer_TRT": LAYER,
    "DetectionLayer_TRT": DETECTION,
    "GenerateDetection_TRT": DETECTION,
    "MultilevelProposeROI_TRT": LEVELS,
    "MultilevelCropAndResize_TRT": {"pooled_size": 7},
    "PyramidROIAlign_TRT": {},
    "ROIAlign_TRT": {},
    "RPROI_TRT": RPROI,
    "ScatterND": {},
}

MAPS = [f32(2, 256, side, side) for side in (256, 128, 64, 32, 16)]
# (256^2 + 128^2 + 64^2 + 32^2 + 16^2) x 3
ANCHORS = 261888
# Middles of cells of 4, 8, 16, 32 and 64 pixels in 832 x 1344, x 3.
LEVEL_ANCHORS = [208 * 336 * 3, 104 * 168 * 3, 52 * 84 * 3, 26 * 42 * 3, 13 * 21 * 3]


def levels(counts: Sequence[int | None], pictures: int | None = 2) -> list[TensorSpec]:
    return [f32(pictures, count, numbers, 1) for count in counts for numbers in (4, 1)]


SHAPES: Sequence[tuple[str, Mapping[str, Any], Sequence[TensorSpec], Sequence[TensorSpec]]] = [
    ("CropAndResize_TRT", {}, [f32(2, 512, 17, 30), f32(2, 300, 4, 1)], [f32(2, 300, 512, 7, 9)]),
    (
        "CropAndResize_TRT",
        {},
        [f32(None, None, 17, 30), f32(None, None, 4, 1)],
        [f32(None, None, None, 7, 9)],
    ),
    (
        "CropAndResizeDynamic",
        {"crop_width": 1},
        [f32(2, 512, None, 30), f32(None, 300, 4, 1)],
        [f32(2, 300, 512, 7, 1)],
    ),
    ("CropAndResizeDynamic", {}, [ANY, f32(3, 300, None, None)], [f32(3, 300, None, 7, 9)]),
    ("Proposal", {}, [f32(2, 9, 17, 30), f32(2, 36, 17, 30)], [f32(2, 300, 4, 1)]),
    (
        "Proposal",
        {"anchor_sizes": [8.0], "post_nms_top_n": 5},
        [f32(1, 3, 17, 30), f32(1, 12, 17, 30)],
        [f32(1, 5, 4, 1)],
    ),
    ("ProposalDynamic", {}, [ANY, f32(4, 36, None, 30)], [f32(4, 300, 4, 1)]),
    ("ProposalDynamic", {}, [ANY, ANY], [f32(None, 300, 4, 1)]),
    ("ProposalLayer_TRT", {}, [f32(2, ANCHORS, 2, 1), f32(2, ANCHORS, 4, 1)], [f32(2, 1000, 4)]),
    # 16 x 32, 8 x 16, 4 x 8, 2 x 4 and 1 x 2 cells, each with three.
    (
        "ProposalLayer_TRT",
        {"image_size": [3, 64, 128]},
        [f32(1, 2046, 2, 1), f32(1, 2046, 4, 1)],
        [f32(1, 1000, 4)],
    ),
    # 17 x 17, 9 x 9, 5 x 5, 3 x 3 and 2 x 2: cells that begin in the picture count.
    ("ProposalLayer_TRT", {"image_size": [3, 65, 65]}, [f32(1, 1224, 2, 1), ANY], [f32(1, 1000, 4)]),
    ("ProposalLayer_TRT", {}, [f32(None, None, 2, 1), ANY], [f32(None, 1000, 4)]),
    (
        "DetectionLayer_TRT",
        {},
        [f32(2, 1000, 324, 1, 1), f32(2, 1000, 81, 1, 1), f32(2, 1000, 4)],
        [f32(2, 100, 6)],
    ),
    ("DetectionLayer_TRT", {}, [ANY, ANY, f32(2, 1024, 4)], [f32(2, 100, 6)]),
    ("DetectionLayer_TRT", {}, [ANY, ANY, ANY], [f32(None, 100, 6)]),
    (
        "GenerateDetection_TRT",
        {},
        [f32(None, 9, 324, 1, 1), f32(3, None, 81, 1, 1), f32(3, 9, 4)],
        [f32(3, 100, 6)],
    ),
    (
        "GenerateDetection_TRT",
        {"num_classes": 2},
        [f32(1, 9, 8, 1, 1), f32(1, 9, 2, 1, 1), f32(1, 9, 4)],
        [f32(1, 100, 6)],
    ),
    ("MultilevelProposeROI_TRT", {}, levels(LEVEL_ANCHORS), [f32(2, 1000, 4)]),
    # Middles from 2, 4, 8, 16 and 32 pixels on: 8 x 16, 4 x 8, 2 x 4, 1 x 2 and 1 x 1 of 33 x 64.
    ("MultilevelProposeROI_TRT", {"image_size": [3, 33, 64]}, levels([384, 96, 24, 6, 3]), [f32(2, 1000, 4)]),
    ("MultilevelProposeROI_TRT", {}, levels([None] * 5, None), [f32(None, 1000, 4)]),
    ("MultilevelCropAndResize_TRT", {}, [f32(2, 1000, 4), *MAPS], [f32(2, 1000, 256, 7, 7)]),
    ("MultilevelCropAndResize_TRT", {}, [ANY] * 6, [f32(None, None, None, 7, 7)]),
    (
        "MultilevelCropAndResize_TRT",
        {"pooled_size": 1},
        [f32(None, 9, 4), ANY, ANY, ANY, ANY, MAPS[4]],
        [f32(2, 9, 256, 1, 1)],
    ),
    ("PyramidROIAlign_TRT", {}, [f32(2, 1000, 4), *MAPS[:4]], [f32(2, 1000, 256, 7, 7)]),
    (
        "PyramidROIAlign_TRT",
        {"pooled_size": 14, "legacy": 1},
        [f32(None, 9, 4), *MAPS[:4]],
        [f32(2, 9, 256, 14, 14)],
    ),
    ("PyramidROIAlign_TRT", {"pooled_size": 1}, [ANY] * 5, [f32(None, None, None, 1, 1)]),
    ("ROIAlign_TRT", {}, [f32(2, 256, 50, 50), f32(9, 4), i32(9)], [f32(9, 256, 1, 1)]),
    (
        "ROIAlign_TRT",
        {"output_height": 7, "output_width": 5},
        [f32(2, None, 50, 50), f32(None, 4), i32(9)],
        [f32(9, None, 7, 5)],
    ),
    ("ROIAlign_TRT", {}, [ANY, ANY, ANY], [f32(None, None, 1, 1)]),
    (
        "RPROI_TRT",
        {},
        [f32(2, 12, 17, 30), f32(2, 24, 17, 30), f32(2, 512, 17, 30), f32(2, 1, 1, 3)],
        [f32(2, 1, 300, 4), f32(2, 300, 512, 7, 5)],
    ),
    ("RPROI_TRT", {}, [ANY] * 4, [f32(None, 1, 300, 4), f32(None, 300, None, 7, 5)]),
    ("ScatterND", {}, [f32(8, 4, 3), i32(5, 2), f32(5, 3)], [f32(8, 4, 3)]),
    ("ScatterND", {}, [i32(8, None, 3), i32(2, 6, 1), i32(2, 6, 4, 3)], [i32(8, None, 3)]),
    ("ScatterND", {}, [f32(8), i32(1), f32()], [f32(8)]),
    ("ScatterND", {}, [f32(8, 4), ANY, f32(5, 3, 1)], [f32(8, 4)]),
    ("ScatterND", {}, [TensorSpec(DType.FLOAT32), i32(5, 2), ANY], [TensorSpec(DType.FLOAT32)]),
]

REFUSED: Sequence[tuple[str, Mapping[str, Any], Sequence[TensorSpec], str]] = [
    ("CropAndResize_TRT", {}, [f32(2, 512, 17, 30), f32(2, 300, 5, 1)], "expected 4 at axis 2"),
    ("CropAndResize_TRT", {}, [f32(2, 512, 17, 30), f32(2, 300, 4)], "expected 4 axes"),
    ("CropAndResize_TRT", {}, [f32(512, 17, 30), f32(2, 300, 4, 1)], "expected 4 axes"),
    (
        "CropAndResizeDynamic",
        {},
        [f32(2, 512, 17, 30), f32(1, 300, 4, 1)],
        "expected 2 pictures at axis 0, as in input 0",
    ),
    ("CropAndResizeDynamic", {}, [f32(2, 512, 17, 30), f32(2, 300, 4, 2)], "expected 1 at axis 3"),
    ("CropAndResizeDynamic", {}, [f32(2, 512, 17, 30)], "has 1 input; expected 2"),
    ("Proposal", {}, [f32(2, 18, 17, 30), f32(2, 36, 17, 30)], "expected 9 at axis 1"),
    ("Proposal", {}, [f32(2, 9, 17, 30), f32(2, 9, 17, 30)], "expected 36 at axis 1"),
    ("Proposal", {}, [f32(2, 9, 17, 30), f32(2, 36, 30, 17)], "expected 17 rows"),
    ("ProposalDynamic", {}, [f32(2, 9, 17, 30), f32(2, 36, 17, 31)], "expected 30 columns"),
    ("ProposalDynamic", {}, [f32(2, 9, 17, 30), f32(3, 36, 17, 30)], "expected 2 pictures"),
    ("ProposalDynamic", {}, [f32(2, 9, 510), f32(2, 36, 17, 30)], "expected 4 axes"),
    ("ProposalLayer_TRT", {}, [f32(2, ANCHORS - 1, 2, 1), ANY], "expected 261888 at axis 1"),
    (
        "ProposalLayer_TRT",
        {"image_size": [3, 512, 512]},
        [ANY, f32(2, ANCHORS, 4, 1)],
        "expected 65472 at axis 1",
    ),
    ("ProposalLayer_TRT", {}, [f32(2, ANCHORS, 4, 1), f32(2, ANCHORS, 2, 1)], "expected 2 at axis 2"),
    ("ProposalLayer_TRT", {}, [f32(2, ANCHORS, 2), ANY], "expected 4 axes"),
    ("ProposalLayer_TRT", {}, [f32(1, ANCHORS, 2, 1), f32(2, ANCHORS, 4, 1)], "expected 1 pictures"),
    ("DetectionLayer_TRT", {}, [f32(2, 9, 320, 1, 1), ANY, ANY], "expected 324 at axis 2"),
    ("DetectionLayer_TRT", {}, [ANY, f32(2, 9, 80, 1, 1), ANY], "expected 81 at axis 2"),
    ("DetectionLayer_TRT", {}, [f32(2, 9, 324, 1, 1), f32(2, 8, 81, 1, 1), ANY], "expected 9 regions"),
    ("DetectionLayer_TRT", {}, [ANY, f32(2, 1025, 81, 1, 1), ANY], "input 1 of DetectionLayer_TRT"),
    ("DetectionLayer_TRT", {}, [ANY, ANY, f32(2, 9, 6)], "expected 4 at axis 2"),
    ("DetectionLayer_TRT", {}, [ANY, ANY, f32(2, 9, 4, 1)], "expected 3 axes"),
    ("GenerateDetection_TRT", {}, [f32(2, 9, 324), ANY, ANY], "expected 5 axes"),
    ("GenerateDetection_TRT", {}, [f32(2, 9, 324, 1, 2), ANY, ANY], "expected 1 at axis 4"),
    ("GenerateDetection_TRT", {}, [ANY, ANY, f32(2, 1025, 4)], "expected 1024 at axis 1"),
    ("GenerateDetection_TRT", {}, [f32(2, 9, 324, 1, 1), ANY, f32(1, 9, 4)], "expected 2 pictures"),
    (
        "MultilevelProposeROI_TRT",
        {},
        levels([*LEVEL_ANCHORS[:4], 820]),
        "input 8 of MultilevelProposeROI_TRT",
    ),
    ("MultilevelProposeROI_TRT", {}, levels(LEVEL_ANCHORS)[::-1], "expected 209664 at axis 1"),
    ("MultilevelProposeROI_TRT", {}, levels([None] * 4), "has 8 inputs; expected 10"),
    (
        "MultilevelProposeROI_TRT",
        {},
        [*levels([None] * 4), f32(2, None, 1, 1), f32(2, None, 4, 1)],
        "expected 4 at axis 2",
    ),
    ("MultilevelProposeROI_TRT", {}, [*levels([None] * 4), *levels([None], 3)], "expected 2 pictures"),
    ("MultilevelCropAndResize_TRT", {}, [f32(2, 1000, 5), *MAPS], "expected 4 at axis 2"),
    ("MultilevelCropAndResize_TRT", {}, [f32(2, 1000, 4), *MAPS[:4]], "has 5 inputs; expected 6"),
    (
        "MultilevelCropAndResize_TRT",
        {},
        [f32(2, 1000, 4), *MAPS[:4], f32(2, 255, 16, 16)],
        "expected 256 channels at axis 1, as in input 1",
    ),
    ("PyramidROIAlign_TRT", {}, [f32(2, 1000, 4), *MAPS], "has 6 inputs; expected 5"),
    ("PyramidROIAlign_TRT", {}, [f32(1, 1000, 4), *MAPS[:4]], "expected 1 pictures"),
    ("PyramidROIAlign_TRT", {}, [f32(2, 1000, 4), *MAPS[:3], f32(256, 32, 32)], "expected 4 axes"),
    ("ROIAlign_TRT", {}, [f32(2, 256, 50, 50), f32(9, 5), i32(9)], "expected 4 at axis 1"),
    ("ROIAlign_TRT", {}, [f32(2, 256, 50, 50), f32(9, 4), i32(8)], "expected 9 regions"),
    ("ROIAlign_TRT", {}, [f32(2, 256, 50, 50), f32(9, 4), f32(9)], "expected int32"),
    ("ROIAlign_TRT", {}, [f32(2, 256, 50, 50), f32(2, 9, 4), i32(9)], "expected 2 axes"),
    ("RPROI_TRT", {}, [f32(2, 6, 17, 30), ANY, ANY, ANY], "expected 12 at axis 1"),
    ("RPROI_TRT", {}, [ANY, f32(2, 12, 17, 30), ANY, ANY], "expected 24 at axis 1"),
    ("RPROI_TRT", {}, [f32(2, 12, 17, 30), ANY, f32(2, 512, 17, 31), ANY], "expected 30 columns"),
    ("RPROI_TRT", {}, [ANY, ANY, ANY, f32(2, 3, 1, 1)], "expected 1 at axis 1"),
    ("ScatterND", {}, [f32(8, 4, 3), i32(5, 2), f32(5, 4)], "expected the shape [5, 3]"),
    ("ScatterND", {}, [f32(8, 4, 3), i32(5, 2), f32(5)], "expected the shape [5, 3]"),
    ("ScatterND", {}, [f32(8, 4, 3), i32(5, 4), ANY], "expected at most 3 coordinates"),
    ("ScatterND", {}, [f32(8), i32(), ANY], "expected at least one axis"),
    ("ScatterND", {}, [f32(8), i32(1, 1), i32(1)], "the element type of the data"),
    ("ScatterND", {}, [TensorSpec.of("uint8", 8), i32(1, 1), ANY], "expected float32 or int32"),
    ("ScatterND", {}, [f32(8), f32(1, 1), f32(1)], "expected int32"),
]

WRONG: Sequence[tuple[str, Mapping[str, Any], str, str]] = [
    ("CropAndResize_TRT", {"crop_width": 0}, "C105", "1 to 4096"),
    ("CropAndResizeDynamic", {"crop_height": 7.0}, "C104", "an int"),
    ("Proposal", {"input_height": 1}, "C105", "at least 2"),
    ("Proposal", {"nms_iou_threshold": 0.0}, "C105", "more than 0"),
    ("Proposal", {"pre_nms_top_n": 65536}, "C105", "1 to 65535"),
    ("ProposalDynamic", {"anchor_sizes": []}, "C106", "at least 1"),
    ("ProposalDynamic", {"anchor_ratios": [1.0, 0.0]}, "C105", "more than 0"),
    ("ProposalLayer_TRT", {"prenms_topk": 1025}, "C105", "1 to 1024"),
    ("ProposalLayer_TRT", {"image_size": [4, 512, 512]}, "C108", "'image_size' has 4 channels"),
    (
        "ProposalLayer_TRT",
        {"image_size": [3, 32, 32]},
        "C108",
        "'prenms_topk' is 1024 and 'image_size' makes 258 anchors",
    ),
    ("ProposalLayer_TRT", {"image_size": [512, 512]}, "C106", "expected 3"),
    ("DetectionLayer_TRT", {"num_classes": 1}, "C105", "2 to 253"),
    ("DetectionLayer_TRT", {"iou_threshold": 0.0}, "C105", "more than 0"),
    ("GenerateDetection_TRT", {"num_classes": 254}, "C105", "2 to 253"),
    ("GenerateDetection_TRT", {"score_threshold": -0.5}, "C105", "at least 0"),
    ("MultilevelProposeROI_TRT", {"prenms_topk": 4097}, "C105", "1 to 4096"),
    (
        "MultilevelProposeROI_TRT",
        {"image_size": [3, 32, 64]},
        "C108",
        "'image_size' is 32 x 64; expected more than 32",
    ),
    ("MultilevelCropAndResize_TRT", {"pooled_size": 0}, "C105", "1 to 4096"),
    ("PyramidROIAlign_TRT", {"pooled_size": 1, "legacy": 1}, "C108", "'pooled_size' is 1"),
    ("PyramidROIAlign_TRT", {"pooled_size": 1, "roi_coords_transform": -1}, "C108", "'pooled_size' is 1"),
    ("PyramidROIAlign_TRT", {"roi_coords_transform": 3}, "C105", "-1 or 0 or 1 or 2"),
    ("PyramidROIAlign_TRT", {"image_size": [3, 512, 512]}, "C106", "expected 2"),
    ("ROIAlign_TRT", {"mode": 2}, "C105", "0 or 1"),
    ("ROIAlign_TRT", {"spatial_scale": 0.0}, "C105", "more than 0"),
    ("RPROI_TRT", {"anchorsRatioCount": 2}, "C108", "'anchorsRatioCount' is 2 and 'anchorsRatios' has 3"),
    ("RPROI_TRT", {"anchorsScales": [8.0]}, "C108", "'anchorsScaleCount' is 2 and 'anchorsScales' has 1"),
    ("ScatterND", {"axis": 1}, "C102", "no field 'axis'"),
]


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    return load_catalog()


def refused(action: Callable[[], object]) -> Diagnostic:
    with pytest.raises(SurgeonError) as caught:
        action()
    (diagnostic,) = caught.value.diagnostics
    return diagnostic


@pytest.mark.parametrize(("op", "change", "inputs", "wanted"), SHAPES)
def test_shapes(
    catalog: Catalog,
    op: str,
    change: Mapping[str, Any],
    inputs: Sequence[TensorSpec],
    wanted: Sequence[TensorSpec],
) -> None:
    assert catalog[op].output_specs({**FIELDS[op], **change}, inputs) == tuple(wanted)


@pytest.mark.parametrize(("op", "change", "inputs", "text"), REFUSED)
def test_inputs_that_do_not_fit_are_c109(
    catalog: Catalog, op: str, change: Mapping[str, Any], inputs: Sequence[TensorSpec], text: str
) -> None:
    diagnostic = refused(lambda: catalog[op].output_specs({**FIELDS[op], **change}, inputs))
    assert diagnostic.code == "C109" and text in diagnostic.message and diagnostic.help


@pytest.mark.parametrize(("op", "change", "code", "text"), WRONG)
def test_fields_that_do_not_fit(
    catalog: Catalog, op: str, change: Mapping[str, Any], code: str, text: str
) -> None:
    diagnostic = refused(lambda: catalog[op].complete({**FIELDS[op], **change}))
    assert diagnostic.code == code and text in diagnostic.message


@pytest.mark.parametrize("op", FIELDS)
def test_every_plugin_is_tried_with_right_and_wrong_inputs(catalog: Catalog, op: str) -> None:
    assert set(FIELDS[op]) <= set(catalog[op].complete(FIELDS[op])) <= set(catalog[op].fields)
    for table in (SHAPES, REFUSED, WRONG):
        assert op in {row[0] for row in table}


@pytest.mark.parametrize("op", FIELDS)
def test_outputs_fit_the_ports(catalog: Catalog, op: str) -> None:
    for name, change, inputs, _ in SHAPES:
        if name == op:
            specs = catalog[op].output_specs({**FIELDS[op], **change}, inputs)
            for port, spec in zip(catalog[op].outputs, specs, strict=True):
                assert port.dtype in (None, spec.dtype) and port.rank in (None, spec.shape.rank)


@pytest.mark.parametrize("op", FIELDS)
def test_the_first_and_the_newest_version_take_the_fields(catalog: Catalog, op: str) -> None:
    """Rules between fields must do without those that a version does not have."""
    plugin = catalog[op]
    assert plugin.since is not None
    for version in (plugin.since, (8, 5, 3), (10, 16)):
        known = {field.name for field in plugin.fields_of(version)}
        assert (
            set(plugin.complete({k: v for k, v in FIELDS[op].items() if k in known}, version=version))
            == known
        )


# What differs between versions


def test_fields_and_versions_drift(catalog: Catalog) -> None:
    pyramid, layer = catalog["PyramidROIAlign_TRT"], catalog["ProposalLayer_TRT"]
    assert [field.name for field in pyramid.fields_of((8, 2, 1))] == ["pooled_size"] and len(
        pyramid.fields_of((8, 4, 1))
    ) == 9
    assert refused(lambda: pyramid.complete({"legacy": 1}, version=(8, 2, 1))).code == "C107"
    assert (
        refused(lambda: layer.complete({**LAYER, "image_size": [3, 512, 512]}, version=(7, 1, 3))).code
        == "C107"
    )
    assert layer.complete({**LAYER, "image_size": [3, 512, 512]}, version=(7, 2, 1))["image_size"] == (
        3,
        512,
        512,
    )
    assert any("legacy 1" in text for text in pyramid.remarks_for((8, 5, 3)))
    assert any("1024 x 1024" in text for text in layer.remarks_for((7, 1, 3))) and not any(
        "1024 x 1024" in text for text in layer.remarks_for((7, 2, 1))
    )
    for op in (
        "ProposalLayer_TRT",
        "DetectionLayer_TRT",
        "GenerateDetection_TRT",
        "MultilevelProposeROI_TRT",
    ):
        required = {field.name for field in catalog[op].fields.values() if field.required_since == (8, 5, 1)}
        assert required == set(catalog[op].fields) - {"image_size"}


def test_newer_plugin_versions(catalog: Catalog) -> None:
    found = {
        op: [r.plugin_version for r in catalog[op].registrations_in(v)]
        for op, v in (("CropAndResizeDynamic", (10, 16)), ("ROIAlign_TRT", (10, 16)))
    }
    assert found == {"CropAndResizeDynamic": ["1", "2"], "ROIAlign_TRT": ["1", "2"]}
    assert [r.plugin_version for r in catalog["CropAndResizeDynamic"].registrations_in((11, 1))] == ["2"]
    assert [r.plugin_version for r in catalog["ROIAlign_TRT"].registrations_in((8, 5, 3))] == ["1"]
    assert catalog["CropAndResize_TRT"].creator == "CropAndResize" and not catalog[
        "CropAndResize_TRT"
    ].exists_in((11, 0))
