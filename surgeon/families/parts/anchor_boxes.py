"""Boxes encoded against anchors: the formulas of the codings that NMS_TRT knows by number.

Corners are float64[P, 4]: xmin, ymin, xmax, ymax. Source: decodeBBoxes.cu of TensorRT 8.5.
"""

from __future__ import annotations

import numpy as np

from surgeon.families.postprocessing import Coding

Variances = tuple[float, float, float, float]

_SWAPPED = [1, 0, 3, 2]
"""From x first to y first, and back."""


def prior_boxes(anchors: np.ndarray, variances: tuple[float, ...]) -> np.ndarray:
    """Return float32[1, 2, 4P, 1] of anchors float32[P, 4] (ymin, xmin, ymax, xmax) and four variances.

    The first channel holds xmin, ymin, xmax, ymax of each anchor, the second the variances of each.
    """
    corners = anchors[:, [1, 0, 3, 2]].reshape(-1)
    repeated = np.tile(np.asarray(variances, np.float32), len(anchors))
    return np.stack([corners, repeated]).astype(np.float32).reshape(1, 2, -1, 1)


def coded(coding: Coding, anchors: np.ndarray, codes: np.ndarray, variances: Variances) -> np.ndarray:
    """Return the corners that encodings float64[P, 4] mean."""
    centre, size = _centres(anchors)
    scaled = (codes[:, _SWAPPED] if coding == "centre-size" else codes) * np.array(variances)
    if coding == "corners-by-size":
        return np.asarray(anchors + scaled * np.tile(size, 2))
    middle, half = centre + scaled[:, :2] * size, np.exp(scaled[:, 2:]) * size / 2
    return np.concatenate([middle - half, middle + half], axis=1)


def linear_variances(coding: Coding, anchors: np.ndarray, ones: np.ndarray) -> Variances | None:
    """Return the factors of encodings, measured on the corners ``ones`` that encodings of 1 decode to.

    None where they cannot be measured.
    """
    centre, size = _centres(anchors)
    usable = (size > 1e-6).all(axis=1)
    if ones.shape != anchors.shape or not usable.any():
        return None
    with np.errstate(all="ignore"):
        if coding == "corners-by-size":
            shares = (ones - anchors) / np.tile(size, 2)
        else:
            centre_1, size_1 = _centres(ones)
            shares = np.concatenate([(centre_1 - centre) / size, np.log(size_1 / size)], axis=1)
        found = np.median(shares[usable], axis=0)
    if not np.isfinite(found).all() or not found.all():
        return None
    a, b, c, d = (float(value) for value in found)
    return a, b, c, d


def encodings_for(
    coding: Coding, anchors: np.ndarray, corners: np.ndarray, variances: Variances
) -> np.ndarray:
    """Return the encodings float64[P, 4] of corners, those of boxes without an area where the coding has
    some.
    """
    centre, size = _centres(anchors)
    if coding == "corners-by-size":
        return np.asarray((corners - anchors) / np.tile(size, 2) / np.array(variances))
    middle, own = _centres(corners)
    shares = np.concatenate([(middle - centre) / size, np.log(own / size)], axis=1)
    codes = np.asarray(shares / np.array(variances))
    return codes[:, _SWAPPED] if coding == "centre-size" else codes


def _centres(corners: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return (corners[:, :2] + corners[:, 2:]) / 2, corners[:, 2:] - corners[:, :2]
