"""``surgeon.detect``: what is detected in pictures."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from surgeon.diagnostics import SurgeonError
from surgeon.graph import Graph
from surgeon.language import Recipe
from surgeon.request import Options, PathLike, Request, takes_options

if TYPE_CHECKING:
    import numpy as np
    from typing_extensions import Unpack

    from surgeon.engine.worker_client import Watch
    from surgeon.runners.image_result import ImageResult


@takes_options
def detect(
    what: Recipe | PathLike,
    images: PathLike | Sequence[PathLike] | Sequence[np.ndarray],
    *,
    model: Graph | PathLike | None = None,
    labels: PathLike | Mapping[int, str] | None = None,
    threshold: float = 0.3,
    batch: int | None = None,
    image_from: Recipe | PathLike | None = None,
    plugin_libraries: Iterable[PathLike] = (),
    output: PathLike | None = None,
    tensors: bool = False,
    refused: Callable[[SurgeonError], None] | None = None,
    watch: Watch | None = None,
    **options: Unpack[Options],
) -> tuple[ImageResult, ...]:
    """Return the detections of an engine, an ONNX file or a rewritten model, one result for each picture.

    ``what`` is an engine file (``.engine``, ``.plan`` or ``.trt``), which runs on its GPU; an ONNX file,
    which ONNX Runtime runs on the CPU; or a recipe, which runs with ``model`` on the CPU: TensorFlow runs
    ordinary operations, references run the plugins. ``images`` are picture files and folders, or arrays
    uint8[H, W, 3]. ``labels`` is the path of a label map, or the names of the classes by the number that
    the network gives. ``threshold`` is the lowest score of a detection. ``batch`` is the number of
    pictures that run at once; by default as many as the engine takes, and one on the CPU. ``image_from``
    is a recipe that says how a picture becomes an engine's input; ``model`` is then the model from which
    its ``image: auto`` is derived.

    ``output`` is a folder for the pictures with their detections drawn and for ``detections.json``; with
    ``tensors`` also for the network's outputs, one ``.npz`` file for each picture. ``refused`` is called
    for each picture that cannot be read, and the others go on; None raises the error. ``watch`` is called
    with the number of pictures that are done. The other arguments are those of :func:`plan` and
    :func:`build_engine`.

    Raise SurgeonError as :func:`plan` and :func:`surgeon.engine.load_engine` do, V101, V102 and V111 for
    pictures, V104 and V112 to V119 for arguments that do not go together, V106 to V108 for a graph that
    cannot be run, E105 for the output, E107 if another program changed the model meanwhile.
    """
    from surgeon.atomic import checked
    from surgeon.formats.graphdef import check_unchanged
    from surgeon.runners import detect as checks
    from surgeon.runners.detection_runner import DetectionRunner
    from surgeon.runners.image import listed
    from surgeon.runners.image_result import check_threshold
    from surgeon.runners.references import ReferenceRunner
    from surgeon.runners.result_folder import ResultFolder
    from surgeon.runners.runner import Runner

    libraries = [Path(library) for library in plugin_libraries]
    work = Request.of(image_from or what, model, **options).resolve()
    catalog = work.catalog
    kind = checks.check_what(
        what, model, image_from, tensors=tensors and output is None, libraries=bool(libraries)
    )
    least, names = check_threshold(threshold), checks.labels_of(labels)
    pictures = listed(images)
    folder = None if output is None else ResultFolder(Path(output), pictures)
    image = None
    graphs = (work.graph,) if kind is None else ()
    if kind is None:
        runner: Runner = ReferenceRunner.of_plan(work.plan, work.recipe, catalog)
    else:
        if image_from is not None:
            image = checks.image_of(work.recipe, None if model is None else work.plan)
        runner = kind.open(Path(what), libraries)  # type: ignore[arg-type]
    with runner, checked(partial(check_unchanged, *graphs)):
        found = checks.detect_all(
            DetectionRunner(runner, image),
            pictures,
            batch,
            threshold=least,
            labels=names,
            folder=folder,
            tensors=tensors,
            refused=refused,
            watch=watch,
        )
    check_unchanged(*graphs)
    return found
