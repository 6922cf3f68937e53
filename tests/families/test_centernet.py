"""The family of CenterNet detectors: peaks are recognised, and the recipe keeps them as ordinary operations."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

import surgeon
from surgeon.families import Refusal, recognise, recognise_detector
from surgeon.families.centernet import CenterNetDetector
from surgeon.families.parts.preprocessing import pixels_behind
from surgeon.formats.graphdef import load_graph
from surgeon.graph import DType, Graph, Ref
from surgeon.infer import infer
from surgeon.language import Image
from surgeon.runners.image import prepare
from surgeon.verification.results import DetectionComparison, Verification
from surgeon.zoo.centernet import DEVIATIONS, MEANS, CenterNetOptions, build_centernet
from surgeon.zoo.networks import NetworkWriter
from surgeon.zoo.tf2 import PictureOptions

FITTED = PictureOptions((64, 64), keeps_shape=True, bgr=True, means=MEANS, deviations=DEVIATIONS)


def _graph(folder: Path, data: bytes, name: str = "centernet.pb") -> Graph:
    path = folder / name
    path.write_bytes(data)
    return load_graph(path)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("centernet")


@pytest.mark.parametrize(
    "options",
    [
        CenterNetOptions(),
        CenterNetOptions(classes=1, most=7, pool=5, picture=PictureOptions((64, 96)), named=False),
        CenterNetOptions(picture=FITTED),
    ],
)
def test_peaks_are_recognised(folder: Path, options: CenterNetOptions) -> None:
    found = recognise(_graph(folder, build_centernet(options)))
    assert isinstance(found, CenterNetDetector) and found.kind == "centernet"
    height, width = options.picture.size
    assert found.classes.value == options.classes and found.stride.value == 4
    assert found.peak_size.value == options.pool and found.max_total.value == options.most
    assert found.label_offset.value == 1 and len(found.box_heads.value) == 2
    assert found.postprocessing.boxes.value == height * width // 16 * options.classes
    assert str(found.true_shapes.value).endswith("TensorArrayV2Stack_1/TensorListStack")
    ends = [str(ref) for ref in found.outputs.value.values()]
    assert ends == (
        ["detection_boxes", "detection_scores", "detection_classes", "num_detections"]
        if options.named
        else ["Identity", "Identity_3", "Identity_2", "Identity_4"]
    )
    image = found.image.value
    assert image.size == (height, width) and image.interpolation == "tf1-bilinear"
    assert image.resize == ("keep-aspect-ratio" if options.picture.keeps_shape else "stretch")
    assert image.color == ("BGR" if options.picture.bgr else "RGB") and image.padding is None


def test_other_uses_of_top_k_are_none(folder: Path) -> None:
    graph = _graph(folder, build_centernet())
    for changed in (
        # No peaks: the map is compared with a constant, or is not pooled.
        replace(
            graph["StatefulPartitionedCall/sub"],
            op="AddV2",
            inputs=(Ref("StatefulPartitionedCall/mul_1"),) * 2,
        ),
        replace(graph["StatefulPartitionedCall/MaxPool"], op="AvgPool"),
        replace(graph["StatefulPartitionedCall/Sigmoid"], op="Relu"),
    ):
        others = graph.replace(changed if node.name == changed.name else node for node in graph)
        assert isinstance(recognise_detector(others), Refusal)


@dataclass(frozen=True)
class Journey:
    """What came of a detector from 'init' to its ONNX file."""

    text: str
    reference: Verification
    onnx: Verification


@pytest.fixture(scope="module")
def journey(folder: Path) -> Journey:
    model, recipe, file = folder / "fitted.pb", folder / "fitted.yaml", folder / "fitted.onnx"
    model.write_bytes(build_centernet(CenterNetOptions(picture=FITTED)))
    written = surgeon.init(model, recipe, target="onnx@onnxruntime")
    assert not written.diagnostics and not surgeon.check(recipe, model, target="onnx@tensorrt-10").errors
    surgeon.convert(recipe, model, file)
    return Journey(
        written.text,
        surgeon.verify(recipe, model, target="onnx@onnxruntime"),
        surgeon.verify(recipe, model, target="onnx@onnxruntime", onnx=file),
    )


def test_every_detection_is_matched(journey: Journey) -> None:
    for verified in (journey.reference, journey.onnx):
        assert verified.passed, str(verified)
        compared = [each for verdict in verified.verdicts for each in verdict.comparisons]
        found = [each for each in compared if isinstance(each, DetectionComparison)]
        assert len(found) >= 2
        assert all(each.matched == each.original == 40 and not each.excused for each in found)
    assert "true_shapes: [[64, 64, 3]]" in journey.text


def test_uff_is_refused_with_the_operations_it_lacks(folder: Path) -> None:
    model = folder / "uff.pb"
    model.write_bytes(build_centernet())
    written = surgeon.init(model)
    assert {"X101"} <= {each.code for each in written.errors}
    assert any("TopKV2" in each.message for each in written.errors)
    assert "UFF and NVIDIA's plugins have nothing that chooses peaks" in " ".join(written.text.split("\n# "))


@pytest.mark.parametrize("late", [False, True])
def test_what_happens_before_channels_are_reversed_or_zeros_are_added(late: bool) -> None:
    """Steps of an image come after the reversal, and zeros before or after the steps."""
    g = NetworkWriter(0)
    node = g.placeholder("picture", DType.FLOAT32, 8, 8, 3)
    means = g.const("means", [[1.0, 2.0, 3.0]])
    if late:
        node = g.op("sub", "Sub", node, means)
    paddings = g.const("paddings", [[0, 2], [0, 2], [0, 0]])
    node = g.op("pad", "Pad", node, paddings, Tpaddings=DType.INT32)
    split = g.op("unstack", "Unpack", node, axis=2, num=3)
    node = g.op("stack", "Pack", f"{split}:2", f"{split}:1", split, axis=2, N=3)
    if not late:
        node = g.op("sub", "Sub", node, means)
    graph = Graph(g.nodes)
    pixels = pixels_behind(graph, infer(graph), Ref(node))
    assert not pixels.problem and pixels.reversed is not None and pixels.pads_late == late
    assert pixels.steps == (("subtract", (3.0, 2.0, 1.0) if late else (1.0, 2.0, 3.0), "means"),)


def test_channels_that_are_reversed_twice() -> None:
    """As ``preprocess_input`` of Keras' ResNet behind CenterNet's own arithmetic."""
    g = NetworkWriter(0)
    node = g.placeholder("picture", DType.FLOAT32, 1, 8, 8, 3)
    split = g.op("unstack", "Unpack", node, axis=3, num=3)
    node = g.op("stack", "Pack", f"{split}:2", f"{split}:1", split, axis=3, N=3)
    node = g.op("sub", "Sub", node, g.const("means", [1.0, 2.0, 3.0]))
    bounds = [
        g.const(f"turned/{name}", values) for name, values in (("a", [0, 0]), ("b", [0, 0]), ("c", [1, -1]))
    ]
    masks = {"begin_mask": 2, "end_mask": 2, "ellipsis_mask": 1, "new_axis_mask": 0, "shrink_axis_mask": 0}
    node = g.op("turned", "StridedSlice", node, *bounds, Index=DType.INT32, **masks)
    node = g.op("BiasAdd", "BiasAdd", node, g.const("bias", [-4.0, -5.0, -6.0]), data_format=b"NHWC")
    graph = Graph(g.nodes)
    pixels = pixels_behind(graph, infer(graph), Ref(node))
    assert not pixels.problem and pixels.reversed is None
    assert [step[:2] for step in pixels.steps] == [
        ("subtract", (3.0, 2.0, 1.0)),
        ("subtract", (4.0, 5.0, 6.0)),
    ]


def test_zeros_after_the_steps() -> None:
    given = {"size": (4, 8), "resize": "keep-aspect-ratio", "steps": [{"subtract": 3.0}]}
    pixels = np.full((4, 4, 3), 5, np.uint8)
    for padding, rest in ((None, -3), ("before-steps", -3), ("after-steps", 0)):
        tensor = prepare(Image.model_validate({**given, "padding": padding}), pixels).tensor
        assert (tensor[0, :, :4] == 2).all() and (tensor[0, :, 4:] == rest).all()
    with pytest.raises(ValueError, match="means nothing with"):
        Image.model_validate({"size": (4, 8), "padding": "after-steps"})
