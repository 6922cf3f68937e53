"""What the plugins in the place of a single-shot detector's post-processing read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from surgeon.families.parts.scores import convert_scores, logits_of
from surgeon.graph import AttrValue, Ref

if TYPE_CHECKING:
    from surgeon.families.ssd.detector import SingleShotDetector


def plugin_inputs(
    detector: SingleShotDetector, fields: Mapping[str, AttrValue], values: Mapping[Ref, np.ndarray]
) -> dict[str, np.ndarray]:
    """Return encodings, scores and anchors by port, from the values of the original's tensors.

    Scores are converted where the plugin does not do so itself. Raise SurgeonError where the original does
    not tell them.
    """
    return {
        "loc": _flat(values[detector.encodings.value]),
        "conf": _flat(_scores(detector, fields, values[detector.logits.value])),
        "prior": detector.anchor_input(values),
    }


def _scores(detector: SingleShotDetector, fields: Mapping[str, AttrValue], logits: np.ndarray) -> np.ndarray:
    """Return the scores as the plugin takes them: scaled and converted, but for what it does itself."""
    converter = detector.score_converter.value
    if "scoreConverter" in fields and (fields["scoreConverter"] or converter == "identity"):
        return logits
    scores = logits * np.float32(detector.logit_scale.value)
    return scores if fields.get("confSigmoid") else convert_scores(scores, converter)


def heads_for(
    detector: SingleShotDetector, boxes: np.ndarray, scores: np.ndarray, values: Mapping[Ref, np.ndarray]
) -> dict[Ref, np.ndarray]:
    """Return encodings and logits by tensor, in the shapes that ``values`` have.

    They stand for boxes float32[P, 4] (ymin, xmin, ymax, xmax) and probabilities float32[P, C] without the
    background's.

    Raise SurgeonError D107 where no scores can be that low.
    """
    original = detector.postprocessing
    anchors = detector.anchors_among(values)[: len(boxes)]
    x, y, width, height = original.variances.value
    size, anchor_size = boxes[:, 2:] - boxes[:, :2], anchors[:, 2:] - anchors[:, :2]
    offset = (boxes[:, 2:] + boxes[:, :2] - anchors[:, 2:] - anchors[:, :2]) / 2
    encoded = np.concatenate(
        [offset / anchor_size / np.array([y, x]), np.log(size / anchor_size) / np.array([height, width])],
        axis=1,
    )
    converter = original.score_converter.value
    if original.background.value == 0:
        scores = np.concatenate([1 - scores.sum(axis=1, keepdims=True), scores], axis=1)
    elif converter == "softmax":
        raise detector.fail("D107", "no scores are made up for a softmax without a class for the background")
    logits = logits_of(scores, converter)
    found = {
        detector.encodings.value: encoded,
        detector.logits.value: logits / np.float32(original.score_scale.value),
    }
    return {ref: _like(values[ref], array) for ref, array in found.items()}


def _like(value: np.ndarray, array: np.ndarray) -> np.ndarray:
    """Return an array of one picture as a value with a batch has it: the same for each picture."""
    one = array.astype(np.float32).reshape(1, *value.shape[1:])
    return np.ascontiguousarray(np.broadcast_to(one, value.shape))


def _flat(array: np.ndarray) -> np.ndarray:
    """Return float32[N, ...] as float32[N, X, 1, 1]."""
    return array.reshape(len(array), -1, 1, 1).astype(np.float32)
