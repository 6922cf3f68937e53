"""Suppression in standard operators: equal scores, changed fields, the bounds of TensorRT, refusals."""

from __future__ import annotations

import importlib
from collections import Counter
from typing import Any

import numpy as np
import pytest

from surgeon.diagnostics import SurgeonError
from surgeon.formats.onnx.emitter import Emitter
from surgeon.graph import Shape, TensorSpec
from surgeon.kernels.suppression.onnx import TENSORRT_CANDIDATES, TENSORRT_ROWS
from surgeon.targets import load_target

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
onnx_inputs = importlib.import_module("onnx_inputs")

CLOSE = 1e-6
TENSORRT = load_target("onnx@tensorrt-8.5")

NMS_OPS = (
    "NMS_TRT",
    "NMSDynamic_TRT",
    "BatchedNMS_TRT",
    "BatchedNMSDynamic_TRT",
    "EfficientNMS_TRT",
    "EfficientNMS_ONNX_TRT",
    "EfficientNMS_Explicit_TF_TRT",
    "EfficientNMS_Implicit_TF_TRT",
)

CHANGED: dict[str, list[dict[str, Any]]] = {
    "NMS_TRT": [
        {"varianceEncodedInTarget": 1, "codeType": 1},
        {"backgroundLabelId": 1},
        {"keepTopK": 29},
        {"nmsThreshold": 0.3},
        {"confSigmoid": 1},
        {"codeType": 0},
        {"codeType": 1},
        {"codeType": 2},
    ],
    "NMSDynamic_TRT": [{"nmsThreshold": 0.3}],
    "BatchedNMS_TRT": [
        {"backgroundLabelId": 0},
        {"keepTopK": 24},
        {"scoreThreshold": 0.9},
        {"iouThreshold": 0.2},
        {"clipBoxes": 0},
    ],
    "BatchedNMSDynamic_TRT": [{"backgroundLabelId": 0}, {"iouThreshold": 0.2}],
    "EfficientNMS_TRT": [
        {"score_threshold": 0.9},
        {"iou_threshold": 0.2},
        {"max_output_boxes": 29},
        {"background_class": 0},
        {"score_activation": 1},
        {"class_agnostic": 1},
        {"box_coding": 1},
    ],
    "EfficientNMS_ONNX_TRT": [
        {"score_threshold": 0.9},
        {"iou_threshold": 0.2},
        {"max_output_boxes_per_class": 29},
        {"center_point_box": 1},
    ],
    "EfficientNMS_Explicit_TF_TRT": [
        {"max_output_size_per_class": 9},
        {"max_total_size": 39},
        {"iou_threshold": 0.2},
        {"score_threshold": 0.95},
        {"pad_per_class": 1},
    ],
    "EfficientNMS_Implicit_TF_TRT": [{"max_output_size_per_class": 9}],
}
"""Changes of the fields of a plugin's first random sample, each of which changes the outputs."""


def first_sample(op: str) -> Any:
    return onnx_inputs.GENERATORS[op](np.random.default_rng(7))[0]


def rendered(op: str, fields: Any, inputs: Any, **more: Any) -> Any:
    return onnx_inputs.render(op, fields, onnx_inputs.specs_of(inputs), **more)


def code_of(op: str, fields: Any, specs: Any, **more: Any) -> str:
    with pytest.raises(SurgeonError) as caught:
        onnx_inputs.render(op, fields, specs, **more)
    return caught.value.diagnostics[0].code


@pytest.mark.parametrize(
    ("op", "changed"), [(op, changed) for op, each in CHANGED.items() for changed in each], ids=str
)
def test_every_field_counts(op: str, changed: dict[str, Any]) -> None:
    sample = first_sample(op)
    fields = {**sample.fields, **changed}
    found = rendered(op, fields, sample.inputs).run(sample.inputs)
    assert onnx_inputs.differences(found, onnx_inputs.expected(op, fields, sample.inputs), CLOSE, CLOSE) == []
    assert onnx_inputs.differences(
        found, onnx_inputs.expected(op, sample.fields, sample.inputs), CLOSE, CLOSE
    )


