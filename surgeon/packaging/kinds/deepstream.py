"""A folder for DeepStream: the configuration of Gst-nvinfer, and a parser of the network's detections.

Keys and their meaning: NVIDIA's page on Gst-nvinfer, and the sources of nvinfer in NVIDIA/DeepStream, v9.0.0
and v9.1.0; docs/deepstream.md says which release has which key.
"""

from __future__ import annotations

import math
import re
import shutil
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib.resources import as_file, files
from pathlib import Path

import numpy as np

from surgeon.atomic import write_text
from surgeon.catalog.detections import gives_detections, masks_among, rows_among
from surgeon.diagnostics import Diagnostic, Severity, SurgeonError, error
from surgeon.display import plural
from surgeon.engine.sources import for_another_runtime
from surgeon.language.recipe import BRIGHTNESS, Image
from surgeon.packaging.description import Description
from surgeon.packaging.kind import PackagedModel, PackageKind
from surgeon.packaging.normalization import Normalization, normalization
from surgeon.packaging.nvinfer_parser import FUNCTION, parser_text
from surgeon.packaging.template import filled
from surgeon.runners.image import CHANNELS
from surgeon.runners.image_result import THRESHOLD
from surgeon.runners.masks import INSIDE
from surgeon.version import __version__

CONFIG, APP_CONFIG, LABELS = "config_infer_primary.txt", "deepstream_app.txt", "labels.txt"
LIBRARY = "nvds_surgeon_parser"
CALIBRATION = "calibration.cache"

_NCHW, _NHWC = 0, 1
_COLORS = {"RGB": 0, "BGR": 1, "GRAY": 2}
_MODES = {"fp32": 0, "int8": 1, "fp16": 2}
_NEAREST, _BILINEAR = 0, 1
_NO_CLUSTERING = 4
_DETECTOR, _INSTANCE_SEGMENTATION = 0, 3
_CLOSE = 1e-6
"""Factors and pixels that differ by less, relative to the larger one, are the same in float32."""


@dataclass(frozen=True)
class _Detector:
    """What of a model the files are made of: ``outputs`` are the engine's names by part of detections."""

    described: Description
    image: Image
    normalization: Normalization
    order: int
    outputs: Mapping[str, str]
    classes: int

    @property
    def model(self) -> str:
        """The name of the model's file in the folder; a configuration's values have no other characters."""
        return re.sub(r"[^\w.+-]", "_", self.described.source.name, flags=re.ASCII)


def check_for_deepstream(described: Description) -> tuple[Diagnostic, ...]:
    """Return a warning with what nvinfer does otherwise than the recipe says; none where there is nothing.

    Raise SurgeonError B107 for scales of another calibrator than nvinfer's, B152 for pictures that it cannot
    prepare, B153 for a model that does not say what a configuration needs, V104 for steps that do not fit the
    channels.
    """
    differences = tuple(_differences(_detector(described)))
    other = for_another_runtime(described.source.name, described.target)
    if not differences:
        return other
    return (
        *other,
        Diagnostic(
            "B154",
            f"nvinfer does {plural(len(differences), 'thing')} otherwise than the model says",
            notes=differences,
            help=("compare detections on your own pictures; README.md in the folder lists these, too",),
            severity=Severity.WARNING,
        ),
    )


def write_deepstream_folder(folder: Path, model: PackagedModel) -> None:
    """Write the files for DeepStream; raise SurgeonError E105 where one cannot be written."""
    detector = _detector(model.description)
    described = detector.described
    shutil.copyfile(model.source, folder / detector.model)
    if model.calibration is not None:
        shutil.copyfile(model.calibration, folder / CALIBRATION)
    write_text(folder / CONFIG, _config(detector))
    write_text(folder / APP_CONFIG, filled("deepstream-app.txt", config=CONFIG, batch=str(_batch(described))))
    write_text(folder / LABELS, "".join(f"{name}\n" for name in _labels(detector)))
    write_text(folder / "parser.cpp", parser_text(detector.outputs, detector.model))
    if described.native_plugins:
        with as_file(files("surgeon.plugins") / "native") as native:
            shutil.copytree(native, folder / "plugins", ignore=shutil.ignore_patterns("__pycache__"))
    linked = filled("deepstream-plugins.cmake.txt", library=LIBRARY) if described.native_plugins else ""
    write_text(folder / "CMakeLists.txt", filled("deepstream.cmake.txt", library=LIBRARY, plugins=linked))
    write_text(folder / "README.md", _readme(detector, model))


