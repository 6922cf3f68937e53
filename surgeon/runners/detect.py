"""What a request to detect consists of, checked, and pictures run through to files and results."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from surgeon.atomic import write_text
from surgeon.diagnostics import SurgeonError, error
from surgeon.engine.worker_client import Watch
from surgeon.formats import format_by_suffix
from surgeon.language import Image, Recipe
from surgeon.rewrite import Plan
from surgeon.runners.detection_runner import DetectionRunner
from surgeon.runners.image import opened
from surgeon.runners.image_result import ImageResult, report
from surgeon.runners.result_folder import ResultFolder
from surgeon.runners.runner import FileRunner, runner_of
from surgeon.stages import tell_stage
from surgeon.training_files.label_map import load_labels


def is_network(name: str) -> bool:
    """Return whether a name is that of a network's file, of a kind that is not run, too; else of a recipe."""
    form = format_by_suffix(name)
    return runner_of(Path(name)) is not None or (form is not None and not form.rewritable)


def check_what(
    what: Any, model: object, image_from: object, *, tensors: bool = False, libraries: bool = False
) -> type[FileRunner] | None:
    """Return the runner of what is run, by the file's name; None for a recipe.

    ``tensors`` says that tensors are wanted and no folder is given for them, ``libraries`` that plugin
    libraries are given.

    Raise SurgeonError E101 for a file that is not there, V113 for things that do not go together, V115 for a
    kind of file that is not run.
    """
    path = Path(what) if isinstance(what, str | os.PathLike) else None
    kind = runner_of(path) if path is not None else None
    if tensors:
        raise _apart(
            "the network's outputs are wanted without a folder for them",
            "'-o DIR' says where they are written",
        )
    if libraries and not (kind is not None and kind.takes_libraries):
        raise _apart(
            "a plugin library is given, and no engine to load it for",
            "leave it out; on the CPU the plugins' references run",
        )
    if path is None or not is_network(str(path)):
        if model is None:
            raise _apart(
                f"'{getattr(what, 'name', what)}' is a recipe; expected a model beside it",
                "surgeon run RECIPE MODEL PICTURE..., or surgeon run ENGINE PICTURE... with a .engine file",
            )
        if image_from is not None:
            raise _apart(
                "'--image-from' goes with an engine; expected none beside a recipe, which says it itself",
                "leave it out",
            )
        return None
    if not os.path.isfile(path):
        raise error(
            "E101", f"the file '{path}' cannot be read: there is no such file", help=["check the path"]
        )
    if kind is None:
        form = format_by_suffix(path)
        assert form is not None
        raise error(
            "V115",
            f"'{path}' is {form.noun}, which is not run; expected an engine, an ONNX file, or a recipe and "
            "its model",
            str(path),
            help=["build an engine from it: surgeon build", "or run the recipe and the model on the CPU"],
        )
    if model is not None and image_from is None:
        raise _apart(
            "a model is given beside a file to run; expected the file alone",
            "a model goes with '--image-from RECIPE'",
        )
    return kind


def _apart(problem: str, help: str) -> SurgeonError:
    return error("V113", problem, help=[help])


def labels_of(labels: str | os.PathLike[str] | Mapping[int, str] | None) -> Mapping[int, str] | None:
    """Return the names of classes by number; None for none.

    Raise SurgeonError as :func:`load_labels` for a file.
    """
    return load_labels(Path(labels)) if isinstance(labels, str | os.PathLike) else labels


def image_of(recipe: Recipe, plan: Plan | None) -> Image:
    """Return how a recipe says a picture becomes the input; ``plan`` is needed for one that is derived.

    Raise SurgeonError V118 where the recipe says nothing, or leaves it to a model that is not there.
    """
    image = recipe.image if plan is None else plan.image
    if isinstance(image, Image):
        return image
    if image is None:
        raise error(
            "V118",
            f"the recipe '{recipe.name}' has no 'image'; expected one that says how a picture becomes the "
            "input",
            recipe.name,
            help=["give the recipe an 'image', or give another"],
        )
    raise error(
        "V118",
        f"the recipe '{recipe.name}' derives its 'image' from a model; expected the model, or sizes and "
        "steps",
        recipe.span("image"),
        help=["give the model with --model"],
    )


def detect_all(
    runner: DetectionRunner,
    pictures: Sequence[Any],
    batch: int | None,
    *,
    threshold: float,
    labels: Mapping[int, str] | None,
    folder: ResultFolder | None,
    tensors: bool,
    refused: Callable[[SurgeonError], None] | None,
    watch: Watch | None,
) -> tuple[ImageResult, ...]:
    """Return what is found in the pictures of :func:`listed`, written into ``folder``.

    The other arguments are ``detect``'s.
    """
    unread: list[SurgeonError] = []

    def refuse(exc: SurgeonError) -> None:
        if refused is None:
            raise exc
        unread.append(exc)
        refused(exc)

    results: list[ImageResult] = []
    read = opened(pictures, refuse)
    for picture, result in runner.detect(
        read, batch, threshold=threshold, labels=labels, keep_outputs=tensors
    ):
        results.append(result if folder is None else folder.write(picture, result, tensors=tensors))
        tell_stage("detecting", picture.name, len(results) + len(unread), len(pictures))
        if watch is not None:
            watch("run", "picture", len(results) + len(unread), len(pictures))
    if folder is not None:
        text = json.dumps(report(results, threshold, unread), indent=2, allow_nan=False)
        write_text(folder.path / "detections.json", text + "\n", follow_links=False)
    return tuple(results)