@pytest.mark.parametrize("op", NMS_OPS)
def test_equal_scores_come_in_the_order_of_the_reference(op: str) -> None:
    for sample in onnx_inputs.GENERATORS[op](np.random.default_rng(8)):
        port = sample.fields["inputOrder"][1] if "inputOrder" in sample.fields else 1
        inputs = [
            np.round(array * 4) / np.float32(4) if i == port else array
            for i, array in enumerate(sample.inputs)
        ]
        rendering = rendered(op, sample.fields, inputs)
        for optimised in (False, True):
            wanted = onnx_inputs.expected(op, sample.fields, inputs)
            assert onnx_inputs.differences(rendering.run(inputs, optimised), wanted, CLOSE, CLOSE) == [], (
                sample.name
            )


@pytest.mark.parametrize("op", NMS_OPS)
def test_one_file_serves_batches_of_any_size(op: str) -> None:
    sample = first_sample(op)
    rendering = onnx_inputs.render(op, sample.fields, onnx_inputs.specs_of(sample.inputs, open_batch=True))
    for pictures in (1, 2, 5):
        inputs = [
            array[np.arange(pictures) % len(array)] if len(array) == 2 else array for array in sample.inputs
        ]
        wanted = onnx_inputs.expected(op, sample.fields, inputs)
        assert onnx_inputs.differences(rendering.run(inputs), wanted, CLOSE, CLOSE) == []


@pytest.mark.parametrize("op", NMS_OPS)
def test_only_what_is_selected_has_a_shape_of_the_data(op: str) -> None:
    for sample in onnx_inputs.GENERATORS[op](np.random.default_rng(9)):
        rendering = rendered(op, sample.fields, sample.inputs)
        model = onnx.shape_inference.infer_shapes(rendering.model, strict_mode=True, data_prop=True)
        producers = {name: node.op_type for node in model.graph.node for name in node.output}
        open_ones = [
            producers[value.name]
            for value in model.graph.value_info
            if not all(dim.HasField("dim_value") for dim in value.type.tensor_type.shape.dim)
        ]
        assert sorted(open_ones) == ["GatherND", "NonMaxSuppression"], sample.name


def test_the_picture_of_a_real_detector() -> None:
    fields = {
        **onnx_inputs.NMS,
        "numClasses": 91,
        "confSigmoid": 1,
        "confidenceThreshold": 1e-8,
        "topK": 100,
        "keepTopK": 100,
    }
    for changed in ({}, {"topK": 1917}):
        own = {**fields, **changed}
        inputs = onnx_inputs.ssd(np.random.default_rng(10), own, 1917, 1)
        wanted = onnx_inputs.expected("NMS_TRT", own, inputs)
        for target in (None, TENSORRT):
            found = rendered("NMS_TRT", own, inputs, target=target).run(inputs)
            assert found["count"].item() == 100
            assert onnx_inputs.differences(found, wanted, CLOSE, 0) == []


def test_tensorrt_compares_no_more_candidates_than_it_can() -> None:
    fields = {**onnx_inputs.NMS, "topK": 4000, "numClasses": 40}
    inputs = onnx_inputs.ssd(np.random.default_rng(11), fields, 160, 2)
    wanted = onnx_inputs.expected("NMS_TRT", fields, inputs)
    most = {}
    for target in (None, TENSORRT):
        rendering = rendered("NMS_TRT", fields, inputs, target=target)
        rendering.check()
        assert onnx_inputs.differences(rendering.run(inputs), wanted, CLOSE, CLOSE) == []
        shapes = onnx.shape_inference.infer_shapes(rendering.model, data_prop=True).graph.value_info
        (scores,) = [
            node.input[1] for node in rendering.model.graph.node if node.op_type == "NonMaxSuppression"
        ]
        dims = next(value.type.tensor_type.shape.dim for value in shapes if value.name == scores)
        most[target] = dims[1].dim_value * dims[2].dim_value
    assert most[None] == 39 * 160 > TENSORRT_CANDIDATES
    assert most[TENSORRT] == 160