def _detector(described: Description) -> _Detector:
    if described.image is None:
        raise _lacks("how a picture becomes its input", "give the recipe an 'image', and the model beside it")
    bindings = {each.name: each.binding or each.name for each in described.outputs}
    outputs = {part: bindings[name] for part, name in described.detections.items() if name in bindings}
    if not gives_detections(outputs):
        raise _lacks(
            "which outputs hold detections",
            "give the recipe 'detections', or outputs of a plugin that suppresses boxes",
        )
    classes = described.classes
    if classes is None:
        raise _lacks(
            "how many classes there are",
            "give the recipe 'labels', as 'surgeon init --labels FILE' writes them",
        )
    order = _order(described, described.image)
    normal = normalization(described.image)
    _check_normalization(described.image, normal)
    if described.precision == "int8" and described.algorithm != "entropy" and not described.built_for:
        raise error(
            "B107",
            f"the scales for INT8 are of the {described.algorithm} calibrator; nvinfer takes those of the "
            "entropy calibrator",
            help=["calibrate with 'surgeon build --calibrator entropy', and package those scales"],
        )
    return _Detector(described, described.image, normal, order, outputs, classes)


def _order(described: Description, image: Image) -> int:
    """Return how nvinfer is to arrange the input; raise SurgeonError B153 for one that it cannot fill."""
    wanted = "expected one, a picture as float32"
    if len(described.inputs) != 1:
        listed = ", ".join(f"'{each.name}'" for each in described.inputs) or "none"
        raise _unfit(f"the network has {plural(len(described.inputs), 'input')} ({listed}); {wanted}")
    (only,) = described.inputs
    shape = tuple(only.shape[axis] for axis in only.axes) if only.axes else tuple(only.shape)
    height, width, channels = *image.size, CHANNELS[image.color]
    if only.dtype == "float32" and len(shape) == 4:
        first, last = (channels, height, width), (height, width, channels)
        for order, sizes, number in ((_NCHW, first, shape[1]), (_NHWC, last, shape[3])):
            known = all(size in (None, own) for size, own in zip(shape[1:], sizes, strict=True))
            if number == channels and known:
                return order
    shown = ", ".join("?" if size is None else str(size) for size in shape)
    raise _unfit(
        f"the input '{only.name}' is {only.dtype}[{shown}]; {wanted} of {channels} x {height} x {width}"
    )


def _check_normalization(image: Image, normal: Normalization) -> None:
    """Raise SurgeonError B152 for arithmetic that is not ``factor * (x - mean)`` with one positive factor."""
    with np.errstate(all="ignore"):
        factors = np.array(normal.factors).astype(np.float32)
        means = np.array(normal.means).astype(np.float32)
    if not (factors > 0).all() or not np.isfinite([factors, means]).all():
        problem = "its factors must be above 0, and all its numbers finite"
    elif not np.allclose(factors, factors[0], rtol=_CLOSE, atol=0):
        problem = "it has one factor for all channels"
    else:
        return
    raise error(
        "B152",
        f"the steps of 'image' make {_shown(image, normal)} of a pixel x; nvinfer computes "
        f"net-scale-factor * (x - offset), and {problem}",
        help=[
            "freeze the graph with that step in front of its first layer, and leave it out of 'image'",
            "or prepare pictures with Gst-nvdspreprocess and a library of your own",
        ],
    )


def _shown(image: Image, normal: Normalization) -> str:
    rows = zip(image.color if image.color != "GRAY" else "Y", normal.factors, normal.shifts, strict=True)
    return ", ".join(f"{factor:.6g} x {shift:+.6g} ({channel})" for channel, factor, shift in rows)


