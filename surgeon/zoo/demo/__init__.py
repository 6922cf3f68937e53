"""The trained demo model, its label map, a few pictures, and the generator of more."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path

NAME = "ssd_mobilenet_v1_shapes"


def model_path() -> Path:
    """Return the frozen graph: an SSD MobileNet v1 of 300 x 300 pixels that finds coloured shapes."""
    return _data("model.pb")


def labels_path() -> Path:
    """Return the label map, in the form of the Object Detection API."""
    return _data("labels.pbtxt")


def labels() -> Mapping[int, str]:
    """Return the names of the classes by number, from 1 on."""
    from surgeon.derive.authoring.label_map import load_labels

    return load_labels(labels_path())


def picture_paths() -> tuple[Path, ...]:
    """Return pictures that the model was not trained on, by name."""
    return tuple(sorted(_data("samples").glob("*.jpg")))


def _data(name: str) -> Path:
    # The package is installed as files, never as an archive (zip_safe is off).
    return Path(str(files(__package__).joinpath(name)))
