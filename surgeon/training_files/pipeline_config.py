"""What a ``pipeline.config`` of the Object Detection API says of a detector: a second witness beside its
graph.

Fields that are not written have the defaults of the message definitions (tensorflow/models,
research/object_detection/protos). What the file says of training is passed over.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from surgeon.diagnostics import Span, error
from surgeon.display import plural
from surgeon.training_files.text_format import Message, Stated, nested, parse_text, read_text

Boxes = npt.NDArray[np.float32]

CONVERTERS = ("identity", "sigmoid", "softmax")
_LARGEST = 10_000_000
"""Anchors up to which a generator is computed."""


class AnchorGenerator(Protocol):
    """A generator of anchors, as a pipeline config describes it."""

    @property
    def kind(self) -> str:
        """Name of its message."""

    def anchors(self, maps: Sequence[tuple[int, int]], size: tuple[int, int]) -> Boxes | None:
        """Return the anchors of feature maps (height, width) for an input of ``size`` (height, width in
        pixels).

        float32[P, 4]: ymin, xmin, ymax, xmax relative to the picture, layer by layer, row by row. None where
        the number of maps does not fit.
        """


@dataclass(frozen=True)
class SsdAnchors:
    """``ssd_anchor_generator``: scales as fractions of the shorter side; ratios are width by height."""

    num_layers: Stated[int]
    min_scale: Stated[float]
    max_scale: Stated[float]
    scales: Stated[tuple[float, ...]]
    aspect_ratios: Stated[tuple[float, ...]]
    interpolated_scale_aspect_ratio: Stated[float]
    reduce_boxes_in_lowest_layer: Stated[bool]
    base: tuple[float, float]
    strides: tuple[tuple[float, float], ...]
    offsets: tuple[tuple[float, float], ...]
    kind: str = "ssd_anchor_generator"

    def layer_scales(self) -> list[float]:
        """Return the scale of each layer, and the one that follows the last (1)."""
        if self.scales.value:
            return [*self.scales.value, 1.0]
        low, high = float(np.float32(self.min_scale.value)), float(np.float32(self.max_scale.value))
        last = max(1, self.num_layers.value - 1)
        return [low + (high - low) * layer / last for layer in range(self.num_layers.value)] + [1.0]

    def anchors(self, maps: Sequence[tuple[int, int]], size: tuple[int, int]) -> Boxes | None:
        """As :meth:`AnchorGenerator.anchors`.

        Source: multiple_grid_anchor_generator.py, create_ssd_anchors.
        """
        scales = self.layer_scales()
        if len(maps) != len(scales) - 1 or any(
            len(given) not in (0, len(maps)) for given in (self.strides, self.offsets)
        ):
            return None
        shorter = min(size)
        unit = (shorter / size[0] * self.base[0], shorter / size[1] * self.base[1])
        parts = []
        for layer, ((rows, columns), (scale, following)) in enumerate(
            zip(maps, pairwise(scales), strict=True)
        ):
            stride = (1 / rows, 1 / columns)
            if self.strides:
                stride = (self.strides[layer][0] / size[0], self.strides[layer][1] / size[1])
            offset = (stride[0] / 2, stride[1] / 2)
            if self.offsets:
                offset = (self.offsets[layer][0] / size[0], self.offsets[layer][1] / size[1])
            parts.append(_grid((rows, columns), self._shapes(layer, scale, following), unit, stride, offset))
        return _joined(parts)

    def _shapes(self, layer: int, scale: float, following: float) -> list[tuple[float, float]]:
        """Return (scale, aspect ratio) of each anchor at one location."""
        if layer == 0 and self.reduce_boxes_in_lowest_layer.value:
            return [(0.1, 1.0), (scale, 2.0), (scale, 0.5)]
        shapes = [(scale, ratio) for ratio in self.aspect_ratios.value]
        if self.interpolated_scale_aspect_ratio.value > 0:
            shapes.append((float(np.sqrt(scale * following)), self.interpolated_scale_aspect_ratio.value))
        return shapes


@dataclass(frozen=True)
class MultiscaleAnchors:
    """``multiscale_anchor_generator`` of feature pyramids.

    Sizes as multiples of the level's stride, 2 to its power.
    """

    min_level: Stated[int]
    max_level: Stated[int]
    anchor_scale: Stated[float]
    aspect_ratios: Stated[tuple[float, ...]]
    scales_per_octave: Stated[int]
    normalize_coordinates: Stated[bool]
    kind: str = "multiscale_anchor_generator"

    def anchors(self, maps: Sequence[tuple[int, int]], size: tuple[int, int]) -> Boxes | None:
        """As :meth:`AnchorGenerator.anchors`. Source: multiscale_grid_anchor_generator.py."""
        levels = range(self.min_level.value, self.max_level.value + 1)
        if len(maps) != len(levels):
            return None
        octave = [2 ** (step / self.scales_per_octave.value) for step in range(self.scales_per_octave.value)]
        shapes = [(scale, ratio) for ratio in self.aspect_ratios.value for scale in octave]
        # Pixels where the graph leaves them so; then the comparison with relative anchors says so.
        whole = size if self.normalize_coordinates.value else (1, 1)
        parts = []
        for grid, level in zip(maps, levels, strict=True):
            stride = 2.0**level
            unit = (stride * self.anchor_scale.value / whole[0], stride * self.anchor_scale.value / whole[1])
            offset = [stride / 2 if length % stride == 0 or length == 1 else 0.0 for length in size]
            parts.append(
                _grid(
                    grid,
                    shapes,
                    unit,
                    (stride / whole[0], stride / whole[1]),
                    (offset[0] / whole[0], offset[1] / whole[1]),
                )
            )
        return _joined(parts)


@dataclass(frozen=True)
class OtherAnchors:
    """A generator that is not computed here."""

    kind: str

    def anchors(self, maps: Sequence[tuple[int, int]], size: tuple[int, int]) -> Boxes | None:
        """Return None."""
        return None


@dataclass(frozen=True)
class TwoStages:
    """What a config of ``faster_rcnn`` says of the first stage, and of the cut between the stages.

    ``crop_size`` is the side of a region that is cut out, 0 where nothing says it. ``position_sensitive``
    says that the bins of a region have maps of their own, as in R-FCN.
    """

    stages: Stated[int]
    score_threshold: Stated[float]
    iou_threshold: Stated[float]
    proposals: Stated[int]
    crop_size: Stated[int]
    position_sensitive: bool


@dataclass(frozen=True)
class PipelineConfig:
    """What a pipeline config says of a detector's graph, each value with its place.

    ``architecture`` is ``ssd``, ``faster_rcnn`` or another message of ``model``, for which the rest says
    nothing. ``two_stages`` is there for ``faster_rcnn`` alone, whose suppression is the second stage's.
    ``shortest`` is the length to which a picture's shorter side is resized where its shape is kept, and not
    filled up.
    ``num_classes`` leaves the background out. ``size`` is height and width in pixels; ``coder`` the scale
    factors in the order y, x, height, width, or None for a coder without; ``score_converter`` is
    ``identity``, ``sigmoid`` or ``softmax``. ``label_map`` is the path as written, for the machine that
    trained.
    """

    file: str
    architecture: Stated[str]
    num_classes: Stated[int]
    extractor: Stated[str]
    resize: Stated[str]
    size: Stated[tuple[int, int]]
    resize_method: Stated[str]
    coder_kind: Stated[str]
    coder: Stated[tuple[float, float, float, float]] | None
    anchors: AnchorGenerator | None
    score_threshold: Stated[float]
    iou_threshold: Stated[float]
    max_per_class: Stated[int]
    max_total: Stated[int]
    score_converter: Stated[str]
    logit_scale: Stated[float]
    label_map: str
    shortest: Stated[int] | None = None
    two_stages: TwoStages | None = None


def read_pipeline_config(path: str | Path) -> PipelineConfig:
    """Read a ``pipeline.config``.

    Raise SurgeonError E101 if it cannot be read, D140 if it is not in text format, D141 for a field that is
    written twice or holds another kind of value, and D142 where it describes no detector.
    """
    return parse_pipeline_config(read_text(path), str(path))


def parse_pipeline_config(text: str, file: str = "<config>") -> PipelineConfig:
    """Read a pipeline config from its text; as :func:`read_pipeline_config`."""
    root = parse_text(text, file)
    if "model" not in root:
        names = (
            ", ".join(f"'{name}'" for name in dict.fromkeys(entry.name for entry in root.entries[:100]))
            or "nothing"
        )
        raise error(
            "D142",
            "the file is not a pipeline config: it has no 'model'",
            file,
            [f"it holds {names:.200}"],
            ["give the pipeline.config that the detector was exported with"],
        )
    kinds = root.message("model").entries
    if len(kinds) != 1:
        raise error(
            "D142",
            f"'model' holds {len(kinds)} architectures; expected one, such as 'ssd'",
            kinds[1].span if kinds else file,
        )
    architecture = Stated(kinds[0].name, kinds[0].span)
    model = nested(kinds[0]) if architecture.value in ("ssd", "faster_rcnn") else Message()
    in_two = architecture.value == "faster_rcnn"
    resize, size, method = _resizer(model.message("image_resizer"), file)
    coder_kind, coder = _coder(model.message("box_coder"))
    post = model.message("second_stage_post_processing" if in_two else "post_processing")
    suppression = post.message("batch_non_max_suppression")
    converter = post.choice("score_converter", "IDENTITY", [name.upper() for name in CONVERTERS])
    return PipelineConfig(
        file=file,
        architecture=architecture,
        num_classes=model.whole("num_classes", 0),
        extractor=model.message("feature_extractor").text("type", ""),
        resize=resize,
        size=size,
        resize_method=method,
        coder_kind=coder_kind,
        coder=coder,
        anchors=_anchors(model.message("anchor_generator"), file),
        score_threshold=suppression.number("score_threshold", 0.0),
        iou_threshold=suppression.number("iou_threshold", 0.6),
        max_per_class=suppression.whole("max_detections_per_class", 100),
        max_total=suppression.whole("max_total_detections", 100),
        score_converter=Stated(converter.value.lower(), converter.where),
        logit_scale=post.number("logit_scale", 1.0),
        label_map=_label_map(root),
        shortest=_shortest(model.message("image_resizer")),
        two_stages=_two_stages(model) if in_two else None,
    )


def _shortest(resizer: Message) -> Stated[int] | None:
    keep = resizer.message("keep_aspect_ratio_resizer")
    if "keep_aspect_ratio_resizer" not in resizer or keep.truth("pad_to_max_dimension", False).value:
        return None
    return keep.whole("min_dimension", 600)


def _two_stages(model: Message) -> TwoStages:
    return TwoStages(
        stages=model.whole("number_of_stages", 2),
        score_threshold=model.number("first_stage_nms_score_threshold", 0.0),
        iou_threshold=model.number("first_stage_nms_iou_threshold", 0.7),
        proposals=model.whole("first_stage_max_proposals", 300),
        crop_size=model.whole("initial_crop_size", 0),
        position_sensitive="rfcn_box_predictor" in model.message("second_stage_box_predictor"),
    )


def _resizer(resizer: Message, file: str) -> tuple[Stated[str], Stated[tuple[int, int]], Stated[str]]:
    """Return how pictures are fitted, to which size, and how pixels are interpolated."""
    methods = ("BILINEAR", "NEAREST_NEIGHBOR", "BICUBIC", "AREA")
    if "keep_aspect_ratio_resizer" in resizer:
        keep = resizer.message("keep_aspect_ratio_resizer")
        where = resizer.all("keep_aspect_ratio_resizer")[0].span
        longest = keep.whole("max_dimension", 1024)
        size = Stated((longest.value, longest.value), longest.where or where)
        return Stated("keep-aspect-ratio", where), size, keep.choice("resize_method", "BILINEAR", methods)
    fixed = resizer.message("fixed_shape_resizer")
    height, width = fixed.whole("height", 300), fixed.whole("width", 300)
    where_fixed = resizer.all("fixed_shape_resizer")
    if min(height.value, width.value) < 1:
        raise error(
            "D141",
            f"the picture's size is {height.value} x {width.value}; expected at least 1 pixel",
            height.where or width.where or file,
        )
    size = Stated((height.value, width.value), height.where or width.where)
    return (
        Stated("stretch", where_fixed[0].span if where_fixed else None),
        size,
        fixed.choice("resize_method", "BILINEAR", methods),
    )


def _coder(coder: Message) -> tuple[Stated[str], Stated[tuple[float, float, float, float]] | None]:
    """Return the kind of box coder and its scale factors y, x, height, width."""
    kind = (
        Stated(coder.entries[0].name, coder.entries[0].span)
        if coder.entries
        else Stated("faster_rcnn_box_coder")
    )
    if kind.value != "faster_rcnn_box_coder":
        return kind, None
    scales = coder.message(kind.value)
    named = [
        _one(scales, f"{name}_scale", default)
        for name, default in (("y", 10.0), ("x", 10.0), ("height", 5.0), ("width", 5.0))
    ]
    y, x, height, width = (each.value for each in named)
    return kind, Stated((y, x, height, width), next((each.where for each in named if each.where), kind.where))


def _anchors(generator: Message, file: str) -> AnchorGenerator | None:
    if not generator.entries:
        return None
    kind = generator.entries[0].name
    inside = generator.message(kind)
    if kind == "ssd_anchor_generator":
        return _ssd_anchors(inside, file)
    if kind == "multiscale_anchor_generator":
        return _multiscale_anchors(inside, file)
    return OtherAnchors(kind)


def _ssd_anchors(inside: Message, file: str) -> SsdAnchors:
    layers = inside.whole("num_layers", 6)
    if not 1 <= layers.value <= 100:
        raise error("D141", f"'num_layers' is {layers.value}; expected 1 to 100", layers.where or file)
    return SsdAnchors(
        num_layers=layers,
        min_scale=_one(inside, "min_scale", 0.2),
        max_scale=_one(inside, "max_scale", 0.95),
        scales=_many(inside, "scales"),
        aspect_ratios=_many(inside, "aspect_ratios"),
        interpolated_scale_aspect_ratio=_one(inside, "interpolated_scale_aspect_ratio", 1.0, least=0.0),
        reduce_boxes_in_lowest_layer=inside.truth("reduce_boxes_in_lowest_layer", True),
        base=(_one(inside, "base_anchor_height", 1.0).value, _one(inside, "base_anchor_width", 1.0).value),
        strides=_pairs(inside, "stride"),
        offsets=_pairs(inside, "offset"),
    )


def _multiscale_anchors(inside: Message, file: str) -> MultiscaleAnchors:
    low, high = inside.whole("min_level", 3), inside.whole("max_level", 7)
    if not 0 <= low.value <= high.value <= 30:
        raise error(
            "D141",
            f"the levels are {low.value} to {high.value}; expected an order within 0 to 30",
            low.where or high.where or file,
        )
    octave = inside.whole("scales_per_octave", 2)
    if not 1 <= octave.value <= 100:
        raise error("D141", f"'scales_per_octave' is {octave.value}; expected 1 to 100", octave.where)
    return MultiscaleAnchors(
        min_level=low,
        max_level=high,
        anchor_scale=_one(inside, "anchor_scale", 4.0),
        aspect_ratios=_many(inside, "aspect_ratios"),
        scales_per_octave=octave,
        normalize_coordinates=inside.truth("normalize_coordinates", True),
    )


_LEAST = 1e-6
_MOST = 1e6


def _one(inside: Message, name: str, default: float, least: float = _LEAST) -> Stated[float]:
    """Return a length or a factor; refuse what no detector can have."""
    stated = inside.number(name, default)
    _check_range(name, (stated.value,), stated.where, least)
    return stated


def _many(inside: Message, name: str, least: float = _LEAST) -> Stated[tuple[float, ...]]:
    stated = inside.numbers(name)
    _check_range(name, stated.value, stated.where, least)
    return stated


def _check_range(name: str, values: Sequence[float], where: Span | None, least: float) -> None:
    for value in values:
        if not least <= value <= _MOST:
            raise error("D141", f"'{name}' is {value:g}; expected {least:g} to {_MOST:g}", where)


def _pairs(inside: Message, name: str) -> tuple[tuple[float, float], ...]:
    """Return (height, width) of a stride or offset a layer."""
    high, wide = _many(inside, f"height_{name}", -_MOST), _many(inside, f"width_{name}", -_MOST)
    if len(high.value) != len(wide.value):
        raise error(
            "D141",
            f"there are {plural(len(high.value), 'value')} of 'height_{name}' and {len(wide.value)} of "
            f"'width_{name}'; "
            "expected as many",
            high.where or wide.where,
        )
    return tuple(zip(high.value, wide.value, strict=True))


def _label_map(root: Message) -> str:
    """Return the first label map that the readers of examples name."""
    for name in ("eval_input_reader", "eval_input_config", "train_input_reader", "train_input_config"):
        for entry in root.all(name):
            found = nested(entry).text("label_map_path", "").value
            if found:
                return found
    return ""


def _grid(
    grid: tuple[int, int],
    shapes: Sequence[tuple[float, float]],
    unit: tuple[float, float],
    stride: tuple[float, float],
    offset: tuple[float, float],
) -> npt.NDArray[np.float64]:
    """Return float64[rows * columns * shapes, 4], the corners of anchors on a grid."""
    rows, columns = grid
    if rows * columns * len(shapes) > _LARGEST:
        return np.zeros((0, 4))
    sides = np.array(
        [(scale / ratio**0.5 * unit[0], scale * ratio**0.5 * unit[1]) for scale, ratio in shapes]
    ).reshape(-1, 2)
    y = np.arange(rows) * stride[0] + offset[0]
    x = np.arange(columns) * stride[1] + offset[1]
    centres = np.stack(np.meshgrid(y, x, indexing="ij"), axis=-1).reshape(-1, 1, 2)
    return np.concatenate([centres - sides / 2, centres + sides / 2], axis=-1).reshape(-1, 4)


def _joined(parts: Sequence[npt.NDArray[np.float64]]) -> Boxes:
    return np.concatenate(parts).astype(np.float32) if parts else np.zeros((0, 4), np.float32)