def test_tensorrt_leaves_out_candidates_of_efficient_nms_by_itself() -> None:
    fields = {**onnx_inputs.EFFICIENT, "max_output_boxes": 100}
    inputs = onnx_inputs.candidates(np.random.default_rng(12), 700, 9)
    kinds = [
        Counter(
            node.op_type
            for node in rendered("EfficientNMS_TRT", fields, inputs, target=target).model.graph.node
        )
        for target in (None, TENSORRT)
    ]
    assert [kind["TopK"] for kind in kinds] == [2, 1]


@pytest.mark.parametrize(
    ("op", "changed"),
    [
        ("NMS_TRT", {"keepTopK": TENSORRT_ROWS + 1, "topK": 4096}),
        ("BatchedNMS_TRT", {"keepTopK": TENSORRT_ROWS + 1, "topK": 4096}),
        ("EfficientNMS_TRT", {"max_output_boxes": TENSORRT_ROWS + 1}),
        ("EfficientNMS_Explicit_TF_TRT", {"max_total_size": TENSORRT_ROWS + 1}),
    ],
)
def test_more_rows_than_tensorrt_takes_are_refused(op: str, changed: dict[str, int]) -> None:
    sample = first_sample(op)
    fields = {**sample.fields, **changed}
    specs = onnx_inputs.specs_of(sample.inputs)
    assert code_of(op, fields, specs, target=TENSORRT) == "X162"
    onnx_inputs.render(op, fields, specs)
    onnx_inputs.render(
        op,
        {name: min(value, TENSORRT_ROWS) if name in changed else value for name, value in fields.items()},
        specs,
        target=TENSORRT,
    )


def test_more_candidates_than_tensorrt_takes_are_refused_where_there_are_as_many() -> None:
    fields = {**onnx_inputs.NMS, "topK": TENSORRT_ROWS + 1}
    for anchors, refused in ((TENSORRT_ROWS + 1, False), (TENSORRT_ROWS + 2, True)):
        specs = onnx_inputs.specs_of(onnx_inputs.ssd(np.random.default_rng(15), fields, anchors, 1))
        if refused:
            assert code_of("NMS_TRT", fields, specs, target=TENSORRT) == "X162"
        else:
            onnx_inputs.render("NMS_TRT", fields, specs, target=TENSORRT).check()


@pytest.mark.parametrize("op", [*NMS_OPS, "PriorBox_TRT", "Region_TRT", "Reorg_TRT"])
def test_an_unknown_size_is_refused(op: str) -> None:
    sample = first_sample(op)
    specs = onnx_inputs.specs_of(sample.inputs)
    port = sample.fields["inputOrder"][2] if "inputOrder" in sample.fields else 0
    for shape in (Shape((specs[port].shape.dims[0], *[None] * (specs[port].shape.rank - 1))), Shape()):
        unknown = [
            TensorSpec(spec.dtype, shape) if index == port else spec for index, spec in enumerate(specs)
        ]
        assert code_of_standard(op, sample.fields, unknown) == "X160"


def code_of_standard(op: str, fields: Any, specs: Any) -> str:
    from surgeon.formats.onnx.lowering import PluginNode, standard_rendering

    catalog = onnx_inputs.CATALOG
    standard = standard_rendering(catalog, op)
    assert standard is not None
    names = tuple(f"input{i}" for i in range(len(specs)))
    with pytest.raises(SurgeonError) as caught:
        standard(
            PluginNode(
                catalog[op], catalog[op].complete(fields), names, tuple(specs), Emitter("node"), catalog
            )
        )
    return caught.value.diagnostics[0].code


@pytest.mark.parametrize(
    ("op", "changed", "instead"),
    [
        ("NMS_TRT", {"isNormalized": 0}, {}),
        ("NMSDynamic_TRT", {"isNormalized": 0}, {}),
        ("BatchedNMS_TRT", {"isNormalized": 0, "clipBoxes": 1}, {"isNormalized": 0, "clipBoxes": 0}),
        (
            "BatchedNMSDynamic_TRT",
            {"isNormalized": 0, "clipBoxes": 0, "caffeSemantics": 0},
            {"isNormalized": 0, "clipBoxes": 0},
        ),
    ],
)
def test_an_overlap_that_onnx_does_not_have_is_refused(
    op: str, changed: dict[str, int], instead: dict[str, int]
) -> None:
    sample = first_sample(op)
    specs = onnx_inputs.specs_of(sample.inputs)
    assert code_of(op, {**sample.fields, **changed}, specs) == "X161"
    onnx_inputs.render(op, {**sample.fields, **instead}, specs)


