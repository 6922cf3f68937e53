"""Which outputs of a plugin hold detections: told by the names of its ports, here alone."""

from __future__ import annotations

from collections.abc import Sequence

ROWS = "detections"
LISTS = ("num_detections", "boxes", "scores", "classes")
"""Ports that hold detections: rows of image, label, score and corners, or a list for each."""


def gives_detections(ports: Sequence[str]) -> bool:
    """Return whether outputs of these names are detections."""
    return ROWS in ports or set(LISTS) <= set(ports)
