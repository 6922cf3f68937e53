"""The second witness: what a pipeline config says, held against what the graph says of itself."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from surgeon.diagnostics import SurgeonError
from surgeon.display import plural
from surgeon.families.config_match import ConfigMatch
from surgeon.families.parts.config_questions import (
    RESIZE,
    RESIZE_METHOD,
    Question,
    answers,
    close,
    match,
    of_image,
    same_network,
)
from surgeon.training_files.pipeline_config import OtherAnchors, PipelineConfig
from surgeon.training_files.text_format import Stated

if TYPE_CHECKING:
    from surgeon.families.ssd.detector import SingleShotDetector

ANCHOR_TOLERANCE = 1e-5
"""Of the picture's side; both generators round float32 sums a few times, which is 1e-7, and a ratio written
as 0.33 for a third moves an anchor by more than 1e-3."""


def compare_with_config(config: PipelineConfig, detector: SingleShotDetector) -> tuple[ConfigMatch, ...]:
    """Return every value of the config that the graph can be asked about, in the order of a recipe.

    A value that the graph does not tell is passed over.
    """
    if config.architecture.value != "ssd":
        architecture = detector.architecture
        return (match("architecture", "name", config.architecture, architecture, False),)
    return (*answers(_QUESTIONS, config, detector), *_anchors(config, detector))


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


def _score_scale(config: PipelineConfig) -> Stated[Any] | None:
    """Return by what scores are multiplied, where the config divides by something."""
    scale = config.logit_scale
    return Stated(1 / scale.value, scale.where) if scale.value else None


def _variances(config: PipelineConfig) -> Stated[Any]:
    if config.coder is None:
        return config.coder_kind
    y, x, height, width = config.coder.value
    return Stated((1 / x, 1 / y, 1 / width, 1 / height), config.coder.where)


_QUESTIONS: tuple[Question[SingleShotDetector], ...] = (
    Question(
        "type",
        "name",
        lambda c: c.extractor if c.extractor.value else None,
        lambda d: d.backbone,
        same_network,
    ),
    RESIZE,
    Question("size", "image.size", lambda c: c.size, of_image(lambda image: tuple(image.size))),
    RESIZE_METHOD,
    Question("variances", "GridAnchor.variance", _variances, lambda d: d.coder, close),
    Question("num_classes", "NMS.numClasses", lambda c: c.num_classes, lambda d: d.object_classes),
    Question(
        "score_threshold",
        "NMS.confidenceThreshold",
        lambda c: c.score_threshold,
        lambda d: d.score_threshold,
        close,
    ),
    Question(
        "iou_threshold", "NMS.nmsThreshold", lambda c: c.iou_threshold, lambda d: d.iou_threshold, close
    ),
    Question("max_detections_per_class", "NMS.topK", lambda c: c.max_per_class, lambda d: d.max_per_class),
    Question("max_total_detections", "NMS.keepTopK", lambda c: c.max_total, lambda d: d.max_total),
    Question("score_converter", "NMS.confSigmoid", lambda c: c.score_converter, lambda d: d.score_converter),
    Question("scale of the scores", "NMS.confSigmoid", _score_scale, lambda d: d.logit_scale, close),
)