def _differences(detector: _Detector) -> Iterator[str]:
    image, normal = detector.image, detector.normalization
    if image.resize != "stretch":
        # Pixels of 8 bits reach from the shift to this.
        span = [abs(factor * 255) for factor in normal.factors]
        pairs = zip(normal.pad, normal.shifts, span, strict=True)
        if any(abs(pad - black) > _CLOSE * max(size, 1.0) for pad, black, size in pairs):
            yield (
                f"nvinfer fills what the picture leaves free with black, and the network then reads "
                f"{_listed(normal.shifts)} there; 'image' says {_listed(normal.pad)}"
            )
        yield (
            "the size of a picture that keeps its proportions is rounded down; 'image' rounds to the "
            "nearest pixel"
        )
        yield (
            "boxes that reach beyond the picture into what is filled are clipped where nvinfer knows "
            "crop-objects-to-roi-boundary; older releases drop those that end below the picture"
        )
    if image.interpolation == "tf1-bilinear":
        yield (
            "'image' interpolates as TensorFlow 1 does, without half-pixel centres; nvinfer has the bilinear "
            "filter of NvBufSurfTransform"
        )
    if image.color == "GRAY":
        own = image.brightness or BRIGHTNESS
        yield (
            f"'image' takes {_listed(own)} of red, green and blue for the brightness; nvinfer takes what the "
            "conversion of frames to GRAY8 gives"
        )
    if not detector.described.tf32 and not detector.described.built_for:
        yield "nvinfer has no key that turns TF32 off, which was asked for"


def _listed(values: Iterable[float]) -> str:
    texts = [f"{value:g}" for value in values]
    return texts[0] if len(set(texts)) == 1 else ", ".join(texts)


# Files


def _batch(described: Description) -> int:
    return described.batch or described.max_batch


def _config(detector: _Detector) -> str:
    described, image, normal = detector.described, detector.image, detector.normalization
    height, width = image.size
    (picture,) = described.inputs
    batch = _batch(described)
    model = detector.model
    engine = f"{model}_b{batch}_gpu0_{described.precision}.engine"
    masks = masks_among(detector.outputs) is not None
    keys: list[tuple[str, object]] = [("gpu-id", 0), ("process-mode", 1)]
    keys += [("network-type", _INSTANCE_SEGMENTATION if masks else _DETECTOR)]
    if described.dla_core is not None:
        keys += [("enable-dla", 1), ("use-dla-core", described.dla_core)]
    if described.built_for:
        keys += [("model-engine-file", model)]
    elif described.format == "uff":
        keys += [
            ("uff-file", model),
            ("uff-input-blob-name", picture.binding),
            ("uff-input-order", detector.order),
            ("output-blob-names", ";".join(described.marks)),
            ("model-engine-file", engine),
        ]
    else:
        keys += [("onnx-file", model), ("model-engine-file", engine)]
    keys += [
        ("batch-size", batch),
        ("network-mode", _MODES[described.precision]),
    ]
    if not described.built_for:
        keys += [("workspace-size", max(1, described.workspace >> 20))]
        keys += [("int8-calib-file", CALIBRATION)] if described.calibration else []
    keys += [
        ("infer-dims", f"{CHANNELS[image.color]};{height};{width}"),
        ("network-input-order", detector.order),
        ("model-color-format", _COLORS[image.color]),
        ("net-scale-factor", _number(normal.factors[0])),
        ("offsets", ";".join(map(_number, normal.means))),
        ("maintain-aspect-ratio", int(image.resize != "stretch")),
        ("symmetric-padding", int(image.resize == "letterbox")),
        ("scaling-filter", _NEAREST if image.interpolation == "nearest" else _BILINEAR),
        ("num-detected-classes", detector.classes),
        ("labelfile-path", LABELS),
        ("custom-lib-path", f"lib{LIBRARY}.so"),
        ("parse-bbox-instance-mask-func-name" if masks else "parse-bbox-func-name", FUNCTION),
        *([("output-instance-mask", 1), ("segmentation-threshold", INSIDE)] if masks else []),
        ("cluster-mode", _NO_CLUSTERING),
        ("crop-objects-to-roi-boundary", 1),
        ("interval", 0),
        ("gie-unique-id", 1),
    ]
    lines = [f"{key}={value}" for key, value in keys]
    top = _most_rows(detector)
    each = [f"pre-cluster-threshold={THRESHOLD:g}", *([] if top is None else [f"topk={top}"])]
    return filled(
        "deepstream-config.txt",
        model=detector.model,
        version=__version__,
        properties="\n".join(lines),
        classes="\n".join(each),
    )


