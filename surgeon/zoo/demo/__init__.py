"""The trained demo model, its label map, a few pictures, and the generator of more."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from surgeon.atomic import check_replaceable, make_folder, write_bytes

NAME = "ssd_mobilenet_v1_shapes"


@dataclass(frozen=True)
class DemoModel:
    """A small trained detector to try things on.

    Its frozen graph, its label map, and a folder of pictures.
    """

    model: Path
    labels: Path
    pictures: Path


def demo_model(folder: str | os.PathLike[str], *, force: bool = False) -> DemoModel:
    """Write the small detector of coloured shapes, its label map and four pictures into a folder; return
    where they are.

    Files of these names that hold something else are replaced only with ``force``. Raise SurgeonError E120
    for them, and E105 where the folder or a file cannot be written.
    """
    here = make_folder(Path(folder))
    made = DemoModel(here / "ssd.pb", here / "labels.pbtxt", make_folder(here / "pictures"))
    sources = {made.model: model_path(), made.labels: labels_path()}
    sources.update({made.pictures / picture.name: picture for picture in picture_paths()})
    contents = {path: source.read_bytes() for path, source in sources.items()}
    for path, content in contents.items():
        check_replaceable(path, content, force=force, follow_links=False)
    for path, content in contents.items():
        write_bytes(path, content, follow_links=False)
    return made


def model_path() -> Path:
    """Return the frozen graph: an SSD MobileNet v1 of 300 x 300 pixels that finds coloured shapes."""
    return _data("model.pb")


def labels_path() -> Path:
    """Return the label map, in the form of the Object Detection API."""
    return _data("labels.pbtxt")


def labels() -> Mapping[int, str]:
    """Return the names of the classes by number, from 1 on."""
    from surgeon.training_files.label_map import load_labels

    return load_labels(labels_path())


def picture_paths() -> tuple[Path, ...]:
    """Return pictures that the model was not trained on, by name."""
    return tuple(sorted(_data("samples").glob("*.jpg")))


def _data(name: str) -> Path:
    # The package is installed as files, never as an archive (zip_safe is off).
    return Path(str(files(__package__).joinpath(name)))
