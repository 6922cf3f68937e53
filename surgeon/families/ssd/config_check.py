"""The second witness: what a pipeline config says, held against what the graph says of itself."""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from surgeon.diagnostics import Diagnostic, Severity, Span, SurgeonError
from surgeon.families.ssd.findings import Detector, Finding
from surgeon.training_files.pipeline_config import OtherAnchors, PipelineConfig
from surgeon.training_files.text_format import Stated

ANCHOR_TOLERANCE = 1e-5
"""Of the picture's side; both generators round float32 sums a few times, which is 1e-7, and a ratio written
as 0.33 for a third moves an anchor by more than 1e-3."""

INTERPOLATIONS = {"BILINEAR": ("tf1-bilinear", "half-pixel-bilinear"), "NEAREST_NEIGHBOR": ("nearest",)}
_RELATIVE = 1e-5


@dataclass(frozen=True)
class Testimony:
    """One value of the config beside the graph's.

    ``item`` is the field of the config, empty for the anchors as a whole; ``key`` the value of the recipe
    that it concerns (``NMS.topK``, ``image.size``); ``where`` the config's line, None where the field is not
    written and has its default.
    """

    item: str
    key: str
    said: str
    found: str
    agrees: bool
    where: Span | None
    evidence: tuple[str, ...] = ()

    def diagnostic(self, config: PipelineConfig) -> Diagnostic:
        """Return the warning of a disagreement."""
        default = "" if self.where else " by default"
        verb = "it is " if self.item else "there are "
        return Diagnostic(
            "D144",
            f"the pipeline config says {self._words}{default}; in the graph {verb}{self.found}",
            self.where or config.file,
            self.evidence[:3],
            ("the graph's value is in the recipe",),
            Severity.WARNING,
        )

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        return {
            "item": self.item,
            "key": self.key,
            "said": self.said,
            "found": self.found,
            "agrees": self.agrees,
            "line": self.where.line if self.where else None,
        }

    def comment(self, file: str) -> str:
        """Return what the recipe says of it."""
        place = f"{file}:{self.where.line}" if self.where else f"{file} (by default)"
        return (
            f"{place} agrees: {self._words}" if self.agrees else f"{place} says {self._words}; the graph wins"
        )

    @property
    def _words(self) -> str:
        return f"{self.item} {self.said}".strip()


@dataclass(frozen=True)
class _Question:
    """A value that both can be asked for.

    ``said`` gives None where the config's kind of detector has none.
    """

    item: str
    key: str
    said: Callable[[PipelineConfig], Stated[Any] | None]
    found: Callable[[Detector], Finding[Any]]
    same: Callable[[Any, Any], bool] = operator.eq


def hear(config: PipelineConfig, detector: Detector) -> tuple[Testimony, ...]:
    """Return every value of the config that the graph can be asked about, in the order of a recipe.

    A value that the graph does not tell is passed over.
    """
    if config.architecture.value != "ssd":
        family = detector.family
        return (_testimony("architecture", "name", config.architecture, family, False),)
    heard: list[Testimony] = []
    for question in _QUESTIONS:
        said = question.said(config)
        if said is None:
            continue
        try:
            found = question.found(detector)
        except SurgeonError:
            continue
        heard.append(
            _testimony(question.item, question.key, said, found, question.same(said.value, found.value))
        )
    return (*heard, *_anchors(config, detector))


def object_classes(detector: Detector) -> Finding[int]:
    """Return the number of classes without the background's."""
    classes = detector.classes
    return Finding(classes.value - (detector.background.value >= 0), classes.evidence)


def _anchors(config: PipelineConfig, detector: Detector) -> Iterator[Testimony]:
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
        text = "anchors for another number of feature maps" if said is None else f"{len(said)} anchors"
        yield Testimony(
            "",
            "GridAnchor",
            text,
            f"{len(found.value)} on {len(maps.value)} feature maps",
            False,
            where,
            found.evidence,
        )
        return
    distance = float(np.abs(said.astype(np.float64) - found.value).max(initial=0.0))
    agrees = distance <= ANCHOR_TOLERANCE
    text = "the same anchors" if agrees else f"anchors up to {distance:.2g} of the picture's side away"
    yield Testimony("", "GridAnchor", text, f"{len(found.value)} others", agrees, where, found.evidence)


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


def _testimony(item: str, key: str, stated: Stated[Any], found: Finding[Any], agrees: bool) -> Testimony:
    return Testimony(
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


def _image(pick: Callable[[Any], Any]) -> Callable[[Detector], Finding[Any]]:
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
    _Question("num_classes", "NMS.numClasses", lambda c: c.num_classes, object_classes),
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