def _number(value: float) -> str:
    return f"{value + 0.0:.9g}"


def _most_rows(detector: _Detector) -> int | None:
    """Return how many detections a picture may have; None where that is not known."""
    names = {each.binding or each.name: each.shape for each in detector.described.outputs}
    rows = rows_among(detector.outputs)
    sizes = names[rows[1] if rows is not None else detector.outputs["boxes"]][1:-1]
    return math.prod(filter(None, sizes)) if sizes and None not in sizes else None


def _labels(detector: _Detector) -> Iterator[str]:
    """Yield a name for each class; nvinfer takes a semicolon for the end of a name, and no empty line."""
    labels = detector.described.labels
    for number in range(detector.classes):
        name = " ".join(labels.get(number, "").replace(";", ",").split())
        background = number == 0 and bool(labels) and number not in labels
        yield name or ("background" if background else f"class {number}")


def _readme(detector: _Detector, model: PackagedModel) -> str:
    described = detector.described
    rows = {
        CONFIG: "the configuration of Gst-nvinfer",
        detector.model: "the engine" if described.built_for else "the model",
        "parser.cpp": "reads the network's outputs as boxes",
        "CMakeLists.txt": "builds the parser",
        LABELS: "a name for each class number",
        APP_CONFIG: "a configuration of deepstream-app to try it with",
    }
    if model.calibration is not None:
        rows[CALIBRATION] = "scales for an INT8 engine"
    if described.native_plugins:
        rows["plugins/"] = "sources of the plugins that the model needs beside TensorRT's own"
    if described.built_for:
        runs_on = f"The engine runs where it was built, with {described.built_for}."
        if described.plugin_libraries:
            runs_on += f" It was built with the plugin libraries {', '.join(described.plugin_libraries)}."
    elif described.format == "uff":
        runs_on = "DeepStream 6.0 to 7.0 read UFF; 7.1 has TensorRT 10, which reads ONNX alone."
    else:
        runs_on = "Any DeepStream from 6.0 on whose TensorRT reads the file."
    differences = [f"- {each[0].upper()}{each[1:]}." for each in _differences(detector)]
    return filled(
        "deepstream-readme.txt",
        name=described.name,
        version=__version__,
        target=described.target or "TensorRT",
        config=CONFIG,
        app=APP_CONFIG,
        library=LIBRARY,
        runs=runs_on,
        threshold=f"{THRESHOLD:g}",
        files="\n".join(f"| `{name}` | {text} |" for name, text in rows.items()),
        differences="\n".join(differences) + ("\n" if differences else ""),
    )


def _lacks(what: str, help_line: str) -> SurgeonError:
    return error(
        "B153",
        f"the model does not say {what}; expected it, for DeepStream to detect objects",
        help=[help_line],
    )


def _unfit(problem: str) -> SurgeonError:
    return error(
        "B153", problem, help=["nvinfer fills one input; give the network one that a picture becomes"]
    )


KIND = PackageKind(
    "deepstream",
    "a configuration of DeepStream's Gst-nvinfer, with a parser of the network's detections in C++",
    CONFIG,
    write_deepstream_folder,
    "build the parser where DeepStream is: cmake -S . -B build && cmake --build build; README.md says more",
    check=check_for_deepstream,
    takes_engines=True,
)
