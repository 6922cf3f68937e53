"""Every plugin reference against the genuine plugin of TensorRT 8.5, on random inputs, on a GPU.

    python bench/plugins.py check                 run the references alone: are fields and inputs of the cases
    in order?
    python bench/plugins.py run OUT.json [WORD...]  build a network of one plugin for each case, execute,
    compare

A plugin that asserts aborts its process, so each case has its own.
"""

from __future__ import annotations

import ctypes
import json
import subprocess
import sys
import zlib
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from surgeon.catalog import load_catalog
from surgeon.targets import parse_version

Arrays = list[np.ndarray]
TIMEOUT = 240
"""Seconds for one case, the build included."""


@dataclass(frozen=True)
class Case:
    """One plugin with fields, and what makes its inputs: batch first, as a graph holds them.

    A network with implicit batch gets a copy for each picture of the inputs that are ``shared``, and those
    that are ``constant`` as constants of the network.
    """

    op: str
    name: str
    fields: Mapping[str, Any]
    inputs: Callable[[np.random.Generator], Arrays]
    explicit: bool = False
    shared: tuple[int, ...] = ()
    constant: tuple[int, ...] = ()


def floats(*shape: int, scale: float = 1.0) -> Callable[[np.random.Generator], Arrays]:
    """Return a maker of one input of normal numbers."""
    return lambda random: [normal(random, *shape, scale=scale)]


def normal(random: np.random.Generator, *shape: int, scale: float = 1.0) -> np.ndarray:
    return (scale * random.standard_normal(shape)).astype(np.float32)


def uniform(random: np.random.Generator, *shape: int) -> np.ndarray:
    return random.random(shape, dtype=np.float32)


def corners(random: np.random.Generator, *shape: int, lo: float = 0.0, hi: float = 1.0) -> np.ndarray:
    """Return boxes of two ordered corners, [..., 4]."""
    centre = random.uniform(lo + 0.1 * (hi - lo), hi - 0.1 * (hi - lo), (*shape, 2))
    half = random.uniform(0.02, 0.2, (*shape, 2)) * (hi - lo)
    return np.concatenate([centre - half, centre + half], -1).astype(np.float32)


# SSD

ANCHORS = {
    "numLayers": 6,
    "minSize": 0.2,
    "maxSize": 0.95,
    "aspectRatios": [1.0, 2.0, 0.5, 3.0, 0.33],
    "variance": [0.1, 0.1, 0.2, 0.2],
}
NMS = {
    "shareLocation": 1,
    "varianceEncodedInTarget": 0,
    "backgroundLabelId": 0,
    "numClasses": 8,
    "topK": 200,
    "keepTopK": 50,
    "confidenceThreshold": 0.02,
    "nmsThreshold": 0.5,
    "inputOrder": [0, 1, 2],
    "confSigmoid": 1,
    "isNormalized": 1,
    "codeType": 3,
}


def ssd(
    fields: Mapping[str, Any], anchors: int, batch: int = 2, dynamic: bool = False
) -> Callable[[np.random.Generator], Arrays]:
    """Return a maker of loc, conf and prior in the order that ``inputOrder`` says."""

    def make(random: np.random.Generator) -> Arrays:
        boxes = 1 if fields["shareLocation"] else fields["numClasses"]
        loc = normal(random, batch, anchors * boxes * 4, 1, 1)
        if fields["codeType"] in (0, 2):
            loc *= np.float32(0.1)
        conf = normal(random, batch, anchors * fields["numClasses"], 1, 1, scale=2)
        if not fields["confSigmoid"]:
            conf = uniform(random, *conf.shape)
        images = batch if dynamic else 1
        variances = np.tile(np.float32([0.1, 0.15, 0.2, 0.25]), (images, anchors)).reshape(images, 1, -1)
        prior = np.concatenate([corners(random, images, anchors).reshape(images, 1, -1), variances], 1)[
            ..., None
        ]
        placed = dict(zip(fields["inputOrder"], (loc, conf, prior), strict=True))
        return [np.ascontiguousarray(placed[i], np.float32) for i in range(3)]

    return make


