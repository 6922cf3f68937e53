"""Detections as TensorFlow's detectors choose them, in numpy.

Sources: multiclass_non_max_suppression and class_agnostic_non_max_suppression of the TensorFlow Object
Detection API (core/post_processing.py), NonMaxSuppressionV5 of TensorFlow
(core/kernels/image/non_max_suppression_op.cc).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from surgeon.catalog.reference import Counterfactual
from surgeon.kernels.boxes.numbers import Overlap, area, clip
from surgeon.kernels.detection_output.numbers import TF_CENTER, decode, packed
from surgeon.kernels.suppression.numbers import Selection, descending, nms_by_class, soft_nms

COUNTERFACTUALS = (
    Counterfactual(
        "keep-all", "near-equal scores change places at the last detection that is kept", order=50
    ),
)
"""With ``keep-all`` every box that survives suppression is returned, whatever maxTotal says."""

CORNERS, CENTRE_SIZE = range(2)
"""Values of coding."""

IDENTITY, SIGMOID, SOFTMAX = range(3)
"""Values of scoreConverter."""

NEVER, BEFORE, AFTER = range(3)
"""Values of clip and dropEmpty: not at all, before suppression, after it."""

_AS_THEY_ARE = Overlap(sort_corners=False)


def detections(
    fields: Mapping[str, Any], inputs: Sequence[np.ndarray], changes: frozenset[str]
) -> list[np.ndarray]:
    """Return the detections, float32[N, 1, K, 7], and their number, float32[N, 1, 1, 1].

    A detection is image, label, score, xmin, ymin, xmax, ymax, best score first; the number holds the bits of
    an int32. K is maxTotal; with ``keep-all``, the most that survive in one picture. Inputs are those of
    SurgeonDetection.
    """
    scores = _scores(fields, inputs[1])
    boxes = _boxes(fields, inputs[0], inputs[2] if len(inputs) > 2 else None)
    keep = None if "keep-all" in changes else fields["maxTotal"]
    rows = [_picture(fields, boxes[n], scores[n], keep) for n in range(len(scores))]
    return packed(rows, keep)


def _boxes(fields: Mapping[str, Any], loc: np.ndarray, prior: np.ndarray | None) -> np.ndarray:
    """Return the boxes float32[N, P, L, 4] (xmin, ymin, xmax, ymax) as they go into suppression; L is 1 or
    the number of classes.
    """
    if fields["coding"] == CENTRE_SIZE:
        assert prior is not None
        boxes = decode(
            {"codeType": TF_CENTER, "varianceEncodedInTarget": 0, "isBatchAgnostic": 1}, loc, prior
        )
    else:
        each = 1 if fields["shareLocation"] else fields["classes"]
        boxes = loc.reshape(len(loc), -1, each, 4)[..., [1, 0, 3, 2]]
    return clip(boxes) if fields["clip"] == BEFORE else boxes


def _scores(fields: Mapping[str, Any], conf: np.ndarray) -> np.ndarray:
    """Return the scores float32[N, P, C], -inf for what is no candidate."""
    scores = conf.reshape(len(conf), -1, fields["classes"]) * np.float32(fields["scoreScale"])
    with np.errstate(over="ignore", invalid="ignore"):
        if fields["scoreConverter"] == SIGMOID:
            scores = np.float32(1) / (np.float32(1) + np.exp(-scores))
        elif fields["scoreConverter"] == SOFTMAX:
            power = np.exp(scores - scores.max(axis=-1, keepdims=True))
            scores = power / power.sum(axis=-1, keepdims=True)
    threshold = np.float32(fields["scoreThreshold"])
    passes = scores >= threshold if fields["scoreAtLeast"] else scores > threshold
    found: np.ndarray = np.where(passes, scores, np.float32(-np.inf))
    if fields["background"] >= 0:
        found[..., fields["background"]] = -np.inf
    return found


@dataclass(frozen=True, eq=False)
class _Candidates:
    """What is suppressed together, group by group, of one picture.

    ``boxes`` is float32[P, L, 4], ``scores`` float32[P, G]; L is 1 or G. ``labels`` is int64[P, G].
    """

    boxes: np.ndarray
    scores: np.ndarray
    labels: np.ndarray


def _picture(
    fields: Mapping[str, Any], boxes: np.ndarray, scores: np.ndarray, keep: int | None
) -> np.ndarray:
    """Return the detections of one picture, best first, float32[k, 6]: label, score and box."""
    candidates = _candidates(fields, boxes, scores)
    shown = clip(candidates.boxes) if fields["clip"] == AFTER else candidates.boxes
    hidden = _empty(shown) if fields["dropEmpty"] == AFTER else None
    select = _soft if fields["softSigma"] > 0 else _hard
    found = select(fields, candidates, keep, hidden)
    box = shown[found.candidate, np.minimum(found.label, shown.shape[1] - 1)]
    label = candidates.labels[found.candidate, found.label]
    return np.column_stack([label.astype(np.float32), found.score, box])


def _candidates(fields: Mapping[str, Any], boxes: np.ndarray, scores: np.ndarray) -> _Candidates:
    if fields["dropEmpty"] == BEFORE:
        scores = np.where(_empty(boxes), np.float32(-np.inf), scores)
    labels = np.broadcast_to(np.arange(scores.shape[1]), scores.shape)
    if not fields["classAgnostic"]:
        return _Candidates(boxes, scores, labels)
    best = scores.argmax(axis=1)[:, None]
    own = boxes if boxes.shape[1] == 1 else np.take_along_axis(boxes, best[..., None], axis=1)
    return _Candidates(own, np.take_along_axis(scores, best, axis=1), best)


def _empty(boxes: np.ndarray) -> np.ndarray:
    return area(boxes, _AS_THEY_ARE) <= 0


def _hard(
    fields: Mapping[str, Any], candidates: _Candidates, keep: int | None, hidden: np.ndarray | None
) -> Selection:
    boxes = candidates.boxes
    if boxes.shape[1] == 1:
        boxes = boxes[:, 0]
        hidden = None if hidden is None else hidden[:, 0]
    return nms_by_class(
        boxes,
        candidates.scores,
        threshold=fields["iouThreshold"],
        candidates=None,
        keep=keep,
        per_class=fields["maxPerClass"],
        hidden=hidden,
    )


def _soft(
    fields: Mapping[str, Any], candidates: _Candidates, keep: int | None, hidden: np.ndarray | None
) -> Selection:
    boxes, scores = candidates.boxes, candidates.scores
    places: list[tuple[int, int]] = []
    lowered: list[np.float32] = []
    for group in range(scores.shape[1]):
        own = min(group, boxes.shape[1] - 1)
        kept, found = soft_nms(
            boxes[:, own],
            scores[:, group],
            threshold=fields["iouThreshold"],
            sigma=fields["softSigma"],
            limit=fields["maxPerClass"],
            least=fields["scoreThreshold"],
        )
        seen = np.ones(len(kept), bool) if hidden is None else ~hidden[kept, own]
        places += [(group, int(box)) for box in kept[seen]]
        lowered += list(found[seen])
    score = np.array(lowered, np.float32)
    order = descending(score)[:keep]
    label, candidate = np.array(places, np.int64).reshape(-1, 2)[order].T
    return Selection(candidate, label, score[order])
