"""What a pipeline config of two stages says, held against what the graph says of itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from surgeon.families.config_match import ConfigMatch
from surgeon.families.finding import Finding
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
from surgeon.training_files.pipeline_config import PipelineConfig, TwoStages
from surgeon.training_files.text_format import Stated

if TYPE_CHECKING:
    from surgeon.families.faster_rcnn.detector import TwoStageDetector


def compare_with_config(config: PipelineConfig, detector: TwoStageDetector) -> tuple[ConfigMatch, ...]:
    """Return every value of the config that the graph can be asked about, in the order of a recipe.

    A value that the graph does not tell is passed over.
    """
    if config.two_stages is None:
        found = Finding("faster_rcnn", detector.regions.evidence)
        return (match("architecture", "name", config.architecture, found, False),)
    return tuple(answers(_QUESTIONS, config, detector))


def _of_first(
    pick: Callable[[TwoStages], Stated[Any]],
) -> Callable[[PipelineConfig], Stated[Any] | None]:
    return lambda config: None if config.two_stages is None else pick(config.two_stages)


def _stages(detector: TwoStageDetector) -> Finding[int]:
    masks = detector.outputs.value.get("masks")
    return Finding(2 if masks is None else 3, detector.outputs.evidence)


def _backbone(detector: TwoStageDetector) -> Finding[str]:
    if detector.backbone is None:
        raise detector.fail("D113", "the graph does not tell its backbone")
    return detector.backbone


def _square(detector: TwoStageDetector) -> Finding[int]:
    """Return the side to which the graph resizes square pictures, where it keeps the shape of a picture."""
    kept = detector.keeps_size
    if kept is None:
        raise detector.fail("D113", "the graph makes all pictures one size")
    return Finding(kept.value[0], kept.evidence)


def _crop_size(config: PipelineConfig) -> Stated[Any] | None:
    stages = config.two_stages
    if stages is None or stages.position_sensitive or not stages.crop_size.value:
        return None
    side = stages.crop_size
    return Stated((side.value, side.value), side.where)


_QUESTIONS: tuple[Question[TwoStageDetector], ...] = (
    Question("type", "name", lambda c: c.extractor if c.extractor.value else None, _backbone, same_network),
    Question("number_of_stages", "name", _of_first(lambda s: s.stages), _stages),
    RESIZE,
    Question(
        "size",
        "image.size",
        lambda c: c.size if c.shortest is None else None,
        of_image(lambda image: tuple(image.size)),
    ),
    Question("min_dimension", "parameters.height", lambda c: c.shortest, _square),
    RESIZE_METHOD,
    Question("num_classes", "NMS.classes", lambda c: c.num_classes, lambda d: d.classes),
    Question(
        "first_stage_nms_score_threshold",
        "first_stage.scoreThreshold",
        _of_first(lambda s: s.score_threshold),
        lambda d: d.first_score_threshold,
        close,
    ),
    Question(
        "first_stage_nms_iou_threshold",
        "first_stage.iouThreshold",
        _of_first(lambda s: s.iou_threshold),
        lambda d: d.first_iou_threshold,
        close,
    ),
    Question(
        "first_stage_max_proposals",
        "first_stage.maxTotal",
        _of_first(lambda s: s.proposals),
        lambda d: d.first_max,
    ),
    Question("initial_crop_size", "crops.crop_height", _crop_size, lambda d: d.crop_size),
    Question(
        "score_threshold",
        "NMS.scoreThreshold",
        lambda c: c.score_threshold,
        lambda d: d.score_threshold,
        close,
    ),
    Question(
        "iou_threshold", "NMS.iouThreshold", lambda c: c.iou_threshold, lambda d: d.iou_threshold, close
    ),
    Question(
        "max_detections_per_class", "NMS.maxPerClass", lambda c: c.max_per_class, lambda d: d.max_per_class
    ),
    Question("max_total_detections", "NMS.maxTotal", lambda c: c.max_total, lambda d: d.max_total),
)