def nms_case(name: str, anchors: int = 1000, **change: Any) -> Case:
    fields = {**NMS, **change}
    return Case("NMS_TRT", name, fields, ssd(fields, anchors), shared=(fields["inputOrder"][2],))


def batched(
    batch: int, boxes: int, classes: int, shared: bool = True, scale: float = 1.0
) -> Callable[[np.random.Generator], Arrays]:
    """Return a maker of boxes float32[N, P, 1 or C, 4] and scores float32[N, P, C]."""

    def make(random: np.random.Generator) -> Arrays:
        return [
            scale * corners(random, batch, boxes, 1 if shared else classes),
            uniform(random, batch, boxes, classes),
        ]

    return make


BATCHED = {
    "shareLocation": 1,
    "backgroundLabelId": -1,
    "numClasses": 5,
    "topK": 300,
    "keepTopK": 40,
    "scoreThreshold": 0.3,
    "iouThreshold": 0.5,
    "isNormalized": 1,
    "clipBoxes": 1,
    "scoreBits": 16,
    "caffeSemantics": 1,
}
EFFICIENT = {
    "score_threshold": 0.3,
    "iou_threshold": 0.5,
    "max_output_boxes": 40,
    "background_class": -1,
    "score_activation": 0,
    "box_coding": 0,
}


def efficient(
    classes: int = 5, anchors: bool = False, logits: bool = False, centre: bool = False, each: bool = False
) -> Callable[[np.random.Generator], Arrays]:
    def make(random: np.random.Generator) -> Arrays:
        boxes = corners(random, 2, 500, classes) if each else corners(random, 2, 500)
        if centre:
            boxes = np.concatenate(
                [(boxes[..., :2] + boxes[..., 2:]) / 2, boxes[..., 2:] - boxes[..., :2]], -1
            )
        scores = normal(random, 2, 500, classes) if logits else uniform(random, 2, 500, classes)
        if not anchors:
            return [np.ascontiguousarray(boxes, np.float32), scores]
        return [normal(random, 2, 500, 4, scale=0.1), scores, np.ascontiguousarray(boxes[:1], np.float32)]

    return make