@pytest.mark.parametrize("op", ["NMS_TRT", "BatchedNMS_TRT"])
def test_only_the_best_of_a_class_go_into_suppression(op: str) -> None:
    (sample,) = [
        each for each in onnx_inputs.GENERATORS[op](np.random.default_rng(14)) if each.name == "one-class"
    ]
    threshold = "nmsThreshold" if op == "NMS_TRT" else "iouThreshold"
    few, many = (
        {**sample.fields, "keepTopK": 20, threshold: 0.02, "topK": candidates} for candidates in (20, 1000)
    )
    found = rendered(op, few, sample.inputs).run(sample.inputs)
    assert onnx_inputs.differences(found, onnx_inputs.expected(op, few, sample.inputs), CLOSE, CLOSE) == []
    assert onnx_inputs.differences(found, onnx_inputs.expected(op, many, sample.inputs), CLOSE, CLOSE)


def test_scores_that_are_no_numbers_are_no_candidates() -> None:
    fields = {**onnx_inputs.NMS, "topK": 30}
    loc, conf, prior = onnx_inputs.ssd(np.random.default_rng(13), fields)
    conf[0, ::7] = np.nan
    inputs = (loc, conf, prior)
    found = rendered("NMS_TRT", fields, inputs).run(inputs)
    assert onnx_inputs.differences(found, onnx_inputs.expected("NMS_TRT", fields, inputs), CLOSE, CLOSE) == []


RTX = load_target("onnx@tensorrt-rtx")
SUPPRESSING = (*NMS_OPS, "SurgeonDetection", "SurgeonDetectionDynamic", "Proposal", "ProposalLayer_TRT")


def operators(model: Any) -> set[str]:
    """Return the operators of a model, those within loops included."""
    nodes = list(model.graph.node)
    bodies = [a.g for node in nodes for a in node.attribute if a.HasField("g")]
    return {node.op_type for node in (*nodes, *(inner for body in bodies for inner in body.node))}


@pytest.mark.parametrize("op", SUPPRESSING)
@pytest.mark.parametrize("open_batch", [False, True], ids=["static", "open-batch"])
def test_a_loop_suppresses_as_the_operator_does(op: str, open_batch: bool) -> None:
    samples = onnx_inputs.GENERATORS[op](np.random.default_rng(20))
    for sample in samples[:2] if open_batch else samples:
        if max(sample.fields.get(field, 0) for field in ("keepTopK", "max_output_boxes")) > TENSORRT_ROWS:
            continue
        specs = onnx_inputs.specs_of(sample.inputs, open_batch)
        ours, theirs = (onnx_inputs.render(op, sample.fields, specs, target=target) for target in (RTX, None))
        ours.check()
        assert "NonMaxSuppression" not in operators(ours.model) and "Loop" in operators(ours.model)
        found = ours.run(sample.inputs)
        close = onnx_inputs.TOLERANCES.get(op, CLOSE)
        wanted = onnx_inputs.expected(op, sample.fields, sample.inputs)
        assert onnx_inputs.differences(found, wanted, close, close) == [], sample.name
        assert onnx_inputs.differences(found, theirs.run(sample.inputs), CLOSE, CLOSE) == [], sample.name


@pytest.mark.parametrize("op", NMS_OPS)
def test_a_loop_takes_equal_scores_in_the_order_of_the_reference(op: str) -> None:
    sample = first_sample(op)
    port = sample.fields["inputOrder"][1] if "inputOrder" in sample.fields else 1
    inputs = [
        np.round(array * 4) / np.float32(4) if i == port else array for i, array in enumerate(sample.inputs)
    ]
    wanted = onnx_inputs.expected(op, sample.fields, inputs)
    for optimised in (False, True):
        found = rendered(op, sample.fields, inputs, target=RTX).run(inputs, optimised)
        assert onnx_inputs.differences(found, wanted, CLOSE, CLOSE) == []


