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
from surgeon.export.onnx.emitter import OPSETS, Emitter
from surgeon.export.onnx.rendering import PluginNode, standard_rendering
from surgeon.graph import DType, TensorSpec

CATALOG = load_catalog()

ADAPTED = {("NMS_TRT", "count"): np.int32, ("NMSDynamic_TRT", "count"): np.int32}
"""Outputs whose float32 elements are bits of another type: a rendering gives that type."""

STATIC: frozenset[str] = frozenset()
"""Plugins whose first axis is no batch, or cannot be open."""

REFUSED: Mapping[tuple[str, str], str] = {
    ("NMS_TRT", "boxes-in-pixels"): "X161",
    ("NMS_TRT", "pixels-apart"): "X161",
    ("BatchedNMS_TRT", "pixels-without-caffe-semantics"): "X161",
    ("BatchedNMSDynamic_TRT", "pixels-without-caffe-semantics"): "X161",
}
"""Cases and negative controls, by op and name, that a rendering refuses, with the code of the refusal."""

DIFFERENT: Mapping[tuple[str, str], str] = {}
"""Cases, by op and name, that a rendering gets otherwise as its documentation says, and why."""

TOLERANCES: Mapping[str, float] = {}
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

    def run(self, inputs: Sequence[np.ndarray], optimised: bool = True) -> dict[str, np.ndarray]:
        """Return what ONNX Runtime computes on the CPU, with its graph optimisations or without any."""
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.log_severity_level = 3
        level = onnxruntime.GraphOptimizationLevel
        options.graph_optimization_level = level.ORT_ENABLE_ALL if optimised else level.ORT_DISABLE_ALL
        session = onnxruntime.InferenceSession(self.model.SerializeToString(), options, providers=["CPUExecutionProvider"])
        given = {f"input{i}": array for i, array in enumerate(inputs)}
        return dict(zip(self.ports, session.run(list(self.ports), given), strict=True))

    def check(self) -> None:
        """Check the model: ONNX's own checker, shapes as the plugin's rule has them, and operators that TensorRT 8.5 reads."""
        onnx.checker.check_model(self.model, full_check=True)
        inferred = onnx.shape_inference.infer_shapes(self.model, check_type=True, strict_mode=True, data_prop=True)
        rule = CATALOG[self.op].output_specs(self.fields, self.specs)
        for value, spec, port in zip(inferred.graph.output, rule, self.ports, strict=True):
            dims = tuple(dim.dim_value if dim.HasField("dim_value") else None for dim in value.type.tensor_type.shape.dim)
            wanted = spec.shape.dims
            assert wanted is not None and len(dims) == len(wanted), f"{port} is {dims}; expected {wanted}"
            assert all(size is None or found == size for found, size in zip(dims, wanted, strict=True)), (
                f"{port} is {dims}; expected {wanted}"
            )
            dtype = ADAPTED.get((self.op, port)) or np.dtype(spec.dtype.value if spec.dtype else "float32")
            assert value.type.tensor_type.elem_type == helper.np_dtype_to_tensor_dtype(np.dtype(dtype)), port
        graph, constants = self.model.graph, {tensor.name for tensor in self.model.graph.initializer}
        for tensor in graph.initializer:
            assert tensor.data_type in ELEMENTS, f"{tensor.name} has the element type {tensor.data_type}"
        for node in graph.node:
            assert node.domain == "" and node.op_type not in FORBIDDEN, node.op_type
            assert node.op_type != "TopK" or node.input[1] in constants, "TopK's K must be a constant"


