"""``surgeon.evaluate``: average precision on annotated pictures, side by side."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from surgeon.graph import Graph
from surgeon.language import Recipe
from surgeon.request import Options, PathLike, Request, takes_options

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from surgeon.evaluation import Evaluation
    from surgeon.runners.runner import FileRunner

PAGE, KEPT, NUMBERS = "index.html", "detections", "evaluation.json"


@takes_options
def evaluate(
    recipe: Recipe | PathLike,
    model: Graph | PathLike,
    dataset: PathLike,
    *,
    engines: Iterable[PathLike] = (),
    onnx: Iterable[PathLike] = (),
    images: PathLike | None = None,
    split: str | None = None,
    pictures: int | None = None,
    labels: PathLike | Mapping[int, str] | None = None,
    classes: Mapping[str, str | int | None] | None = None,
    max_drop: float = 0.5,
    batch: int | None = None,
    resamples: int = 1000,
    seed: int = 0,
    output: PathLike | None = None,
    plugin_libraries: Iterable[PathLike] = (),
    **options: Unpack[Options],
) -> Evaluation:
    """Return the average precision of a model, its rewritten graph, ONNX files and engines on annotated
    pictures.

    The original runs in TensorFlow, the rewritten graph on the CPU with references for plugins, each file of
    ``onnx`` in ONNX Runtime and each of ``engines`` on the GPU. ``dataset`` is a JSON file as COCO writes it,
    a folder as Pascal VOC has it, or TFRecord files of the Object Detection API: a file, a folder, or a
    pattern of names. ``images`` is the folder of its pictures where that is another one than usual, ``split``
    a list of Pascal VOC such as ``val``, ``pictures`` how many of the first pictures count.

    ``labels`` is the path of a label map, or names of the detector's classes by number; by default those of
    the recipe. A class of the dataset is the detector's class of the same name; ``classes`` gives for another
    one the name or the number that the detector has for it, or None, which leaves it out. ``max_drop`` is
    how many points (hundredths of average precision over overlaps of 0.5 to 0.95) a side may lose against
    the original. ``batch`` is the number of pictures at a time, as far as a side takes as many; the original
    takes one. Intervals come from ``resamples`` of the pictures, drawn from ``seed``.

    ``output`` is a folder for a page, ``index.html``, for ``evaluation.json``, and for what each side detects
    in each picture: an evaluation that was interrupted goes on from there. The other arguments are those of
    :func:`plan` and :func:`build_engine`.

    Raise SurgeonError as :func:`plan` does, V140 to V143 for the dataset, V144 and V145 for classes, V146 for
    what is no detector, V147 for options, V124 for a file of another graph, V112 and V114 where it is not
    known how a picture becomes an input, E105 for the output, E107 if another program changed the model
    meanwhile, E108 where a package is missing, and what running a file raises.
    """
    from surgeon.atomic import make_folder
    from surgeon.diagnostics import error
    from surgeon.evaluation.classes import check_labels, match_classes
    from surgeon.evaluation.dataset import read_dataset
    from surgeon.evaluation.evaluating import EvaluationOptions, disagreements, evaluate_sides
    from surgeon.evaluation.page import MOST_PICTURES, write_page
    from surgeon.evaluation.results import Evaluation
    from surgeon.evaluation.sides import FileSide, Graphs, OriginalSide, RewrittenSide, Side
    from surgeon.formats.graphdef import check_unchanged
    from surgeon.language import Image
    from surgeon.runners.average_precision import coco_modules
    from surgeon.runners.detect import labels_of
    from surgeon.runners.engine import EngineRunner
    from surgeon.runners.onnxruntime import OnnxRuntimeRunner

    given = EvaluationOptions(max_drop, batch, resamples, seed).check()
    if pictures is not None and pictures < 1:
        raise error(
            "V147", f"the number of pictures {pictures} cannot be; expected 1 or more", help=["give another"]
        )
    coco_modules()
    runners: dict[Path, type[FileRunner]] = {Path(each): OnnxRuntimeRunner for each in onnx}
    runners |= {Path(each): EngineRunner for each in engines}
    libraries = [Path(library) for library in plugin_libraries]
    request = Request.of(recipe, model, **options)
    if request.target is None:
        target = next((kind.target(path) for path, kind in runners.items()), None)
        request = replace(request, target=target)
    annotated = read_dataset(Path(dataset), None if images is None else Path(images), split).first(pictures)
    folder = None if output is None else make_folder(Path(output))
    kept = None if folder is None else make_folder(folder / KEPT)
    work = request.resolve()
    names = labels_of(labels)
    known = work.recipe.labels if names is None else names
    matched = match_classes(annotated, known, classes or {})
    graphs = Graphs(work.plan, work.recipe, work.catalog)
    image = work.plan.image if isinstance(work.plan.image, Image) else None
    with ExitStack() as opened:
        sides: list[Side] = [OriginalSide(graphs), RewrittenSide(graphs)]
        for path, kind in runners.items():
            side = FileSide(kind, path, libraries, work.plan.digest, image)
            opened.callback(side.close)
            if names is None:
                check_labels(side.name, side.labels, known)
            sides.append(side)
        judgements = evaluate_sides(annotated, matched, sides, given, kept)
    check_unchanged(work.graph)
    found = Evaluation(
        work.recipe.name,
        work.plan.target,
        str(dataset),
        annotated.kind,
        len(annotated.pictures),
        sum(map(len, judgements.objects)),
        matched.names,
        matched.left_out,
        tuple(side.result for side in judgements.sides),
        max_drop,
        resamples,
        seed,
        judgements.outcome,
        disagreements(judgements, MOST_PICTURES),
        (*work.plan.diagnostics, *matched.notes, *judgements.notes),
        None if folder is None else folder / PAGE,
    )
    if folder is not None:
        write_page(folder / PAGE, found, judgements)
        write_json(folder / NUMBERS, found)
    return found


def write_json(path: Path, found: Evaluation) -> None:
    """Write an evaluation as JSON; raise SurgeonError E105 where that cannot be done."""
    import json

    from surgeon.atomic import write_text

    write_text(path, json.dumps(found.to_json(), indent=2, allow_nan=False) + "\n", follow_links=False)
