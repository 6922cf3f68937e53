"""``surgeon.detect``: what is detected in pictures."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
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
    from surgeon.runners.detect import Found


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
) -> tuple[Found, ...]:
    """Return what an engine, an ONNX file, or what a recipe makes of a model, detects in pictures, in their
    order.

    ``what`` is an engine's file (``.engine``, ``.plan`` or ``.trt``), run on its GPU, or an ONNX file, run by
    ONNX Runtime on the CPU; else a recipe, run with ``model`` on the CPU: TensorFlow runs ordinary
    operations, references run the plugins. ``images`` are picture files and folders, or arrays uint8[H, W,
    3]. ``labels`` is a label map's path, or the names of classes by the number that the network gives.
    ``threshold`` is the score that a detection needs. ``batch`` is how many pictures go in at once; where it
    is None, as many as the engine takes, and one on the CPU. ``image_from`` is a recipe that says how a
    picture becomes an engine's input; ``model`` is then what its ``image: auto`` is derived from.

    Into the folder ``output`` each picture is drawn with its detections, and all of them are written as
    ``detections.json``; with ``tensors`` the network's outputs, too, an ``.npz`` file for each picture.
    ``refused`` is called for each picture that cannot be read, and the others are gone on with; where it is
    None, the error is raised. ``watch`` is called with how many are done. The other arguments are those of
    :func:`plan` and :func:`build_engine`.

    Raise SurgeonError as :func:`plan` and :func:`surgeon.engine.load_engine` do, V101, V102 and V111 for
    pictures, V104 and V112 to V119 for what does not go together, V106 to V108 for a graph that cannot be
    run, E105 for the output.
    """
    from contextlib import ExitStack

    from surgeon.runners import detect as detecting

    given = [Path(one) for one in plugin_libraries]
    work = Request.of(image_from or what, model, **options).resolve()
    catalog = work.catalog
    kind = detecting.check_what(
        what, model, image_from, tensors=tensors and output is None, libraries=bool(given)
    )
    least, names = detecting.check_threshold(threshold), detecting.labels_of(labels)
    pictures = detecting.listed(images)
    folder = None if output is None else detecting.Folder(Path(output), pictures)
    ready = None if kind != "recipe" and image_from is None else work.recipe
    made = work.plan if ready is not None and model is not None else None
    with ExitStack() as stack:
        image = None if ready is None or kind == "recipe" else detecting.image_of(ready, made)
        if kind == "onnx":
            from surgeon.runners.onnx_runtime import OnnxModel

            onnx = stack.enter_context(OnnxModel(Path(what)))  # type: ignore[arg-type]
            detector: detecting.Detector = detecting.OnnxDetector(onnx, image)
        elif kind == "engine":
            from surgeon.engine import load_engine

            engine = stack.enter_context(load_engine(Path(what), plugin_libraries=given))  # type: ignore[arg-type]
            detector = detecting.EngineDetector(engine, image)
        else:
            assert ready is not None and made is not None
            detector = detecting.ReferenceDetector(made, ready, catalog)
        return detecting.run_all(
            detector,
            pictures,
            batch,
            threshold=least,
            labels=names,
            folder=folder,
            tensors=tensors,
            refused=refused,
            watch=watch,
        )
