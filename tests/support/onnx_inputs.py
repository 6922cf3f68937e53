"""Random inputs of plugins, and plugin nodes rendered in standard operators, as ONNX Runtime runs them.

``GENERATORS`` has a function for each plugin that makes its samples of random inputs; the other tables hold what is
particular of a plugin.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper

from surgeon.catalog import load_catalog
from surgeon.formats.onnx.emitter import OPSETS, Emitter
from surgeon.formats.onnx.lowering import PluginNode, standard_rendering
from surgeon.graph import DType, TensorSpec
from surgeon.targets import Target

CATALOG = load_catalog()

ADAPTED = {
    (op, "count"): np.int32
    for op in ("NMS_TRT", "NMSDynamic_TRT", "SurgeonDetection", "SurgeonDetectionDynamic")
}
"""Outputs whose float32 elements are bits of another type: a rendering gives that type."""

STATIC: frozenset[str] = frozenset()
"""Plugins whose first axis is not a batch, or cannot be open."""

REFUSED: Mapping[tuple[str, str], str] = {
    ("NMS_TRT", "boxes-in-pixels"): "X161",
    ("NMS_TRT", "pixels-apart"): "X161",
    ("BatchedNMS_TRT", "pixels-without-caffe-semantics"): "X161",
    ("BatchedNMSDynamic_TRT", "pixels-without-caffe-semantics"): "X161",
    ("PyramidROIAlign_TRT", "no-offset"): "X170",
}
"""Cases and negative controls, by op and name, that a rendering refuses, with the code of the refusal."""

DIFFERENT: Mapping[tuple[str, str], str] = {
    ("ROIAlign_TRT", "no-sample"): "the mean of no samples is 0 in ONNX Runtime",
}
"""Cases, by op and name, that a rendering gets otherwise as its documentation says, and why."""

TOLERANCES: Mapping[str, float] = {
    # Bilinear samples: a place in a map of 32 cells has a rounding of 2e-6, and neighbouring cells differ by up to 6.
    "MultilevelCropAndResize_TRT": 1e-5,
    "PyramidROIAlign_TRT": 1e-5,
    # Corners in pixels up to 1000.
    "MultilevelProposeROI_TRT": 1e-4,
    "GenerateDetection_TRT": 1e-4,
}
"""Absolute and relative tolerance of a plugin where 1e-6 is too narrow, by op; each with its reason beside it."""

FORBIDDEN = ("Loop", "If", "Scan", "NonZero", "Unique", "Compress", "SequenceAt", "Dropout")
"""What TensorRT 8.5 does not read, or reads with limits."""

ELEMENTS = (TensorProto.FLOAT, TensorProto.INT64, TensorProto.INT32, TensorProto.BOOL)


@dataclass(frozen=True, eq=False)
class Sample:
    """One random run of a plugin: its fields, and its inputs with the batch first."""

    name: str
    fields: Mapping[str, Any]
    inputs: tuple[np.ndarray, ...]


@dataclass(frozen=True, eq=False)
class Rendering:
    """A model of one plugin node in standard operators; outputs are named by port."""

    op: str
    fields: Mapping[str, Any]
    specs: tuple[TensorSpec, ...]
    model: onnx.ModelProto
    ports: tuple[str, ...]
    target: Target | None = None

    def run(self, inputs: Sequence[np.ndarray], optimised: bool = True) -> dict[str, np.ndarray]:
        """Return what ONNX Runtime computes on the CPU, with its graph optimisations or without any."""
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.log_severity_level = 3
        level = onnxruntime.GraphOptimizationLevel
        options.graph_optimization_level = level.ORT_ENABLE_ALL if optimised else level.ORT_DISABLE_ALL
        session = onnxruntime.InferenceSession(
            self.model.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
        given = {f"input{i}": array for i, array in enumerate(inputs)}
        return dict(zip(self.ports, session.run(list(self.ports), given), strict=True))

    def check(self) -> None:
        """Check the model: ONNX's own checker, shapes as the plugin's rule has them, and operators that TensorRT 8.5 reads."""
        onnx.checker.check_model(self.model, full_check=True)
        inferred = onnx.shape_inference.infer_shapes(
            self.model, check_type=True, strict_mode=True, data_prop=True
        )
        rule = CATALOG[self.op].output_specs(self.fields, self.specs)
        for value, spec, port in zip(inferred.graph.output, rule, self.ports, strict=True):
            dims = tuple(
                dim.dim_value if dim.HasField("dim_value") else None
                for dim in value.type.tensor_type.shape.dim
            )
            wanted = spec.shape.dims
            assert wanted is not None and len(dims) == len(wanted), f"{port} is {dims}; expected {wanted}"
            assert all(size is None or found == size for found, size in zip(dims, wanted, strict=True)), (
                f"{port} is {dims}; expected {wanted}"
            )
            dtype = ADAPTED.get((self.op, port)) or np.dtype(spec.dtype.value if spec.dtype else "float32")
            assert value.type.tensor_type.elem_type == helper.np_dtype_to_tensor_dtype(np.dtype(dtype)), port
        graph, constants = self.model.graph, {tensor.name for tensor in self.model.graph.initializer}
        lacks = () if self.target is None else self.target.lacks
        for tensor in graph.initializer:
            assert tensor.data_type in ELEMENTS, f"{tensor.name} has the element type {tensor.data_type}"
        for node in graph.node:
            loops = node.op_type == "Loop" and (bool(lacks) or self.fields.get("softSigma", 0) > 0)
            assert node.domain == "" and (loops or node.op_type not in FORBIDDEN), node.op_type
            assert node.op_type not in lacks, node.op_type
            assert node.op_type != "TopK" or node.input[1] in constants, "TopK's K must be a constant"


def render(
    op: str,
    fields: Mapping[str, Any],
    specs: Sequence[TensorSpec],
    opset: int = OPSETS[1],
    target: Target | None = None,
) -> Rendering:
    """Return a model of one plugin node, its inputs of these types and shapes; an open axis is named 'N'.

    ``target`` is what it is for, None for any runtime.
    """
    spec = CATALOG[op]
    complete = spec.complete({key: value for key, value in fields.items() if key in spec.fields})
    standard = standard_rendering(CATALOG, op)
    assert standard is not None, op
    lacks = () if target is None else target.lacks
    emit, names = Emitter("node", opset, lacks), tuple(f"input{i}" for i in range(len(specs)))
    outputs = standard(PluginNode(spec, complete, names, tuple(specs), emit, CATALOG, target))
    ports = spec.output_ports(complete)
    assert len(outputs) == len(ports), outputs
    values = []
    for name, port, rule in zip(outputs, ports, spec.output_specs(complete, specs), strict=True):
        dtype = ADAPTED.get((op, port)) or np.dtype(rule.dtype.value if rule.dtype else "float32")
        emit.nodes.append(helper.make_node("Identity", [name], [port], name=f"out/{port}"))
        # The sizes are left to shape inference, which the check holds against the plugin's rule.
        values.append(
            helper.make_tensor_value_info(
                port,
                helper.np_dtype_to_tensor_dtype(np.dtype(dtype)),
                [f"{port}_{axis}" for axis in range(rule.shape.rank or 0)],
            )
        )
    given = [
        helper.make_tensor_value_info(
            name, _element(each), ["N" if size is None else size for size in each.shape.dims or ()]
        )
        for name, each in zip(names, specs, strict=True)
    ]
    graph = helper.make_graph(emit.nodes, "plugin", given, values, emit.initializers)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    return Rendering(op, complete, tuple(specs), model, ports, target)


def opsets_of(op: str, fields: Mapping[str, Any]) -> tuple[int, ...]:
    """Return the opsets in which a plugin node is rendered: the first and the last, but the last for RoiAlign with half_pixel."""
    complete = CATALOG[op].complete(fields)
    last_only = (op == "ROIAlign_TRT" and complete["coordinate_transformation_mode"] == 1) or (
        op == "PyramidROIAlign_TRT" and not complete["sampling_ratio"] and not complete["legacy"]
    )
    return OPSETS[1:] if last_only else OPSETS


def specs_of(inputs: Sequence[np.ndarray], open_batch: bool = False) -> tuple[TensorSpec, ...]:
    """Return types and shapes of arrays; with ``open_batch`` without the first axis of those that have the batch."""
    batch = max((len(array) for array in inputs), default=0)
    return tuple(
        TensorSpec.of(
            DType.of(array.dtype),
            *(
                None if open_batch and axis == 0 and size == batch else size
                for axis, size in enumerate(array.shape)
            ),
        )
        for array in inputs
    )


def twice(inputs: Sequence[np.ndarray]) -> tuple[np.ndarray, ...]:
    """Return the inputs with every picture of a batch after its first copy."""
    batch = max((len(array) for array in inputs), default=0)
    return tuple(np.repeat(array, 2, axis=0) if len(array) == batch else array for array in inputs)


def expected(op: str, fields: Mapping[str, Any], inputs: Sequence[np.ndarray]) -> dict[str, np.ndarray]:
    """Return what the plugin's reference computes, by port, in the types that a rendering gives."""
    reference = CATALOG.reference(op)
    assert reference is not None, op
    ports = CATALOG[op].output_ports(fields)
    return adapt(op, dict(zip(ports, reference.run(fields, inputs), strict=True)))