PRIOR = {
    "minSize": [60.0],
    "maxSize": [111.0],
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
PROPOSAL = {
    "input_height": 272,
    "input_width": 480,
    "rpn_stride": 16,
    "roi_min_size": 1.0,
    "nms_iou_threshold": 0.7,
    "pre_nms_top_n": 600,
    "post_nms_top_n": 100,
    "anchor_sizes": [32.0, 64.0, 128.0],
    "anchor_ratios": [1.0, 0.5, 2.0],
}


def pyramid(random: np.random.Generator, rois: np.ndarray, sizes: Sequence[int], channels: int = 3) -> Arrays:
    return [rois, *(normal(random, len(rois), channels, size, size) for size in sizes)]


def mask_anchors(height: int, width: int) -> int:
    return sum(3 * -(-height // stride) * -(-width // stride) for stride in (4, 8, 16, 32, 64))


def cases() -> list[Case]:
    """Return every case."""
    sized = lambda maps: {**ANCHORS, "featureMapShapes": maps, "numLayers": len(maps)}  # noqa: E731
    found = [
        Case("GridAnchor_TRT", "coco", sized([19, 10, 5, 3, 2, 1]), floats(2, 4, 3, 3)),
        Case(
            "GridAnchor_TRT",
            "two layers, seven ratios",
            {
                **sized([9, 4]),
                "aspectRatios": [1.0, 2.0, 0.5, 3.0, 0.25, 1.5, 4.0],
                "minSize": 0.1,
                "maxSize": 0.7,
            },
            floats(2, 4, 3, 3),
        ),
        Case(
            "GridAnchorRect_TRT",
            "oblong",
            {**ANCHORS, "numLayers": 3, "featureMapShapes": [12, 19, 6, 10, 3, 5]},
            floats(2, 4, 3, 3),
        ),
        Case(
            "FlattenConcat_TRT",
            "axis 1",
            {"axis": 1, "ignoreBatch": 0},
            lambda r: [normal(r, 2, 6, 3, 5), normal(r, 2, 4, 3, 5), normal(r, 2, 1, 3, 5)],
        ),
        Case("PriorBox_TRT", "one size", PRIOR, lambda r: [normal(r, 1, 8, 7, 9), normal(r, 1, 3, 300, 320)]),
        Case(
            "PriorBox_TRT",
            "two sizes, clipped, fixed step",
            {
                **PRIOR,
                "minSize": [30.0, 60.0],
                "maxSize": [70.0, 111.0],
                "clip": 1,
                "stepH": 32.0,
                "stepW": 40.0,
                "imgH": 300,
                "imgW": 320,
            },
            lambda r: [normal(r, 1, 8, 7, 9), normal(r, 1, 3, 300, 320)],
        ),
        Case(
            "PriorBox_TRT",
            "no largest size, no flip",
            {**PRIOR, "maxSize": [], "flip": 0},
            lambda r: [normal(r, 1, 8, 7, 9), normal(r, 1, 3, 300, 320)],
        ),
        Case(
            "Normalize_TRT",
            "each pixel",
            {
                "weights": [20.0, 18.0, 16.0, 14.0],
                "acrossSpatial": 0,
                "channelShared": 0,
                "nbWeights": 1,
                "eps": 1e-10,
            },
            floats(2, 4, 5, 6),
        ),
        Case(
            "Normalize_TRT",
            "whole picture",
            {"weights": [3.0], "acrossSpatial": 1, "channelShared": 1, "nbWeights": 1, "eps": 1e-10},
            floats(2, 4, 5, 6),
        ),
        Case("ResizeNearest_TRT", "doubled", {"scale": 2.0}, floats(2, 3, 5, 7)),
        Case("ResizeNearest_TRT", "by 1.5", {"scale": 1.5}, floats(2, 3, 6, 8)),
        Case("LReLU_TRT", "0.1", {"negSlope": 0.1}, floats(2, 3, 5, 7)),
        Case("Clip_TRT", "0 to 6", {"clipMin": 0.0, "clipMax": 6.0}, floats(2, 3, 5, 7, scale=5)),
        Case("Reorg_TRT", "stride 2", {"stride": 2}, floats(2, 4, 6, 8)),
        Case("Region_TRT", "3 x 20", {"num": 3, "coords": 4, "classes": 20}, floats(2, 75, 5, 5)),
        Case("SpecialSlice_TRT", "plain", {}, floats(2, 10, 6)),
        Case(
            "InstanceNormalization_TRT",
            "3 channels",
            {"epsilon": 1e-5, "scales": [1.0, 2.0, 0.5], "bias": [0.0, 1.0, -1.0], "relu": 0, "alpha": 0.0},
            floats(2, 3, 5, 7),
            explicit=True,
        ),
    ]
    found += [
        nms_case("sigmoid, centres as TensorFlow has them"),
        nms_case("corners", codeType=0),
        nms_case("centre and size", codeType=1),
        nms_case("corners by size", codeType=2),
        nms_case("corners, variance encoded", codeType=0, varianceEncodedInTarget=1),
        nms_case("centre, variance encoded", codeType=1, varianceEncodedInTarget=1),
        nms_case("boxes for each class", shareLocation=0),
        nms_case("no sigmoid", confSigmoid=0, confidenceThreshold=0.9),
        nms_case("no background", backgroundLabelId=-1),
        nms_case("background last", backgroundLabelId=7),
        nms_case("pixels", isNormalized=0),
        nms_case("order 1 2 0", inputOrder=[1, 2, 0]),
        nms_case("order 2 0 1", inputOrder=[2, 0, 1]),
        nms_case("few survive", confidenceThreshold=0.97, keepTopK=100),
        nms_case("none survives", confidenceThreshold=1.0),
        nms_case("topK is keepTopK", topK=50),
        *(
            nms_case(f"1917 anchors, topK {k}", 1917, topK=k, keepTopK=100, confidenceThreshold=1e-8)
            for k in (100, 512, 513, 1024, 1536, 1917, 2048, 2560, 3072, 3584, 4096)
        ),
        *(
            nms_case(f"5000 anchors, topK {k}", 5000, topK=k, keepTopK=100, confidenceThreshold=1e-8)
            for k in (1024, 1917, 2048, 2049, 2560, 3072, 3584, 4000, 4095, 4096)
        ),
        *(
            nms_case(
                f"5000 anchors, 2 classes, topK {k}",
                5000,
                topK=k,
                keepTopK=100,
                confidenceThreshold=1e-8,
                numClasses=2,
            )
            for k in (2048, 4000, 4096)
        ),
    ]
    dynamic = {**NMS}
    found += [
        Case("NMSDynamic_TRT", "plain", dynamic, ssd(dynamic, 1000, dynamic=True), explicit=True),
    ]
    for op, explicit in (("BatchedNMS_TRT", False), ("BatchedNMSDynamic_TRT", True)):
        found += [
            Case(op, "shared boxes", BATCHED, batched(2, 500, 5), explicit),
            Case(
                op,
                "boxes for each class",
                {**BATCHED, "shareLocation": 0},
                batched(2, 500, 5, shared=False),
                explicit,
            ),
            Case(
                op,
                "pixels",
                {**BATCHED, "isNormalized": 0, "clipBoxes": 0},
                batched(2, 500, 5, scale=200),
                explicit,
            ),
            Case(op, "background 0", {**BATCHED, "backgroundLabelId": 0}, batched(2, 500, 5), explicit),
            Case(op, "few survive", {**BATCHED, "scoreThreshold": 0.99}, batched(2, 500, 5), explicit),
        ]
    found += [
        Case("EfficientNMS_TRT", "corners", EFFICIENT, efficient(), True),
        Case("EfficientNMS_TRT", "centres", {**EFFICIENT, "box_coding": 1}, efficient(centre=True), True),
        Case(
            "EfficientNMS_TRT", "sigmoid", {**EFFICIENT, "score_activation": 1}, efficient(logits=True), True
        ),
        Case(
            "EfficientNMS_TRT",
            "anchors, centres",
            {**EFFICIENT, "box_coding": 1},
            efficient(anchors=True, centre=True),
            True,
        ),
        Case("EfficientNMS_TRT", "anchors, corners", EFFICIENT, efficient(anchors=True), True),
        Case("EfficientNMS_TRT", "boxes for each class", EFFICIENT, efficient(each=True), True),
        Case("EfficientNMS_TRT", "background 0", {**EFFICIENT, "background_class": 0}, efficient(), True),
        Case("EfficientNMS_TRT", "few survive", {**EFFICIENT, "score_threshold": 0.995}, efficient(), True),
    ]
    tf_nms = {
        "max_output_size_per_class": 20,
        "max_total_size": 40,
        "iou_threshold": 0.5,
        "score_threshold": 0.3,
        "pad_per_class": 0,
        "clip_boxes": 0,
    }
    found += [
        Case("EfficientNMS_Explicit_TF_TRT", "plain", tf_nms, efficient(), True),
        Case("EfficientNMS_Implicit_TF_TRT", "plain", tf_nms, efficient()),
        Case(
            "BatchTilePlugin_TRT",
            "plain",
            {},
            lambda r: [normal(r, 3, 2, 2, 2), normal(r, 1, 4, 5, 6)],
            constant=(1,),
        ),
    ]
    for op, explicit in (("CropAndResize_TRT", False), ("CropAndResizeDynamic", True)):
        found.append(
            Case(
                op,
                "7 x 5",
                {"crop_width": 5, "crop_height": 7},
                lambda r: [normal(r, 2, 3, 12, 16), corners(r, 2, 9, lo=-0.1, hi=1.1)[..., None]],
                explicit,
            )
        )
    for op, explicit in (("Proposal", False), ("ProposalDynamic", True)):
        found.append(
            Case(
                op,
                "tlt",
                PROPOSAL,
                lambda r: [uniform(r, 2, 9, 17, 30), normal(r, 2, 36, 17, 30, scale=0.3)],
                explicit,
            )
        )
    count = mask_anchors(256, 320)
    rois = lambda r: corners(r, 2, 60)  # noqa: E731
    found += [
        Case(
            "ProposalLayer_TRT",
            "256 x 320",
            {"prenms_topk": 500, "keep_topk": 100, "iou_threshold": 0.7, "image_size": [3, 256, 320]},
            lambda r: [uniform(r, 2, count, 2, 1), normal(r, 2, count, 4, 1)],
        ),
        Case(
            "DetectionLayer_TRT",
            "7 classes",
            {"num_classes": 7, "keep_topk": 20, "score_threshold": 0.5, "iou_threshold": 0.3},
            lambda r: [normal(r, 2, 60, 28, 1, 1), uniform(r, 2, 60, 7, 1, 1), rois(r)],
        ),
        Case(
            "GenerateDetection_TRT",
            "7 classes",
            {
                "num_classes": 7,
                "keep_topk": 20,
                "score_threshold": 0.5,
                "iou_threshold": 0.3,
                "image_size": [3, 256, 320],
            },
            lambda r: [normal(r, 2, 60, 28, 1, 1), uniform(r, 2, 60, 7, 1, 1), 250 * rois(r)],
        ),
        Case(
            "PyramidROIAlign_TRT",
            "defaults",
            {"pooled_size": 7, "image_size": [256, 256]},
            lambda r: pyramid(r, 256 * corners(r, 2, 30), (64, 32, 16, 8)),
        ),
        Case(
            "PyramidROIAlign_TRT",
            "legacy",
            {"pooled_size": 7, "legacy": 1, "image_size": [1024, 1024]},
            lambda r: pyramid(r, corners(r, 2, 30), (64, 32, 16, 8)),
        ),
        Case(
            "PyramidROIAlign_TRT",
            "two samples, no offset",
            {"pooled_size": 5, "image_size": [256, 256], "roi_coords_transform": 0, "sampling_ratio": 2},
            lambda r: pyramid(r, 256 * corners(r, 2, 30), (64, 32, 16, 8)),
        ),
        Case(
            "MultilevelCropAndResize_TRT",
            "256",
            {"pooled_size": 7, "image_size": [3, 256, 256]},
            lambda r: pyramid(r, 256 * corners(r, 2, 30), (64, 32, 16, 8, 4)),
        ),
        Case(
            "MultilevelProposeROI_TRT",
            "256",
            {
                "prenms_topk": 200,
                "keep_topk": 50,
                "fg_threshold": 0.0,
                "iou_threshold": 0.7,
                "image_size": [3, 256, 256],
            },
            lambda r: [
                part
                for side in (64, 32, 16, 8, 4)
                for part in (
                    normal(r, 2, 3 * side * side, 4, 1, scale=0.3),
                    uniform(r, 2, 3 * side * side, 1, 1),
                )
            ],
        ),
        Case(
            "ROIAlign_TRT",
            "half pixel",
            {
                "coordinate_transformation_mode": 1,
                "mode": 1,
                "output_height": 5,
                "output_width": 6,
                "sampling_ratio": 2,
                "spatial_scale": 0.5,
            },
            lambda r: [normal(r, 2, 3, 20, 24), 40 * corners(r, 8), np.int32([0, 1, 0, 1, 1, 0, 0, 1])],
            True,
        ),
    ]
    return found


def made_inputs(case: Case) -> Arrays:
    return case.inputs(np.random.default_rng(zlib.crc32(f"{case.op} {case.name}".encode())))


def expected(case: Case, inputs: Arrays) -> tuple[np.ndarray, ...]:
    """Return what the reference says."""
    reference = load_catalog().reference(case.op)
    if reference is None:
        raise LookupError(f"{case.op} has no reference")
    return reference.run(case.fields, inputs)


def genuine(case: Case, inputs: Arrays) -> Arrays:
    """Return what the plugin of TensorRT computes."""
    import tensorrt as trt

    batch = 0 if case.explicit else max(len(array) for array in inputs)
    inputs = [
        np.repeat(array, batch, 0) if i in case.shared and batch else array for i, array in enumerate(inputs)
    ]
    log = trt.Logger(trt.Logger.WARNING)
    trt.init_libnvinfer_plugins(log, "")
    builder = trt.Builder(log)
    network = builder.create_network(
        1 << int(trt.NetworkDefinitionCreationFlag.EXPLICIT_BATCH) if case.explicit else 0
    )
    tensors = [
        network.add_constant(array.shape, array).get_output(0)
        if i in case.constant
        else network.add_input(
            f"in{i}", trt.int32 if array.dtype == np.int32 else trt.float32, array.shape[not case.explicit :]
        )
        for i, array in enumerate(inputs)
    ]
    inputs = [array for i, array in enumerate(inputs) if i not in case.constant]
    layer = network.add_plugin_v2(tensors, made_plugin(trt, case))
    for i in range(layer.num_outputs):
        layer.get_output(i).name = f"out{i}"
        network.mark_output(layer.get_output(i))
    config = builder.create_builder_config()
    config.clear_flag(trt.BuilderFlag.TF32)
    config.set_tactic_sources(1 << int(trt.TacticSource.CUBLAS) | 1 << int(trt.TacticSource.CUBLAS_LT))
    if batch:
        builder.max_batch_size = batch
    data = builder.build_serialized_network(network, config)
    if data is None:
        raise RuntimeError("the engine was not built")
    return execute(trt.Runtime(log).deserialize_cuda_engine(data), trt, inputs, batch)


def made_plugin(trt: Any, case: Case) -> Any:
    spec = load_catalog()[case.op]
    version = parse_version(trt.__version__)
    kinds = {"int": (np.int32, trt.PluginFieldType.INT32), "float": (np.float32, trt.PluginFieldType.FLOAT32)}
    fields = []
    for name, value in spec.complete(case.fields, version=version).items():
        dtype, kind = kinds[spec.fields[name].type.removesuffix("[]")]
        fields.append(trt.PluginField(name, np.atleast_1d(np.asarray(value, dtype)), kind))
    creator = trt.get_plugin_registry().get_plugin_creator(spec.creator, spec.plugin_version, "")
    plugin = creator.create_plugin(case.op, trt.PluginFieldCollection(fields))
    if plugin is None:
        raise RuntimeError("the creator refused the fields")
    return plugin


def execute(engine: Any, trt: Any, inputs: Arrays, batch: int) -> Arrays:
    """Run an engine once; ``batch`` is 0 for one with explicit batch."""
    cuda = ctypes.CDLL("libcudart.so.11.0")

    def checked(status: int) -> None:
        if status:
            raise RuntimeError(f"CUDA error {status}")

    context = engine.create_execution_context()
    pointers, hosts = [], []
    given = iter(inputs)
    for i in range(engine.num_bindings):
        if engine.binding_is_input(i):
            host = np.ascontiguousarray(next(given))
            if not batch:
                context.set_binding_shape(i, host.shape)
        else:
            shape = tuple(context.get_binding_shape(i))
            dtype = np.int32 if engine.get_binding_dtype(i) == trt.int32 else np.float32
            host = np.zeros((batch, *shape) if batch else shape, dtype)
        device = ctypes.c_void_p()
        size = ctypes.c_size_t(max(host.nbytes, 1))
        checked(cuda.cudaMalloc(ctypes.byref(device), size))
        checked(cuda.cudaMemcpy(device, host.ctypes.data_as(ctypes.c_void_p), size, 1))
        pointers.append(device.value or 0)
        hosts.append(host)
    done = context.execute(batch, pointers) if batch else context.execute_v2(pointers)
    checked(cuda.cudaDeviceSynchronize())
    if not done:
        raise RuntimeError("execution failed")
    outputs = []
    for i, host in enumerate(hosts):
        if not engine.binding_is_input(i):
            size = ctypes.c_size_t(host.nbytes)
            checked(
                cuda.cudaMemcpy(host.ctypes.data_as(ctypes.c_void_p), ctypes.c_void_p(pointers[i]), size, 2)
            )
            outputs.append(host)
    return outputs


def compare(found: Arrays, wanted: Sequence[np.ndarray]) -> dict[str, Any]:
    """Return for each output the worst error, and how many numbers are off by more than 1e-4 of the
    largest.
    """
    rows = []
    for mine, theirs in zip(wanted, found, strict=True):
        if len(mine) == 1 and theirs.shape[1:] == mine.shape[1:]:
            theirs = theirs[:1]  # the same for all pictures
        if mine.size != theirs.size:
            rows.append({"shape": list(theirs.shape), "reference": list(mine.shape)})
            continue
        a, b = np.asarray(mine), theirs.reshape(mine.shape)
        if (
            a.dtype == np.float32
            and a.size
            and bool(np.all((a.view(np.int32) >= 0) & (a.view(np.int32) < 1 << 20)))
        ):
            a, b = a.view(np.int32), np.ascontiguousarray(b).view(np.int32)
        gap = np.abs(a.astype(np.float64) - b.astype(np.float64))
        gap[np.isnan(a.astype(np.float64)) & np.isnan(b.astype(np.float64))] = 0
        limit = 1e-4 * max(1.0, float(np.nanmax(np.abs(a))) if a.size else 1.0)
        largest = float(np.nanmax(np.abs(a.astype(np.float64)))) if a.size else 0.0
        rows.append(
            {
                "shape": list(b.shape),
                "worst": float(np.nanmax(gap)) if gap.size else 0.0,
                "largest": largest,
                "off": int((~(gap <= limit)).sum()),
                "of": int(gap.size),
            }
        )
    return {"outputs": rows}


def one(index: int, folder: Path) -> int:
    """Run one case and write what was seen, arrays included."""
    case = cases()[index]
    inputs = made_inputs(case)
    wanted = expected(case, inputs)
    found = genuine(case, inputs)
    entry = compare(found, wanted)
    arrays = {
        f"{name}{i}": a for name, group in (("found", found), ("wanted", wanted)) for i, a in enumerate(group)
    }
    np.savez_compressed(folder / f"{index}.npz", **arrays)
    (folder / f"{index}.json").write_text(json.dumps(entry))
    return 0


def check() -> int:
    """Run the references alone."""
    failed = 0
    for case in cases():
        try:
            outputs = expected(case, made_inputs(case))
            print(case.op, "|", case.name, "|", [f"{a.dtype}{list(a.shape)}" for a in outputs])
        except Exception as exc:
            failed += 1
            print(case.op, "|", case.name, "|", f"{type(exc).__name__}: {exc}")
    return 1 if failed else 0


def run(out: Path, words: Sequence[str], workers: int = 12) -> int:
    """Run the cases whose op or name holds one of ``words`` (all without any), each in a process of its
    own.
    """
    folder = out.parent / f"{out.stem}-arrays"
    folder.mkdir(parents=True, exist_ok=True)
    chosen = [
        (i, c) for i, c in enumerate(cases()) if not words or any(w in f"{c.op} {c.name}" for w in words)
    ]

    def child(item: tuple[int, Case]) -> dict[str, Any]:
        index, case = item
        entry: dict[str, Any] = {"op": case.op, "case": case.name}
        command = [sys.executable, __file__, "one", str(index), str(folder)]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT)
        except subprocess.TimeoutExpired:
            return entry | {"failed": f"no answer in {TIMEOUT} s"}
        result = folder / f"{index}.json"
        if done.returncode == 0 and result.is_file():
            entry |= json.loads(result.read_text())
        else:
            entry["failed"] = (
                f"exit {done.returncode}: "
                + " | ".join((done.stdout + done.stderr).strip().splitlines()[-4:])[:600]
            )
        print(json.dumps(entry)[:400], flush=True)
        return entry

    with ThreadPoolExecutor(workers) as pool:
        results = list(pool.map(child, chosen))
    out.write_text(json.dumps(results, indent=1) + "\n")
    return 0


def main(arguments: Sequence[str]) -> int:
    match list(arguments):
        case ["check"]:
            return check()
        case ["run", out, *words]:
            return run(Path(out), words)
        case ["one", index, folder]:
            return one(int(index), Path(folder))
    print(__doc__, file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
