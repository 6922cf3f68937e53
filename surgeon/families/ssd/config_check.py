"""The second witness: what a pipeline config says, held against what the graph says of itself."""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from surgeon.diagnostics import SurgeonError
from surgeon.display import plural
from surgeon.families.config_match import ConfigMatch
from surgeon.families.finding import Finding
from surgeon.training_files.pipeline_config import OtherAnchors, PipelineConfig
from surgeon.training_files.text_format import Stated

if TYPE_CHECKING:
    from surgeon.families.ssd.detector import SingleShotDetector

ANCHOR_TOLERANCE = 1e-5
"""Of the picture's side; both generators round float32 sums a few times, which is 1e-7, and a ratio written
as 0.33 for a third moves an anchor by more than 1e-3."""

INTERPOLATIONS = {"BILINEAR": ("tf1-bilinear", "half-pixel-bilinear"), "NEAREST_NEIGHBOR": ("nearest",)}
_RELATIVE = 1e-5


@dataclass(frozen=True)
class _Question:
    """A value that both can be asked for.

    ``said`` gives None where the config's kind of detector has none.
    """

    item: str
    key: str
    said: Callable[[PipelineConfig], Stated[Any] | None]
    found: Callable[[SingleShotDetector], Finding[Any]]
    same: Callable[[Any, Any], bool] = operator.eq


def compare_with_config(config: PipelineConfig, detector: SingleShotDetector) -> tuple[ConfigMatch, ...]:
    """Return every value of the config that the graph can be asked about, in the order of a recipe.

    A value that the graph does not tell is passed over.
    """
    if config.architecture.value != "ssd":
        architecture = detector.architecture
        return (_match("architecture", "name", config.architecture, architecture, False),)
    matches: list[ConfigMatch] = []
    for question in _QUESTIONS:
        said = question.said(config)
        if said is None:
            continue
        try:
            found = question.found(detector)
        except SurgeonError:
            continue
        matches.append(
            _match(question.item, question.key, said, found, question.same(said.value, found.value))
        )
    return (*matches, *_anchors(config, detector))


def _anchors(config: PipelineConfig, detector: SingleShotDetector) -> Iterator[ConfigMatch]:
    generator = config.anchors
    if generator is None:
        return
    try:
        maps, image, found = detector.feature_maps, detector.image.value, detector.anchors
    except SurgeonError:
        return
    said = generator.anchors(maps.value, (image.size[0], image.size[1]))
    if said is None and isinstance(generator, OtherAnchors):
        return
    where = getattr(getattr(generator, "aspect_ratios", None), "where", None)
    if said is None or said.shape != found.value.shape:
        text = (
            "anchors for another number of feature maps" if said is None else f"{plural(len(said), 'anchor')}"
        )
        yield ConfigMatch(
            "",
            "GridAnchor",
            text,
            f"{len(found.value)} on {plural(len(maps.value), 'feature map')}",
            False,
            where,
            found.evidence,
        )
        return
    distance = float(np.abs(said.astype(np.float64) - found.value).max(initial=0.0))
    agrees = distance <= ANCHOR_TOLERANCE
    text = "the same anchors" if agrees else f"anchors up to {distance:.2g} of the picture's side away"
    yield ConfigMatch("", "GridAnchor", text, f"{len(found.value)} others", agrees, where, found.evidence)


def _words(name: str) -> frozenset[str]:
    """Return the words and numbers of an architecture's name: resnet, v1 and 50 of ``resnet50_v1``.

    Membership only.
    """
    return frozenset(re.findall(r"v[0-9]+|[a-z]+?(?=v?[0-9]|_|\Z)|[0-9]+", name.lower()))


def _score_scale(config: PipelineConfig) -> Stated[Any] | None:
    """Return by what scores are multiplied, where the config divides by something."""
    scale = config.logit_scale
    return Stated(1 / scale.value, scale.where) if scale.value else None


def _variances(config: PipelineConfig) -> Stated[Any]:
    if config.coder is None:
        return config.coder_kind
    y, x, height, width = config.coder.value
    return Stated((1 / x, 1 / y, 1 / width, 1 / height), config.coder.where)


def _close(said: Any, found: Any) -> bool:
    """Return whether numbers are the same but for the rounding to float32; anything else is not."""
    pairs = zip(said, found, strict=True) if isinstance(said, tuple) else [(said, found)]
    return not isinstance(said, str) and all(math.isclose(a, b, rel_tol=_RELATIVE) for a, b in pairs)


def _match(item: str, key: str, stated: Stated[Any], found: Finding[Any], agrees: bool) -> ConfigMatch:
    return ConfigMatch(
        item, key, _shown(stated.value), _shown(found.value), agrees, stated.where, found.evidence
    )


def _shown(value: Any) -> str:
    if isinstance(value, tuple | list):
        return (
            " x ".join(map(str, value))
            if all(isinstance(each, int) for each in value)
            else "[" + ", ".join(map(_shown, value)) + "]"
        )
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _image(pick: Callable[[Any], Any]) -> Callable[[SingleShotDetector], Finding[Any]]:
    return lambda detector: Finding(pick(detector.image.value), detector.image.evidence)


_QUESTIONS = (
    _Question(
        "type",
        "name",
        lambda c: c.extractor if c.extractor.value else None,
        lambda d: d.backbone,
        lambda a, b: _words(b) <= _words(a),
    ),
    _Question("image_resizer", "image.resize", lambda c: c.resize, _image(lambda image: image.resize)),
    _Question("size", "image.size", lambda c: c.size, _image(lambda image: tuple(image.size))),
    _Question(
        "resize_method",
        "image.interpolation",
        lambda c: c.resize_method,
        _image(lambda image: image.interpolation),
        lambda a, b: b in INTERPOLATIONS.get(a, ()),
    ),
    _Question("variances", "GridAnchor.variance", _variances, lambda d: d.coder, _close),
    _Question("num_classes", "NMS.numClasses", lambda c: c.num_classes, lambda d: d.object_classes),
    _Question(
        "score_threshold",
        "NMS.confidenceThreshold",
        lambda c: c.score_threshold,
        lambda d: d.score_threshold,
        _close,
    ),
    _Question(
        "iou_threshold", "NMS.nmsThreshold", lambda c: c.iou_threshold, lambda d: d.iou_threshold, _close
    ),
    _Question("max_detections_per_class", "NMS.topK", lambda c: c.max_per_class, lambda d: d.max_per_class),
    _Question("max_total_detections", "NMS.keepTopK", lambda c: c.max_total, lambda d: d.max_total),
    _Question("score_converter", "NMS.confSigmoid", lambda c: c.score_converter, lambda d: d.score_converter),
    _Question("scale of the scores", "NMS.confSigmoid", _score_scale, lambda d: d.logit_scale, _close),
)
