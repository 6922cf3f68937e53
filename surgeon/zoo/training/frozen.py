"""A frozen detector of the Object Detection API as a function from a picture to detections."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from surgeon.formats.graphdef import load_graph
from surgeon.graph import Ref
from surgeon.runners.tensorflow import TensorFlowRunner
from surgeon.zoo.training.evaluation import Detect

_OUTPUTS = tuple(
    Ref(name) for name in ("detection_boxes", "detection_scores", "detection_classes", "num_detections")
)


def frozen_detector(model: Path) -> Detect:
    """Return what TensorFlow computes of one picture at a time.

    Raise SurgeonError where the file cannot be read or lacks an output, and E108 where TensorFlow is missing.
    """
    runner = TensorFlowRunner(load_graph(model), _OUTPUTS)
    placeholder = next(iter(runner.inputs))

    def detect(pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        found = runner.run({placeholder: pixels[None]})
        boxes, scores, classes, count = (found[str(ref)][0] for ref in _OUTPUTS)
        number = int(count)
        return boxes[:number], scores[:number], np.rint(classes[:number]).astype(int)

    return detect