def adapt(op: str, outputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return outputs of a reference in the types that a rendering gives."""
    return {port: array.view(ADAPTED.get((op, port), array.dtype)) for port, array in outputs.items()}


def differences(
    found: Mapping[str, np.ndarray], wanted: Mapping[str, np.ndarray], absolute: float, relative: float
) -> list[str]:
    """Return how outputs differ, as texts; integers must be equal, not-a-numbers are."""
    texts = []
    for port, right in wanted.items():
        left = found[port]
        if (left.dtype, left.shape) != (right.dtype, right.shape):
            texts.append(
                f"'{port}' is {left.dtype}{list(left.shape)}; expected {right.dtype}{list(right.shape)}"
            )
            continue
        bound = (relative, absolute) if right.dtype.kind == "f" else (0, 0)
        same = np.isclose(left, right, rtol=bound[0], atol=bound[1], equal_nan=True)
        if not same.all():
            first = tuple(int(i) for i in np.argwhere(~same)[0])
            texts.append(
                f"'{port}' differs in {np.count_nonzero(~same)} of {same.size} elements; the first is {list(first)}: "
                f"{left[first]!s}; expected {right[first]!s}"
            )
    return texts


def normal(random: np.random.Generator, *shape: int, scale: float = 1.0) -> np.ndarray:
    """Return normal numbers, float32."""
    return (scale * random.standard_normal(shape)).astype(np.float32)


def corners(random: np.random.Generator, *shape: int, low: float = 0.0, high: float = 1.0) -> np.ndarray:
    """Return boxes of two ordered corners, float32[..., 4]."""
    centre = random.uniform(low + 0.1 * (high - low), high - 0.1 * (high - low), (*shape, 2))
    half = random.uniform(0.02, 0.2, (*shape, 2)) * (high - low)
    return np.concatenate([centre - half, centre + half], -1).astype(np.float32)


def scores(random: np.random.Generator, *shape: int) -> np.ndarray:
    """Return scores between 0 and 1 of which no two are equal, most of them low, float32."""
    size = int(np.prod(shape))
    return (random.permutation(size).reshape(shape).astype(np.float32) / np.float32(size)) ** 3


def _element(spec: TensorSpec) -> int:
    assert spec.dtype is not None
    return helper.np_dtype_to_tensor_dtype(np.dtype(spec.dtype.value))


GENERATORS: dict[str, Callable[[np.random.Generator], list[Sample]]] = {}
"""What makes the random samples of a plugin, by op; called with a generator that is seeded by the op's name."""


def generator(
    *ops: str,
) -> Callable[[Callable[[np.random.Generator], list[Sample]]], Callable[[np.random.Generator], list[Sample]]]:
    """Register a function as the generator of plugins."""

    def register(
        function: Callable[[np.random.Generator], list[Sample]],
    ) -> Callable[[np.random.Generator], list[Sample]]:
        for op in ops:
            assert op not in GENERATORS, op
            GENERATORS[op] = function
        return function

    return register


@generator("FlattenConcat_TRT")
def _flatten_concat(random: np.random.Generator) -> list[Sample]:
    parts = tuple(normal(random, 3, channels, 4, 5) for channels in (2, 1, 7))
    return [Sample(f"ignoreBatch-{ignore}", {"axis": 1, "ignoreBatch": ignore}, parts) for ignore in (0, 1)]


ANCHORS = {
    "numLayers": 3,
    "minSize": 0.2,
    "maxSize": 0.95,
    "aspectRatios": [1.0, 2.0, 0.5, 3.0, 0.33],
    "variance": [0.1, 0.1, 0.2, 0.2],
}


@generator("GridAnchor_TRT")
def _grid_anchor(random: np.random.Generator) -> list[Sample]:
    fields = {**ANCHORS, "featureMapShapes": [5, 3, 1]}
    return [Sample("no-input", fields, ()), Sample("a-feature-map", fields, (normal(random, 2, 3, 5, 5),))]


@generator("GridAnchorRect_TRT")
def _grid_anchor_rect(random: np.random.Generator) -> list[Sample]:
    return [Sample("three-maps", {**ANCHORS, "featureMapShapes": [5, 7, 3, 2, 1, 1]}, ())]


NMS = {
    "shareLocation": 1,
    "varianceEncodedInTarget": 0,
    "backgroundLabelId": 0,
    "numClasses": 6,
    "topK": 50,
    "keepTopK": 30,
    "confidenceThreshold": 0.02,
    "nmsThreshold": 0.5,
    "inputOrder": [0, 1, 2],
    "confSigmoid": 0,
    "isNormalized": 1,
    "codeType": 3,
}


def ssd(
    random: np.random.Generator,
    fields: Mapping[str, Any],
    anchors: int = 120,
    pictures: int = 2,
    own_anchors: bool = False,
) -> tuple[np.ndarray, ...]:
    """Return encodings, scores and anchors of an SSD, in the order that inputOrder says."""
    classes = fields["numClasses"]
    count = pictures if own_anchors else 1
    boxes = corners(random, count, anchors)
    variance = random.uniform(0.1, 0.3, (count, anchors, 4)).astype(np.float32)
    prior = np.stack([boxes, variance], axis=1).reshape(count, 2, -1, 1)
    loc = normal(random, pictures, anchors * 4 * (1 if fields["shareLocation"] else classes), 1, 1)
    found = scores(random, pictures, anchors * classes, 1, 1)
    conf = np.log(found / (1 - found) + np.float32(1e-9)) if fields["confSigmoid"] else found
    order = fields["inputOrder"]
    given = dict(zip(order, (loc, conf, prior), strict=True))
    return tuple(given[index] for index in sorted(given))


@generator("NMS_TRT")
def _nms(random: np.random.Generator) -> list[Sample]:
    more = {
        "best-of-each": {},
        "all-candidates": {"topK": 120, "keepTopK": 100},
        "as-many-as-anchors-of-one-class": {"topK": 119, "keepTopK": 119, "numClasses": 2},
        "fewer-than-rows": {"topK": 4096, "keepTopK": 4096, "confidenceThreshold": 0.5},
        "logistic": {"confSigmoid": 1, "confidenceThreshold": 0.3},
        "a-box-for-each-class": {"shareLocation": 0},
        "a-box-for-each-class-all": {"shareLocation": 0, "topK": 200, "backgroundLabelId": 5},
        "background-between": {"backgroundLabelId": 2, "topK": 200},
        "background-between-of-own-boxes": {"backgroundLabelId": 3, "shareLocation": 0},
        "no-background": {"backgroundLabelId": -1},
        "background-alone": {"numClasses": 1},
        "one-class": {"numClasses": 1, "backgroundLabelId": -1, "shareLocation": 0},
        "other-order": {"inputOrder": [2, 0, 1]},
        "corners": {"codeType": 0},
        "center-size": {"codeType": 1, "varianceEncodedInTarget": 1},
        "corners-by-size": {"codeType": 2, "topK": 130},
        "nothing": {"confidenceThreshold": 1.0},
        "any-overlap": {"nmsThreshold": 0.0},
        "no-overlap": {"nmsThreshold": 1.0},
    }
    samples = [
        Sample(name, {**NMS, **fields}, ssd(random, {**NMS, **fields})) for name, fields in more.items()
    ]
    own = {**NMS, "isBatchAgnostic": 0}
    return [
        *samples,
        Sample("own-anchors", own, ssd(random, own, own_anchors=True)),
        Sample("anchors-of-the-first", NMS, ssd(random, NMS, own_anchors=True)),
    ]


DETECTION = {
    "classes": 6,
    "background": 0,
    "shareLocation": 1,
    "scoreConverter": 0,
    "scoreThreshold": 0.05,
    "iouThreshold": 0.4,
    "maxPerClass": 30,
    "maxTotal": 40,
    "clip": 1,
    "dropEmpty": 1,
}


def heads(random: np.random.Generator, fields: Mapping[str, Any]) -> tuple[np.ndarray, ...]:
    """Return encodings, scores and anchors for SurgeonDetection: 80 anchors, some of which reach far outside."""
    classes, anchors = fields["classes"], 80
    each = 1 if fields["shareLocation"] else classes
    centres = corners(random, anchors, low=-0.3, high=1.3).reshape(-1)
    variances = np.tile(np.float32([0.1, 0.12, 0.2, 0.25]), anchors)
    if fields.get("coding", 1):
        boxes = normal(random, 2, anchors * each * 4, 1, 1, scale=1.0)
    else:
        boxes = corners(random, 2, anchors * each, low=-0.3, high=1.3).reshape(2, -1, 1, 1)
    found = scores(random, 2, anchors, classes).reshape(2, -1, 1, 1)
    return boxes, found, np.stack([centres, variances]).astype(np.float32).reshape(1, 2, -1, 1)


@generator("SurgeonDetection", "SurgeonDetectionDynamic")
def _detection(random: np.random.Generator) -> list[Sample]:
    more: dict[str, dict[str, Any]] = {
        "clipped-first": {},
        "clipped-afterwards": {"clip": 2, "dropEmpty": 0},
        "not-clipped": {"clip": 0, "dropEmpty": 0},
        "empty-dropped-afterwards": {"clip": 2, "dropEmpty": 2},
        "a-cap-for-each-class": {"maxPerClass": 3},
        "one-for-all": {"classAgnostic": 1, "iouThreshold": 0.2},
        "one-for-all-with-own-boxes": {"classAgnostic": 1, "shareLocation": 0, "iouThreshold": 0.2},
        "one-for-all-between": {"classAgnostic": 1, "background": 2, "dropEmpty": 2, "clip": 2},
        "own-boxes": {"shareLocation": 0},
        "own-boxes-between": {"shareLocation": 0, "background": 3, "clip": 2, "dropEmpty": 2},
        "own-boxes-as-they-are": {"shareLocation": 0, "coding": 0, "background": -1},
        "boxes-as-they-are": {"coding": 0},
        "logistic": {"scoreConverter": 1, "scoreThreshold": 0.6, "scoreScale": 2.0},
        "softmax": {"scoreConverter": 2, "scoreThreshold": 0.1, "scoreScale": 3.0},
        "more-rows-than-boxes": {"maxTotal": 600, "maxPerClass": 600},
        "nothing": {"scoreThreshold": 1.5},
        "background-alone": {"classes": 1},
        "one-class": {"classes": 1, "background": -1, "shareLocation": 0},
        "soft": {"softSigma": 0.5, "iouThreshold": 1.0},
        "soft-and-dropped": {"softSigma": 0.2, "clip": 2, "dropEmpty": 2, "maxPerClass": 8},
        "soft-with-own-boxes": {"softSigma": 0.5, "shareLocation": 0},
        "soft-one-for-all": {"softSigma": 0.3, "classAgnostic": 1, "background": -1},
    }
    return [
        Sample(name, {**DETECTION, **fields}, heads(random, {**DETECTION, **fields}))
        for name, fields in more.items()
    ]


@generator("NMSDynamic_TRT")
def _nms_dynamic(random: np.random.Generator) -> list[Sample]:
    more = {"best-of-each": {}, "all-candidates": {"topK": 120}, "a-box-for-each-class": {"shareLocation": 0}}
    return [
        Sample(name, {**NMS, **fields}, ssd(random, {**NMS, **fields}, own_anchors=True))
        for name, fields in more.items()
    ]


BATCHED = {
    "shareLocation": 1,
    "backgroundLabelId": -1,
    "numClasses": 5,
    "topK": 40,
    "keepTopK": 25,
    "scoreThreshold": 0.05,
    "iouThreshold": 0.4,
    "isNormalized": 1,
    "clipBoxes": 1,
}


@generator("BatchedNMS_TRT", "BatchedNMSDynamic_TRT")
def _batched_nms(random: np.random.Generator) -> list[Sample]:
    more: dict[str, dict[str, Any]] = {
        "best-of-each": {},
        "all-candidates": {"topK": 100, "keepTopK": 100},
        "fewer-than-rows": {"topK": 1000, "keepTopK": 1000},
        "a-box-for-each-class": {"shareLocation": 0},
        "a-box-for-each-class-but-the-background": {"shareLocation": 0, "backgroundLabelId": 0, "topK": 90},
        "background-between": {"backgroundLabelId": 3},
        "not-clipped": {"clipBoxes": 0},
        "pixels": {"isNormalized": 0, "clipBoxes": 0},
        "one-class": {"numClasses": 1, "shareLocation": 0},
        "background-alone": {"numClasses": 1, "backgroundLabelId": 0},
        "nothing": {"scoreThreshold": 1.0},
    }
    samples = []
    for name, changed in more.items():
        fields = {**BATCHED, **changed}
        classes = fields["numClasses"]
        boxes = corners(random, 2, 90, 1 if fields["shareLocation"] else classes, low=-0.2, high=1.2)
        if not fields["isNormalized"]:
            boxes *= 300
        # Corners may come in any order.
        boxes[:, ::2] = boxes[:, ::2, :, [2, 3, 0, 1]]
        axis = (1,) if name == "best-of-each" else ()
        samples.append(Sample(name, fields, (boxes, scores(random, 2, 90, classes, *axis))))
    return samples


EFFICIENT = {
    "score_threshold": 0.05,
    "iou_threshold": 0.4,
    "max_output_boxes": 30,
    "background_class": -1,
    "score_activation": 0,
    "class_agnostic": 0,
    "box_coding": 0,
}


def candidates(
    random: np.random.Generator, each: int = 80, classes: int = 4, owners: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Return boxes as corners, float32[2, each, 4] or with an axis of ``owners``, and scores, float32[2, each, classes]."""
    return corners(random, 2, each, *([owners] if owners else [])), scores(random, 2, each, classes)


def logits(found: np.ndarray) -> np.ndarray:
    """Return what the logistic function makes scores of."""
    return np.log((found + np.float32(1e-6)) / (1 - found))


@generator("EfficientNMS_TRT")
def _efficient_nms(random: np.random.Generator) -> list[Sample]:
    def sample(name: str, inputs: Sequence[np.ndarray], **changed: float) -> Sample:
        return Sample(name, {**EFFICIENT, **changed}, tuple(inputs))

    boxes, found = candidates(random)
    own, _ = candidates(random, owners=4)
    anchors = corners(random, 1, 80)
    offsets = normal(random, 2, 80, 4, scale=0.1)
    return [
        sample("corners", (boxes, found)),
        sample("axes-of-one", (boxes[:, :, None], found[..., None])),
        sample("centres", (boxes, found), box_coding=1),
        sample("own-boxes", (own, found), background_class=1),
        sample("own-boxes-as-centres", (own, found), box_coding=1),
        sample("all-rows", (boxes, found), max_output_boxes=1000),
        sample("every-score", (boxes, found), score_threshold=0.0),
        sample("low-threshold", (boxes, found), score_threshold=0.006, max_output_boxes=400),
        sample(
            "low-threshold-with-background",
            (boxes, found),
            score_threshold=0.006,
            max_output_boxes=400,
            background_class=0,
        ),
        sample("logistic", (boxes, logits(found)), score_activation=1),
        sample(
            "logistic-low-threshold",
            (boxes, logits(found)),
            score_activation=1,
            score_threshold=0.001,
            max_output_boxes=400,
        ),
        sample("logistic-zero-threshold", (boxes, logits(found)), score_activation=1, score_threshold=0.0),
        sample("nothing", (boxes, found), score_threshold=1.5),
        sample("any-overlap", (boxes, found), iou_threshold=1e-30),
        sample("no-overlap", (boxes, found), iou_threshold=2.0),
        sample("agnostic", (boxes, found), class_agnostic=1),
        sample("agnostic-own-boxes", (own, found), class_agnostic=1),
        sample("anchors", (offsets, found, anchors)),
        sample("anchors-of-each-picture", (offsets, found, corners(random, 2, 80)), box_coding=1),
        sample(
            "anchors-of-own-boxes", (normal(random, 2, 80, 4, 4, scale=0.1), found, anchors), box_coding=1
        ),
        sample(
            "more-than-5000",
            candidates(random, 700, 9),
            score_threshold=0.0,
            max_output_boxes=6000,
            iou_threshold=0.9,
        ),
        sample(
            "more-than-5000-agnostic",
            candidates(random, 700, 9),
            score_threshold=0.0,
            max_output_boxes=600,
            class_agnostic=1,
        ),
    ]


@generator("EfficientNMS_ONNX_TRT")
def _efficient_nms_onnx(random: np.random.Generator) -> list[Sample]:
    fields = {
        "score_threshold": 0.05,
        "iou_threshold": 0.4,
        "max_output_boxes_per_class": 30,
        "center_point_box": 0,
    }
    boxes, found = candidates(random)
    own, _ = candidates(random, owners=4)
    late = found * np.array([0, 1], np.float32).reshape(2, 1, 1)
    return [
        Sample("shared", fields, (boxes, found)),
        Sample("own-boxes", fields, (own, found)),
        Sample("centres", {**fields, "center_point_box": 1}, (boxes, found)),
        Sample(
            "rows-left", {**fields, "score_threshold": 0.5, "max_output_boxes_per_class": 100}, (boxes, found)
        ),
        Sample("nothing-in-the-first-picture", fields, (boxes, late)),
        Sample("nothing-in-the-second-picture", fields, (boxes, late[::-1])),
        Sample("nothing", {**fields, "score_threshold": 2.0}, (boxes, found)),
        Sample("any-overlap", {**fields, "iou_threshold": 0.0}, (boxes, found)),
    ]


@generator("EfficientNMS_Explicit_TF_TRT", "EfficientNMS_Implicit_TF_TRT")
def _combined_nms(random: np.random.Generator) -> list[Sample]:
    fields = {
        "max_output_size_per_class": 10,
        "max_total_size": 50,
        "iou_threshold": 0.4,
        "score_threshold": 0.05,
        "pad_per_class": 0,
        "clip_boxes": 1,
    }
    boxes, found = candidates(random)
    own, _ = candidates(random, owners=4)
    wide = boxes * 2 - np.float32(0.5)
    return [
        Sample("shared", fields, (boxes, found)),
        Sample("own-boxes", fields, (own, found)),
        Sample("clipped", fields, (wide, found)),
        Sample("not-clipped", {**fields, "clip_boxes": 0}, (wide, found)),
        Sample(
            "rows-of-classes", {**fields, "pad_per_class": 1, "max_output_size_per_class": 7}, (boxes, found)
        ),
        Sample("any-number-of-a-class", {**fields, "max_output_size_per_class": -1}, (boxes, found)),
        Sample("negative-scores", {**fields, "score_threshold": -0.5}, (boxes, found - np.float32(0.7))),
    ]


@generator("PriorBox_TRT")
def _prior_box(random: np.random.Generator) -> list[Sample]:
    fields = {
        "minSize": [30.0, 60.0],
        "maxSize": [60.0, 111.0],
        "aspectRatios": [2.0, 3.0],
        "flip": 1,
        "clip": 0,
        "variance": [0.1, 0.1, 0.2, 0.2],
        "imgH": 0,
        "imgW": 0,
        "stepH": 0.0,
        "stepW": 0.0,
        "offset": 0.5,
    }
    inputs = (normal(random, 2, 3, 4, 5), normal(random, 2, 3, 90, 120))
    return [
        Sample("sizes-of-inputs", fields, inputs),
        Sample("clipped", {**fields, "clip": 1, "imgH": 50, "imgW": 70}, inputs),
    ]


@generator("Normalize_TRT")
def _normalize(random: np.random.Generator) -> list[Sample]:
    fields = {"nbWeights": 1, "eps": 1e-6}
    return [
        Sample(
            f"across-{across}-shared-{shared}",
            {
                **fields,
                "acrossSpatial": across,
                "channelShared": shared,
                "weights": [1.5] if shared else [0.5, 1.5, 2.0, 20.0],
            },
            (normal(random, 2, 4, 5, 6),),
        )
        for across in (0, 1)
        for shared in (0, 1)
    ]


@generator("Region_TRT")
def _region(random: np.random.Generator) -> list[Sample]:
    return [Sample("boxes", {"num": 3, "coords": 4, "classes": 7}, (normal(random, 2, 36, 5, 4, scale=4),))]


@generator("Reorg_TRT")
def _reorg(random: np.random.Generator) -> list[Sample]:
    return [
        Sample(f"stride-{stride}", {"stride": stride}, (normal(random, 2, 18 * stride**2, 6, 12),))
        for stride in (1, 2, 3)
    ]


@generator("ResizeNearest_TRT")
def _resize_nearest(random: np.random.Generator) -> list[Sample]:
    x = normal(random, 2, 3, 5, 7)
    return [Sample(f"scale-{scale}", {"scale": scale}, (x,)) for scale in (2.0, 4.0, 3.0, 1.0, 0.5, 1.7, 0.3)]


@generator("LReLU_TRT")
def _lrelu(random: np.random.Generator) -> list[Sample]:
    return [
        Sample(f"slope-{slope}", {"negSlope": slope}, (normal(random, 2, 3, 4, 5),))
        for slope in (0.1, 0.0, 1.5)
    ]


@generator("Clip_TRT", "CustomClipPlugin")
def _clip(random: np.random.Generator) -> list[Sample]:
    ranges = ((0.0, 6.0), (-0.5, 0.3), (1.0, 1.0))
    return [
        Sample(f"{low}-to-{high}", {"clipMin": low, "clipMax": high}, (normal(random, 3, 4, 5, scale=5),))
        for low, high in ranges
    ]


@generator("BatchTilePlugin_TRT")
def _batch_tile(random: np.random.Generator) -> list[Sample]:
    return [
        Sample(f"{count}-pictures", {}, (normal(random, count, 3, 3), normal(random, 1, 2, 3, 4)))
        for count in (1, 3)
    ]


@generator("CoordConvAC")
def _coord_conv(random: np.random.Generator) -> list[Sample]:
    shapes = ((1, 3, 8, 8), (2, 1, 5, 9), (3, 2, 9, 5))
    return [Sample("x".join(map(str, shape)), {}, (normal(random, *shape),)) for shape in shapes]


@generator("SpecialSlice_TRT")
def _special_slice(random: np.random.Generator) -> list[Sample]:
    return [Sample("detections", {}, (normal(random, 2, 9, 6),))]


@generator("Split_TRT")
def _split(random: np.random.Generator) -> list[Sample]:
    x = normal(random, 2, 6, 5)
    parts = ((1, [1, 2, 3]), (2, [4, 1]), (1, [6]))
    return [
        Sample(f"axis-{axis}-in-{len(lengths)}", {"axis": axis, "output_lengths": lengths}, (x,))
        for axis, lengths in parts
    ]


@generator("InstanceNormalization_TRT")
def _instance_normalization(random: np.random.Generator) -> list[Sample]:
    fields = {"epsilon": 1e-5, "scales": [0.5, 1.0, -2.0], "bias": [0.1, -0.3, 0.0], "relu": 0, "alpha": 0.0}
    return [
        Sample("picture", fields, (normal(random, 2, 3, 6, 7),)),
        Sample("volume", fields, (normal(random, 2, 3, 4, 5, 3),)),
        Sample("relu", {**fields, "relu": 1}, (normal(random, 2, 3, 6, 7),)),
        Sample("leaky", {**fields, "relu": 1, "alpha": 0.2}, (normal(random, 2, 3, 6, 7),)),
    ]


@generator("CropAndResize_TRT", "CropAndResizeDynamic")
def _crop_and_resize(random: np.random.Generator) -> list[Sample]:
    maps = normal(random, 2, 3, 9, 14)
    inside, beside = corners(random, 2, 12), corners(random, 2, 12, low=-0.7, high=1.7)
    beside[:, ::3] = beside[:, ::3, [2, 1, 0, 3]]
    borders = np.array(
        [[0, 0, 1, 1], [1, 1, 0, 0], [0.5, 0.5, 0.5, 0.5], [2, 2, 3, 3]] * 2, np.float32
    ).reshape(2, 4, 4)
    sizes = {"crop": (5, 7), "a-row": (1, 4), "one-cell": (1, 1)}
    return [
        Sample(f"{name}-{where}", {"crop_height": size[0], "crop_width": size[1]}, (maps, rois[..., None]))
        for name, size in sizes.items()
        for where, rois in (("inside", inside), ("beside", beside), ("borders", borders))
    ]


@generator("ROIAlign_TRT")
def _roi_align(random: np.random.Generator) -> list[Sample]:
    fields = {"output_height": 3, "output_width": 4, "spatial_scale": 0.5}
    rois, pictures = corners(random, 20, low=-3, high=30), random.integers(0, 2, 20).astype(np.int32)
    modes = [
        {"mode": mode, "coordinate_transformation_mode": transform, "sampling_ratio": ratio}
        for mode in (0, 1)
        for transform in (0, 1)
        for ratio in (0, 1, 3)
    ]
    return [
        Sample(
            "-".join(map(str, more.values())),
            {**fields, **more},
            (normal(random, 2, 3, 9, 14), rois, pictures),
        )
        for more in modes
    ]


def pyramid(
    random: np.random.Generator, levels: int, channels: int = 3, largest: int = 24, regions: int = 25
) -> tuple[np.ndarray, ...]:
    """Return regions relative to the picture, of sizes for every level, and the maps of two pictures."""
    boxes = corners(random, 2, regions)
    middle, half = (boxes[..., :2] + boxes[..., 2:]) / 2, (boxes[..., 2:] - boxes[..., :2]) / 2
    half = half * np.exp2(random.uniform(-4, 2.3, (2, regions, 1))).astype(np.float32)
    boxes = np.clip(np.concatenate([middle - half, middle + half], -1), 0, 1)
    sizes = [max(1, largest >> level) for level in range(levels)]
    return boxes, *(normal(random, 2, channels, size, size + size // 3) for size in sizes)


@generator("PyramidROIAlign_TRT")
def _pyramid_roi_align(random: np.random.Generator) -> list[Sample]:
    fields = {"pooled_size": 4, "image_size": [96, 128], "fpn_scale": 28}
    rois, *maps = pyramid(random, 4)
    flat = rois.copy()
    flat[:, ::2, 2] = flat[:, ::2, 0]
    flat[:, ::5, 3] = flat[:, ::5, 1]
    flat[:, 7:9] = 0
    pixels = (rois * np.array([128, 96, 128, 96], np.float32)).round(2)
    wide = pixels * 2 - np.float32(32)
    transforms = (
        (transform, ratio) for transform in (-1, 0, 1, 2) for ratio in (0, 1, 2) if ratio or transform > 0
    )
    samples = [
        Sample(
            f"transform-{transform}-samples-{ratio}",
            {**fields, "roi_coords_transform": transform, "sampling_ratio": ratio},
            (pixels, *maps),
        )
        for transform, ratio in transforms
    ]
    relative = {**fields, "roi_coords_absolute": 0, "roi_coords_swap": 1}
    return [
        *samples,
        Sample("relative", relative, (rois, *maps)),
        Sample("relative-and-flat", relative, (flat, *maps)),
        Sample("relative-and-flat-samples-1", {**relative, "sampling_ratio": 1}, (flat, *maps)),
        Sample("corners-exchanged", fields, (pixels[..., [2, 1, 0, 3]], *maps)),
        Sample("outside", fields, (wide, *maps)),
        Sample("a-pixel-more", {**fields, "roi_coords_plusone": 1}, (pixels, *maps)),
        Sample("legacy", {**fields, "legacy": 1}, (rois, *maps)),
        Sample("pooled-to-a-cell", {**fields, "pooled_size": 1}, (pixels, *maps)),
    ]


@generator("MultilevelCropAndResize_TRT")
def _multilevel_crop(random: np.random.Generator) -> list[Sample]:
    rois, *maps = pyramid(random, 5, largest=48)
    rois = rois * np.array([1200, 1500, 1200, 1500], np.float32)
    outside = rois.copy()
    outside[:, ::3] -= np.float32(100)
    outside[:, 1::5, 2] = outside[:, 1::5, 0]
    fields = {"pooled_size": 5, "image_size": [3, 1200, 1500]}
    return [
        Sample("inside", fields, (rois, *maps)),
        Sample("outside", {**fields, "pooled_size": 1}, (outside, *maps)),
        Sample("exchanged", fields, (outside[..., [2, 1, 0, 3]], *maps)),
    ]


@generator("Proposal", "ProposalDynamic")
def _proposal(random: np.random.Generator) -> list[Sample]:
    fields = {
        "input_height": 120,
        "input_width": 200,
        "rpn_stride": 16,
        "roi_min_size": 1.0,
        "nms_iou_threshold": 0.7,
        "pre_nms_top_n": 150,
        "post_nms_top_n": 40,
        "anchor_sizes": [20.0, 60.0],
        "anchor_ratios": [1.0, 0.5, 2.0],
    }
    inputs = (scores(random, 2, 6, 7, 12), normal(random, 2, 24, 7, 12, scale=0.4))
    changed: dict[str, dict[str, Any]] = {
        "best": {},
        "all-boxes": {"pre_nms_top_n": 5000, "post_nms_top_n": 100},
        "fewer-than-rows": {"pre_nms_top_n": 30, "post_nms_top_n": 60, "nms_iou_threshold": 0.2},
        "more-rows-than-boxes": {"pre_nms_top_n": 5000, "post_nms_top_n": 600},
        "small-ones-last": {"roi_min_size": 70.0, "post_nms_top_n": 120},
        "all-small": {"roi_min_size": 500.0},
        "no-overlap": {"nms_iou_threshold": 1.5},
    }
    samples = [Sample(name, {**fields, **more}, inputs) for name, more in changed.items()]
    equal = (np.round(inputs[0] * 4) / np.float32(4), inputs[1])
    return [
        *samples,
        Sample("equal-scores", fields, equal),
        Sample("all-equal", {**fields, "pre_nms_top_n": 5000}, (equal[0] * 0, inputs[1])),
    ]


REGION_RULES = {"prenms_topk": 300, "keep_topk": 50, "iou_threshold": 0.6}
SATURATED = 0.9
"""Share of a half of the scores from which on they are 1, as those of a logistic function come to be."""


def with_equals(found: np.ndarray) -> np.ndarray:
    """Return scores of which the best are all 1, and others equal in pairs."""
    return np.where(
        found > np.quantile(found, SATURATED), np.float32(1), np.round(found * 50) / np.float32(50)
    ).astype(np.float32)


@generator("ProposalLayer_TRT")
def _proposal_layer(random: np.random.Generator) -> list[Sample]:
    fields = {**REGION_RULES, "image_size": [3, 128, 192]}
    count = 3 * (32 * 48 + 16 * 24 + 8 * 12 + 4 * 6 + 2 * 3)
    found, deltas = scores(random, 2, count, 2, 1), normal(random, 2, count, 4, 1)
    changed: dict[str, dict[str, Any]] = {
        "best": {},
        "more-rows-than-boxes": {"prenms_topk": 40, "keep_topk": 60},
        "many": {"prenms_topk": 1024, "keep_topk": 400, "iou_threshold": 0.3},
        "no-overlap": {"iou_threshold": 1.5},
    }
    samples = [Sample(name, {**fields, **more}, (found, deltas)) for name, more in changed.items()]
    return [
        *samples,
        Sample("low-scores", fields, (found * np.float32(0.013), deltas)),
        Sample(
            "equal-scores",
            {**fields, "prenms_topk": 1000, "keep_topk": 300, "iou_threshold": 0.9},
            (with_equals(found), deltas),
        ),
        Sample("no-score", fields, (found * 0, deltas)),
    ]


@generator("MultilevelProposeROI_TRT")
def _multilevel_propose(random: np.random.Generator) -> list[Sample]:
    fields = {**REGION_RULES, "image_size": [3, 96, 160], "fg_threshold": 0.0}
    counts = [3 * (96 // 2**level) * (160 // 2**level) for level in (2, 3, 4, 5)] + [3 * 1 * 2]
    found = [scores(random, 2, count, 1, 1) for count in counts]
    deltas = [normal(random, 2, count, 4, 1, scale=0.5) for count in counts]

    def inputs(values: Sequence[np.ndarray]) -> tuple[np.ndarray, ...]:
        return tuple(array for pair in zip(deltas, values, strict=True) for array in pair)

    changed: dict[str, dict[str, Any]] = {
        "best": {},
        "threshold": {"fg_threshold": 0.5, "keep_topk": 900},
        "many": {"prenms_topk": 2000, "keep_topk": 3500, "iou_threshold": 0.4},
        "any-overlap": {"iou_threshold": 0.0},
    }
    samples = [Sample(name, {**fields, **more}, inputs(found)) for name, more in changed.items()]
    equal = [with_equals(each) for each in found]
    return [
        *samples,
        Sample(
            "equal-scores",
            {**fields, "prenms_topk": 2000, "keep_topk": 1500, "iou_threshold": 0.9},
            inputs(equal),
        ),
        Sample("no-score", fields, inputs([each * 0 for each in found])),
    ]


def class_scores(random: np.random.Generator, *shape: int) -> np.ndarray:
    """Return the softmax of random numbers along the last axis, float32."""
    found = np.exp(normal(random, *shape, scale=3))
    return (found / found.sum(axis=-1, keepdims=True)).astype(np.float32)


def detected(
    random: np.random.Generator, classes: int, regions: int, scale: Sequence[float]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return encodings and scores of each class, and regions, of two pictures."""
    rois = corners(random, 2, regions) * np.asarray(scale, np.float32)
    return (
        normal(random, 2, regions, 4 * classes, 1, 1),
        class_scores(random, 2, regions, classes)[..., None, None],
        rois,
    )


def _detection_samples(
    random: np.random.Generator, fields: Mapping[str, Any], scale: Sequence[float]
) -> list[Sample]:
    changed: dict[str, tuple[dict[str, Any], int]] = {
        "few-classes": ({"num_classes": 3}, 120),
        "blocks-of-classes": ({"num_classes": 81}, 90),
        "two-blocks": ({"num_classes": 33, "keep_topk": 400}, 300),
        "one-object": ({"num_classes": 2, "score_threshold": 0.9}, 80),
        "no-threshold": ({"num_classes": 4, "score_threshold": 0.0, "keep_topk": 100}, 600),
        "more-rows-than-regions": ({"num_classes": 4}, 10),
        "no-overlap": ({"num_classes": 4, "iou_threshold": 1.5}, 100),
    }
    samples = [
        Sample(name, {**fields, **more}, detected(random, more["num_classes"], regions, scale))
        for name, (more, regions) in changed.items()
    ]
    deltas, found, rois = detected(random, 40, 700, scale)
    equal = {**fields, "num_classes": 40, "keep_topk": 650, "score_threshold": 0.0, "iou_threshold": 0.95}
    return [
        *samples,
        Sample("equal-scores", equal, (deltas, np.round(found * 8) / np.float32(8), rois)),
        Sample("no-score", equal, (deltas, found * 0, rois)),
    ]


@generator("DetectionLayer_TRT")
def _detection_layer(random: np.random.Generator) -> list[Sample]:
    return _detection_samples(
        random, {"keep_topk": 50, "score_threshold": 0.3, "iou_threshold": 0.4}, (1, 1, 1, 1)
    )


@generator("GenerateDetection_TRT")
def _generate_detection(random: np.random.Generator) -> list[Sample]:
    fields = {"keep_topk": 50, "score_threshold": 0.3, "iou_threshold": 0.4, "image_size": [3, 300, 500]}
    return _detection_samples(random, fields, (300, 500, 300, 500))