def render(
    op: str, fields: Mapping[str, Any], specs: Sequence[TensorSpec], opset: int = OPSETS[1], version: tuple[int, ...] | None = None
) -> Rendering:
    """Return a model of one plugin node, its inputs of these types and shapes; an open axis is named 'N'.

    ``version`` is the TensorRT that it is for, None for any runtime.
    """
    spec = CATALOG[op]
    complete = spec.complete({key: value for key, value in fields.items() if key in spec.fields})
    standard = standard_rendering(CATALOG, op)
    assert standard is not None, op
    emit, names = Emitter("node", opset), tuple(f"input{i}" for i in range(len(specs)))
    outputs = standard(PluginNode(spec, complete, names, tuple(specs), emit, CATALOG, version))
    ports = spec.output_ports(complete)
    assert len(outputs) == len(ports), outputs
    values = []
    for name, port, rule in zip(outputs, ports, spec.output_specs(complete, specs), strict=True):
        dtype = ADAPTED.get((op, port)) or np.dtype(rule.dtype.value if rule.dtype else "float32")
        emit.nodes.append(helper.make_node("Identity", [name], [port], name=f"out/{port}"))
        # The sizes are left to shape inference, which the check holds against the plugin's rule.
        values.append(helper.make_tensor_value_info(port, helper.np_dtype_to_tensor_dtype(np.dtype(dtype)),
                                                    [f"{port}_{axis}" for axis in range(rule.shape.rank or 0)]))  # fmt: skip
    given = [helper.make_tensor_value_info(name, _element(each), ["N" if size is None else size for size in each.shape.dims or ()])
             for name, each in zip(names, specs, strict=True)]  # fmt: skip
    graph = helper.make_graph(emit.nodes, "plugin", given, values, emit.initializers)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    return Rendering(op, complete, tuple(specs), model, ports)


def specs_of(inputs: Sequence[np.ndarray], open_batch: bool = False) -> tuple[TensorSpec, ...]:
    """Return types and shapes of arrays; with ``open_batch`` without the first axis of those that have the batch."""
    batch = max((len(array) for array in inputs), default=0)
    return tuple(
        TensorSpec.of(DType.of(array.dtype), *(None if open_batch and axis == 0 and size == batch else size
                                               for axis, size in enumerate(array.shape)))
        for array in inputs)  # fmt: skip


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


def differences(found: Mapping[str, np.ndarray], wanted: Mapping[str, np.ndarray], absolute: float, relative: float) -> list[str]:
    """Return how outputs differ, as texts; integers must be equal, not-a-numbers are."""
    texts = []
    for port, right in wanted.items():
        left = found[port]
        if (left.dtype, left.shape) != (right.dtype, right.shape):
            texts.append(f"'{port}' is {left.dtype}{list(left.shape)}; expected {right.dtype}{list(right.shape)}")
            continue
        bound = (relative, absolute) if right.dtype.kind == "f" else (0, 0)
        same = np.isclose(left, right, rtol=bound[0], atol=bound[1], equal_nan=True)
        if not same.all():
            first = tuple(int(i) for i in np.argwhere(~same)[0])
            texts.append(f"'{port}' differs in {np.count_nonzero(~same)} of {same.size} elements; the first is {list(first)}: "
                         f"{left[first]!s}; expected {right[first]!s}")  # fmt: skip
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


def generator(*ops: str) -> Callable[[Callable[[np.random.Generator], list[Sample]]], Callable[[np.random.Generator], list[Sample]]]:
    """Register a function as the generator of plugins."""

    def register(function: Callable[[np.random.Generator], list[Sample]]) -> Callable[[np.random.Generator], list[Sample]]:
        for op in ops:
            assert op not in GENERATORS, op
            GENERATORS[op] = function
        return function

    return register


@generator("FlattenConcat_TRT")
def _flatten_concat(random: np.random.Generator) -> list[Sample]:
    parts = tuple(normal(random, 3, channels, 4, 5) for channels in (2, 1, 7))
    return [Sample(f"ignoreBatch-{ignore}", {"axis": 1, "ignoreBatch": ignore}, parts) for ignore in (0, 1)]


ANCHORS = {"numLayers": 3, "minSize": 0.2, "maxSize": 0.95, "aspectRatios": [1.0, 2.0, 0.5, 3.0, 0.33], "variance": [0.1, 0.1, 0.2, 0.2]}