@pytest.mark.parametrize("op", ["NMS_TRT", "BatchedNMS_TRT", "EfficientNMS_TRT"])
def test_every_field_counts_in_a_loop(op: str) -> None:
    sample = first_sample(op)
    for changed in CHANGED[op]:
        fields = {**sample.fields, **changed}
        found = rendered(op, fields, sample.inputs, target=RTX).run(sample.inputs)
        wanted, other = (onnx_inputs.expected(op, each, sample.inputs) for each in (fields, sample.fields))
        assert onnx_inputs.differences(found, wanted, CLOSE, CLOSE) == [], changed
        assert onnx_inputs.differences(found, other, CLOSE, CLOSE), changed


def test_a_loop_is_exact_however_many_candidates_there_are() -> None:
    fields = {**onnx_inputs.NMS, "numClasses": 3, "topK": 4096, "keepTopK": 200, "confidenceThreshold": 1e-8}
    inputs = onnx_inputs.ssd(np.random.default_rng(21), fields, TENSORRT_ROWS + 160, 1)
    found = rendered("NMS_TRT", fields, inputs, target=RTX).run(inputs)
    assert found["count"].item() == 200
    assert onnx_inputs.differences(found, onnx_inputs.expected("NMS_TRT", fields, inputs), CLOSE, CLOSE) == []


def test_a_loop_keeps_the_first_box_where_rounds_find_none_left() -> None:
    fields = {**onnx_inputs.NMS, "numClasses": 2, "topK": 12, "keepTopK": 12, "nmsThreshold": 0.1}
    loc, conf, prior = (np.array(each) for each in onnx_inputs.ssd(np.random.default_rng(22), fields, 12, 1))
    conf[:] = 0
    conf.reshape(12, 2)[0, 1] = 0.75
    found = rendered("NMS_TRT", fields, (loc, conf, prior), target=RTX).run((loc, conf, prior))
    assert found["count"].item() == 1 and found["detections"][0, 0, 0, 2] == pytest.approx(0.75)


def test_candidates_that_one_sort_does_not_take_are_sorted_twice() -> None:
    fields = {**onnx_inputs.EFFICIENT, "max_output_boxes": 100}
    inputs = onnx_inputs.candidates(np.random.default_rng(12), 700, 9)
    rendering = rendered("EfficientNMS_TRT", fields, inputs, target=RTX)
    rendering.check()
    assert Counter(node.op_type for node in rendering.model.graph.node)["TopK"] == 3
    wanted = onnx_inputs.expected("EfficientNMS_TRT", fields, inputs)
    assert onnx_inputs.differences(rendering.run(inputs), wanted, CLOSE, CLOSE) == []


def test_rows_that_tensorrt_rtx_does_not_sort_are_refused_without_a_hint_at_plugins() -> None:
    sample = first_sample("NMS_TRT")
    fields = {**sample.fields, "keepTopK": TENSORRT_ROWS + 1, "topK": 4096}
    with pytest.raises(SurgeonError) as caught:
        onnx_inputs.render("NMS_TRT", fields, onnx_inputs.specs_of(sample.inputs), target=RTX)
    (problem,) = caught.value.diagnostics
    assert problem.code == "X162" and "'onnx@tensorrt-rtx'" in problem.message
    assert not any("--plugins native" in line for line in problem.help)


@pytest.mark.parametrize(("op", "hinted"), [("NMS_TRT", True), ("BatchedNMS_TRT", False)])
def test_candidates_that_tensorrt_rtx_does_not_sort_have_another_way(op: str, hinted: bool) -> None:
    sample = first_sample(op)
    fields = {**sample.fields, "topK": TENSORRT_ROWS + 1}
    shapes = [list(array.shape) for array in sample.inputs]
    specs = [
        TensorSpec.of("float32", *(size * 200 if size > 4 else size for size in shape)) for shape in shapes
    ]
    with pytest.raises(SurgeonError) as caught:
        onnx_inputs.render(op, fields, specs, target=RTX)
    (problem,) = caught.value.diagnostics
    assert problem.code == "X162" and "'topK'" in problem.message
    assert any("--suppression native" in line for line in problem.help) == hinted
