"""What a network gives for one picture."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from surgeon.diagnostics import SurgeonError, error
from surgeon.runners.detections import Detections
from surgeon.runners.drawing import corners
from surgeon.runners.masks import pasted, run_lengths

THRESHOLD = 0.3
"""Score that a detection needs to be shown unless another is asked for."""

_LARGEST = 5
"""Values of an output that are shown where a network gives no detections."""


@dataclass(frozen=True, eq=False)
class ImageResult:
    """The result of a network for one picture.

    ``picture`` is its name and ``size`` its height and width in pixels. ``detections`` are relative to the
    picture, the best first; None if the network gives none. ``outputs`` holds the network's outputs for
    this picture, without the batch, if it gives no detections or if you asked for them. ``drawn`` and
    ``tensors`` are the files written.
    """

    picture: str
    file: Path | None
    size: tuple[int, int]
    detections: Detections | None
    labels: Mapping[int, str] = field(default_factory=dict)
    outputs: Mapping[str, np.ndarray] = field(default_factory=dict)
    drawn: Path | None = None
    tensors: Path | None = None

    def to_json(self) -> dict[str, Any]:
        """Return plain values; a number that is not finite is None."""
        found: dict[str, Any] = {
            "picture": self.picture,
            "file": None if self.file is None else str(self.file),
            "size": {"height": self.size[0], "width": self.size[1]},
        }
        if self.detections is not None:
            found["detections"] = self.rows()
        else:
            found["outputs"] = {
                name: {"shape": list(value.shape), "dtype": str(value.dtype), "largest": self.largest(name)}
                for name, value in self.outputs.items()
            }
        written = {"drawn": self.drawn, "tensors": self.tensors}
        return {**found, **{key: str(path) for key, path in written.items() if path is not None}}

    def rows(self) -> list[dict[str, Any]]:
        """Return the detections: class, label, score, box (ymin, xmin, ymax, xmax), pixels (left, top, right,
        bottom); and, where the network gives masks, ``segmentation``, which pixels of the picture are
        covered, as COCO writes it (``size`` and run lengths ``counts``).
        """
        if self.detections is None:
            return []
        found = self.detections
        pixels = corners(found.boxes, self.size[1], self.size[0]).tolist()
        columns = zip(
            found.classes.tolist(), found.scores.tolist(), found.boxes.tolist(), pixels, strict=True
        )
        rows: list[dict[str, Any]] = [
            {
                "class": number,
                "label": self.labels.get(number),
                "score": score,
                "box": list(map(_finite, box)),
                "pixels": place,
            }
            for number, score, box, place in columns
        ]
        masks = () if found.masks is None else found.masks
        for row, mask, box in zip(rows, masks, found.boxes, strict=False):
            row["segmentation"] = run_lengths(pasted(mask, box, self.size))
        return rows

    def largest(self, name: str) -> list[dict[str, Any]]:
        """Return the largest values of an output, with their places and, along a single axis, the labels of
        these.
        """
        value = np.asarray(self.outputs[name])
        if value.dtype.kind not in "iuf" or not value.size:
            return []
        flat = (
            np.where(np.isnan(value), -np.inf, value).reshape(-1)
            if value.dtype.kind == "f"
            else value.reshape(-1).astype(np.float64)
        )
        count = min(_LARGEST, flat.size)
        best = np.argpartition(-flat, count - 1)[:count]
        best = best[np.lexsort((best, -flat[best]))]
        single = value.size == max(value.shape, default=1)
        places = [[int(i) for i in np.unravel_index(at, value.shape)] for at in best.tolist()]
        return [
            {
                "index": place,
                "label": self.labels.get(at) if single else None,
                "value": _finite(float(value.reshape(-1)[at])),
            }
            for place, at in zip(places, best.tolist(), strict=True)
        ]


def _finite(value: float) -> float | None:
    return value if np.isfinite(value) else None


def check_threshold(threshold: float) -> float:
    """Return the threshold; raise SurgeonError V119 where it is none."""
    if not 0 <= threshold <= 1:
        raise error(
            "V119",
            f"the threshold is {threshold}; expected 0 to 1, the score that a detection needs",
            help=[f"leave it out for {THRESHOLD:g}"],
        )
    return threshold


def report(
    results: Iterable[ImageResult], threshold: float, refused: Iterable[SurgeonError] = ()
) -> dict[str, Any]:
    """Return plain values of what was found in some pictures, and of what could not be read."""
    return {
        "threshold": threshold,
        "pictures": [each.to_json() for each in results],
        "diagnostics": [d.to_json() for exc in refused for d in exc.diagnostics],
    }