@generator("GridAnchor_TRT")
def _grid_anchor(random: np.random.Generator) -> list[Sample]:
    fields = {**ANCHORS, "featureMapShapes": [5, 3, 1]}
    return [Sample("no-input", fields, ()), Sample("a-feature-map", fields, (normal(random, 2, 3, 5, 5),))]


@generator("GridAnchorRect_TRT")
def _grid_anchor_rect(random: np.random.Generator) -> list[Sample]:
    return [Sample("three-maps", {**ANCHORS, "featureMapShapes": [5, 7, 3, 2, 1, 1]}, ())]


NMS = {"shareLocation": 1, "varianceEncodedInTarget": 0, "backgroundLabelId": 0, "numClasses": 6, "topK": 50, "keepTopK": 30,
       "confidenceThreshold": 0.02, "nmsThreshold": 0.5, "inputOrder": [0, 1, 2], "confSigmoid": 0, "isNormalized": 1,
       "codeType": 3}  # fmt: skip


def ssd(
    random: np.random.Generator, fields: Mapping[str, Any], anchors: int = 120, pictures: int = 2, own_anchors: bool = False
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
    samples = [Sample(name, {**NMS, **fields}, ssd(random, {**NMS, **fields})) for name, fields in more.items()]
    own = {**NMS, "isBatchAgnostic": 0}
    return [*samples, Sample("own-anchors", own, ssd(random, own, own_anchors=True)),
            Sample("anchors-of-the-first", NMS, ssd(random, NMS, own_anchors=True))]  # fmt: skip


@generator("NMSDynamic_TRT")
def _nms_dynamic(random: np.random.Generator) -> list[Sample]:
    more = {"best-of-each": {}, "all-candidates": {"topK": 120}, "a-box-for-each-class": {"shareLocation": 0}}
    return [Sample(name, {**NMS, **fields}, ssd(random, {**NMS, **fields}, own_anchors=True)) for name, fields in more.items()]


BATCHED = {"shareLocation": 1, "backgroundLabelId": -1, "numClasses": 5, "topK": 40, "keepTopK": 25, "scoreThreshold": 0.05,
           "iouThreshold": 0.4, "isNormalized": 1, "clipBoxes": 1}  # fmt: skip


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


EFFICIENT = {"score_threshold": 0.05, "iou_threshold": 0.4, "max_output_boxes": 30, "background_class": -1, "score_activation": 0,
             "class_agnostic": 0, "box_coding": 0}  # fmt: skip


def candidates(random: np.random.Generator, each: int = 80, classes: int = 4, owners: int = 0) -> tuple[np.ndarray, np.ndarray]:
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
        sample("low-threshold-with-background", (boxes, found), score_threshold=0.006, max_output_boxes=400, background_class=0),
        sample("logistic", (boxes, logits(found)), score_activation=1),
        sample("logistic-low-threshold", (boxes, logits(found)), score_activation=1, score_threshold=0.001, max_output_boxes=400),
        sample("logistic-zero-threshold", (boxes, logits(found)), score_activation=1, score_threshold=0.0),
        sample("nothing", (boxes, found), score_threshold=1.5),
        sample("any-overlap", (boxes, found), iou_threshold=1e-30),
        sample("no-overlap", (boxes, found), iou_threshold=2.0),
        sample("agnostic", (boxes, found), class_agnostic=1),
        sample("agnostic-own-boxes", (own, found), class_agnostic=1),
        sample("anchors", (offsets, found, anchors)),
        sample("anchors-of-each-picture", (offsets, found, corners(random, 2, 80)), box_coding=1),
        sample("anchors-of-own-boxes", (normal(random, 2, 80, 4, 4, scale=0.1), found, anchors), box_coding=1),
        sample("more-than-5000", candidates(random, 700, 9), score_threshold=0.0, max_output_boxes=6000, iou_threshold=0.9),
        sample("more-than-5000-agnostic", candidates(random, 700, 9), score_threshold=0.0, max_output_boxes=600, class_agnostic=1),
    ]


