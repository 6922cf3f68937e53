"""``surgeon.verify``: does a rewritten graph compute what the original computes?"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from surgeon.api.differences import expected_differences
from surgeon.api.left_out import masks_left_out
from surgeon.graph import Graph
from surgeon.language import Recipe
from surgeon.request import Options, PathLike, Request, takes_options

if TYPE_CHECKING:
    import numpy as np
    from typing_extensions import Unpack

    from surgeon.runners.runner import FileRunner
    from surgeon.verification import GraphPair, InputSet, Picture, Verification


@takes_options
def verify(
    recipe: Recipe | PathLike | None = None,
    model: Graph | PathLike | None = None,
    *,
    images: PathLike | Iterable[np.ndarray] | None = None,
    inputs: PathLike | Mapping[str, np.ndarray] | None = None,
    box_tolerance: float | None = None,
    score_tolerance: float | None = None,
    mask_tolerance: float | None = None,
    max_excused: int | None = None,
    seed: int = 0,
    output: PathLike | None = None,
    engine: PathLike | None = None,
    onnx: PathLike | None = None,
    file: PathLike | None = None,
    plugin_libraries: Iterable[PathLike] = (),
    original: PathLike | None = None,
    store: PathLike | None = None,
    **options: Unpack[Options],
) -> Verification:
    """Run a model and its rewritten graph on the CPU, and compare what they detect.

    TensorFlow runs the model and the ordinary operations of the rewritten graph; references run its plugin
    nodes. ``images`` is a picture file, a folder of pictures, or arrays uint8[H, W, 3]; by default a
    picture with texture is made from ``seed``. ``inputs`` is a ``.npz`` file of arrays by the names of the
    model's inputs, such arrays, or a folder of ``.npz`` and ``.npy`` files and of pictures, which the
    recipe's ``image`` prepares; by default numbers are made from ``seed``. ``box_tolerance`` is the
    largest difference of a coordinate relative to the picture, ``score_tolerance`` that of a score; they
    default to 1e-4, and to 1e-3 for an engine. ``mask_tolerance`` is the largest difference of a value of a
    mask, which is from 0 to 1; it defaults to 1e-3. If ONNX Runtime without its fusions differs from itself
    by more, twice that difference counts, up to 1e-3. ``max_excused`` is the number of differences on one
    picture that a counterfactual may explain; by default, half of the detections for what no recipe can
    change, and none for the recipe's own numbers. ``output`` is a folder for drawings of both sets of
    detections. The other arguments are those of :func:`plan`.

    ``engine`` (an engine of :func:`build_engine`), ``onnx`` (an ONNX file) or ``file`` (any file that a
    runner accepts, including the runners of the entry points ``surgeon.runners``) takes the place of the
    rewritten graph. ``store`` is a ``.npz`` file for what the original computes. Given as ``original``,
    that file takes the place of ``recipe`` and ``model``, which are then None, and neither TensorFlow nor
    pictures are needed.

    Raise SurgeonError as :func:`plan` does; E108 if TensorFlow or Pillow is missing, V101, V102 and V111
    for pictures, V103 for an invalid tolerance, V104 for the recipe's ``image``, V106 if TensorFlow
    refuses a graph, V107 for a plugin without a reference, V108 for one inside a loop, V109 and V110 for
    graphs that cannot be compared, V115 for a ``file`` that no runner accepts, V123 for a file of
    originals, V124 and V125 for an engine of another graph, V126 and V127 for ``inputs``, V128 for ``images``
    that nothing reads, E107 if another program changed the model meanwhile, and whatever running an engine
    raises. Raise TypeError for arguments that contradict each other.
    """
    from surgeon.atomic import check_generated, check_writable
    from surgeon.formats.graphdef import check_unchanged
    from surgeon.verification import (
        GraphPair,
        Limits,
        RunRecorder,
        Tolerances,
        by_tensor,
        read_records,
        verify_rewritten,
        verify_runner,
    )

    request = Request.of(recipe, model, **options)
    given = sum(each is not None for each in (engine, onnx, file))
    if given > 1 or (original is not None and not given) or (store and given):
        raise TypeError(
            "'engine', 'onnx' and 'file' exclude each other and 'store'; 'original' goes with one of them"
        )
    if original is not None and inputs is not None:
        raise TypeError("'inputs' goes with 'recipe' and 'model'; 'original' has its own")
    if (recipe is None or model is None) != (original is not None):
        raise TypeError("either 'recipe' and 'model' or 'original' must be given")
    kind, path = _deployed(engine, onnx, file)
    tolerance = None if kind is None else kind.tolerance
    usual = Tolerances() if tolerance is None else Tolerances(tolerance, tolerance, tolerance)
    box = usual.box if box_tolerance is None else box_tolerance
    score = usual.score if score_tolerance is None else score_tolerance
    mask = usual.mask if mask_tolerance is None else mask_tolerance
    given_tolerance = any(each is not None for each in (box_tolerance, score_tolerance, mask_tolerance))
    tolerances = Tolerances(box, score, usual.tensor, mask)
    limits = Limits(tolerances, max_excused, widened=not given_tolerance).check()
    folder = None if output is None else Path(output)
    libraries = [Path(library) for library in plugin_libraries]
    if original is not None:
        assert kind is not None
        info, stored = read_records(Path(original))
        with kind.open(path, libraries) as runner:
            return verify_runner(runner, stored, info, limits, output=folder)
    if store is not None:
        check_generated(store)
        check_writable(store)
    if kind is not None and request.target is None:
        request = replace(request, target=kind.target(path))
    pictures = _pictures(images, seed)
    work = request.resolve()
    graphs = GraphPair(work.plan, work.recipe, work.catalog)
    left_out = masks_left_out(work.recipe, work.plan, work.catalog)
    assert work.plan.result is not None
    differences = expected_differences(work.plan.result, work.target, work.catalog)
    notes = (*work.plan.diagnostics, *left_out, *differences)
    if images is not None:
        graphs.check_takes_pictures()
    arrays, made = None, images is None
    if inputs is None:
        records = graphs.records(pictures, seed)
    else:
        sets = _input_sets(graphs, inputs)
        first = next(sets)
        arrays, made = by_tensor(first.arrays), made and first.picture is None
        records = graphs.records_of_sets(
            chain((first,), sets), lambda: _pictures(images, seed), seed, images is not None
        )
    if kind is not None:
        with kind.open(path, libraries) as runner:
            info = graphs.info(made=made, graph=work.plan.digest, given=arrays)
            verification = verify_runner(runner, records, info, limits, output=folder)
        check_unchanged(work.graph)
        return replace(verification, diagnostics=(*notes, *graphs.notes))
    if store is None:
        info = graphs.info(made=made, given=arrays)
        verification = verify_rewritten(graphs, records, info, limits, output=folder)
        check_unchanged(work.graph)
        return replace(verification, diagnostics=(*notes, *graphs.notes))
    recorder = RunRecorder(graphs.info(made=made, graph=work.plan.digest, given=arrays))
    verification = verify_rewritten(graphs, recorder.taking(records), recorder.info, limits, output=folder)
    check_unchanged(work.graph)
    if verification.pictures:
        recorder.write(Path(store))
    return replace(verification, diagnostics=(*notes, *graphs.notes))


def _pictures(images: PathLike | Iterable[np.ndarray] | None, seed: int) -> Iterator[Picture]:
    from surgeon.verification import given_pictures

    return given_pictures(Path(images) if isinstance(images, str | os.PathLike) else images, seed)


def _input_sets(graphs: GraphPair, inputs: PathLike | Mapping[str, np.ndarray]) -> Iterator[InputSet]:
    """Return what is put in, one set after the other; the first is read at once."""
    from surgeon.verification import InputSet, read_input_sets

    if isinstance(inputs, str | os.PathLike):
        return read_input_sets(Path(inputs), [str(ref) for ref in graphs.fed], graphs.lone_input)
    return iter((InputSet("given arrays", dict(inputs)),))


def _deployed(
    engine: PathLike | None, onnx: PathLike | None, file: PathLike | None
) -> tuple[type[FileRunner] | None, Path]:
    """Return the runner of the file that is run in place of the rewritten graph, and the file."""
    from surgeon.diagnostics import error
    from surgeon.runners.engine import EngineRunner
    from surgeon.runners.onnxruntime import OnnxRuntimeRunner
    from surgeon.runners.runner import file_runners, runner_of

    if engine is not None:
        return EngineRunner, Path(engine)
    if onnx is not None:
        return OnnxRuntimeRunner, Path(onnx)
    if file is None:
        return None, Path()
    path = Path(file)
    kind = runner_of(path)
    if kind is None:
        raise error(
            "V115",
            f"no runner runs '{path}'; expected a file that ends in {', '.join(file_runners())}",
            str(path),
            help=["give an engine, an ONNX file, or a file that an installed runner is for"],
        )
    return kind, path
