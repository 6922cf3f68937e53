"""Detections of either graph, relative to the picture."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeAlias

import numpy as np

from surgeon.catalog.detections import COUNT
from surgeon.graph import Ref
from surgeon.runners.detections import (
    WHOLE,
    Detections,
    Window,
    detections_of_original,
    detections_of_plugin,
    most_kept,
)
from surgeon.runners.tensorflow import Arrays
from surgeon.verification.counterfactuals import DROP_EMPTY, KEEP_ALL, WINDOW
from surgeon.verification.fed_pair import FedPair

PluginRun: TypeAlias = Callable[[str], Mapping[str, np.ndarray]]
"""Returns what holds detections by part, with the named rule changed; an empty name changes none."""


def detections_of(graphs: FedPair, run: PluginRun, window: Window, change: str = "") -> Detections:
    """Return what the plugin's outputs hold with a rule changed, relative to the picture."""
    plugin = graphs.plugin
    own = {} if plugin is None else graphs.runner.references[plugin.name].counterfactuals
    if change in (DROP_EMPTY, WINDOW) and KEEP_ALL in own:
        return detections_of(graphs, run, window, KEEP_ALL).proper(most_kept(run("")))
    size = None if graphs.image is None else graphs.image.size
    return _placed(graphs, detections_of_plugin(run(change), size)[0], window)


def original_detections(
    graphs: FedPair, values: Arrays, refs: Mapping[str, Ref], window: Window = WHOLE
) -> Detections:
    """Return what the original detects in the first picture of its batch, its classes counted as the
    plugin counts them; ``refs`` are its tensors by part.

    They are relative to ``window`` where the picture fills that part of what the original reads.
    """
    arrays = {part: values[ref] for part, ref in refs.items()}
    if graphs.family is not None and refs == graphs.family.outputs.value:
        arrays = dict(graphs.family.detected(values))
    parts = {COUNT if part == "count" else part: np.atleast_1d(array)[:1] for part, array in arrays.items()}
    if "boxes" in parts and parts["boxes"].shape[-1] == 4:
        parts["boxes"] = parts["boxes"].reshape(1, -1, 4)
    size = None if graphs.image is None else graphs.image.size
    found = detections_of_plugin(parts, size)[0]
    shift = graphs.family.class_shift if graphs.family is not None else 0
    found = detections_of_original(found.boxes, found.scores, found.classes, len(found), shift, found.masks)
    placed_by_graph = graphs.shared_input is None and not boxes_in_input(graphs)
    return found if placed_by_graph else _placed(graphs, found, window)


def boxes_in_input(graphs: FedPair) -> bool:
    """Return whether the original's boxes are relative to its network's input, padding included."""
    return graphs.family is not None and graphs.family.boxes_in_input


def _placed(graphs: FedPair, found: Detections, window: Window) -> Detections:
    """Return detections relative to the picture, clipped to it where the original itself puts the picture
    into the window, and clips to it.
    """
    clips = graphs.prepared_inputs and not boxes_in_input(graphs)
    return found.within(window) if clips else found.relative_to(window)