@generator("EfficientNMS_ONNX_TRT")
def _efficient_nms_onnx(random: np.random.Generator) -> list[Sample]:
    fields = {"score_threshold": 0.05, "iou_threshold": 0.4, "max_output_boxes_per_class": 30, "center_point_box": 0}
    boxes, found = candidates(random)
    own, _ = candidates(random, owners=4)
    late = found * np.array([0, 1], np.float32).reshape(2, 1, 1)
    return [
        Sample("shared", fields, (boxes, found)),
        Sample("own-boxes", fields, (own, found)),
        Sample("centres", {**fields, "center_point_box": 1}, (boxes, found)),
        Sample("rows-left", {**fields, "score_threshold": 0.5, "max_output_boxes_per_class": 100}, (boxes, found)),
        Sample("nothing-in-the-first-picture", fields, (boxes, late)),
        Sample("nothing-in-the-second-picture", fields, (boxes, late[::-1])),
        Sample("nothing", {**fields, "score_threshold": 2.0}, (boxes, found)),
        Sample("any-overlap", {**fields, "iou_threshold": 0.0}, (boxes, found)),
    ]


@generator("EfficientNMS_Explicit_TF_TRT", "EfficientNMS_Implicit_TF_TRT")
def _combined_nms(random: np.random.Generator) -> list[Sample]:
    fields = {"max_output_size_per_class": 10, "max_total_size": 50, "iou_threshold": 0.4, "score_threshold": 0.05,
              "pad_per_class": 0, "clip_boxes": 1}  # fmt: skip
    boxes, found = candidates(random)
    own, _ = candidates(random, owners=4)
    wide = boxes * 2 - np.float32(0.5)
    return [
        Sample("shared", fields, (boxes, found)),
        Sample("own-boxes", fields, (own, found)),
        Sample("clipped", fields, (wide, found)),
        Sample("not-clipped", {**fields, "clip_boxes": 0}, (wide, found)),
        Sample("rows-of-classes", {**fields, "pad_per_class": 1, "max_output_size_per_class": 7}, (boxes, found)),
        Sample("any-number-of-a-class", {**fields, "max_output_size_per_class": -1}, (boxes, found)),
        Sample("negative-scores", {**fields, "score_threshold": -0.5}, (boxes, found - np.float32(0.7))),
    ]


@generator("PriorBox_TRT")
def _prior_box(random: np.random.Generator) -> list[Sample]:
    fields = {"minSize": [30.0, 60.0], "maxSize": [60.0, 111.0], "aspectRatios": [2.0, 3.0], "flip": 1, "clip": 0,
              "variance": [0.1, 0.1, 0.2, 0.2], "imgH": 0, "imgW": 0, "stepH": 0.0, "stepW": 0.0, "offset": 0.5}  # fmt: skip
    inputs = (normal(random, 2, 3, 4, 5), normal(random, 2, 3, 90, 120))
    return [Sample("sizes-of-inputs", fields, inputs), Sample("clipped", {**fields, "clip": 1, "imgH": 50, "imgW": 70}, inputs)]


@generator("Normalize_TRT")
def _normalize(random: np.random.Generator) -> list[Sample]:
    fields = {"nbWeights": 1, "eps": 1e-6}
    return [
        Sample(f"across-{across}-shared-{shared}",
               {**fields, "acrossSpatial": across, "channelShared": shared, "weights": [1.5] if shared else [0.5, 1.5, 2.0, 20.0]},
               (normal(random, 2, 4, 5, 6),))
        for across in (0, 1) for shared in (0, 1)]  # fmt: skip


@generator("Region_TRT")
def _region(random: np.random.Generator) -> list[Sample]:
    return [Sample("boxes", {"num": 3, "coords": 4, "classes": 7}, (normal(random, 2, 36, 5, 4, scale=4),))]


@generator("Reorg_TRT")
def _reorg(random: np.random.Generator) -> list[Sample]:
    return [Sample(f"stride-{stride}", {"stride": stride}, (normal(random, 2, 18 * stride**2, 6, 12),)) for stride in (1, 2, 3)]
