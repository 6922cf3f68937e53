"""``surgeon.verify``: does a rewritten graph compute what the original computes?"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from surgeon.graph import Graph
from surgeon.language import Recipe
from surgeon.request import Options, PathLike, Request, takes_options

if TYPE_CHECKING:
    import numpy as np
    from typing_extensions import Unpack

    from surgeon.verification import Limits, Picture, Verification
    from surgeon.verification.graph_pair import Sample, Sides
    from surgeon.verification.recorded_runs import Facts, Original


@takes_options
def verify(
    recipe: Recipe | PathLike | None = None,
    model: Graph | PathLike | None = None,
    *,
    images: PathLike | Iterable[np.ndarray] | None = None,
    box_tolerance: float | None = None,
    score_tolerance: float | None = None,
    max_excused: int | None = None,
    seed: int = 0,
    output: PathLike | None = None,
    engine: PathLike | None = None,
    onnx: PathLike | None = None,
    plugin_libraries: Iterable[PathLike] = (),
    original: PathLike | None = None,
    store: PathLike | None = None,
    **options: Unpack[Options],
) -> Verification:
    """Run a model and what a recipe makes of it on the CPU, and compare: is the same detected?

    TensorFlow runs the model and the ordinary operations of the rewritten graph, references run its plugin
    nodes. ``images`` is a picture file or a folder of them, or arrays uint8[H, W, 3]; without them a picture
    with texture is made from ``seed``. ``box_tolerance`` is the largest difference of a coordinate relative
    to the picture, ``score_tolerance`` that of a score; 1e-4 where they are None, 1e-3 for an engine.
    ``max_excused`` is how many differences of one picture a counterfactual may explain; where it is None,
    half of the detections for what no recipe can change, and none for the recipe's own numbers. Both sets of
    detections are drawn into the folder ``output``. The other arguments are those of :func:`plan`.

    With ``engine``, an engine of :func:`build_engine` is run in place of the rewritten graph, with ``onnx``
    an ONNX file. ``store`` is a ``.npz`` file for what the original computes; given as ``original`` it takes
    the place of ``recipe`` and ``model``, which are None then, and neither TensorFlow nor pictures are
    needed.

    Raise SurgeonError as :func:`plan` does; E108 where TensorFlow or Pillow is missing, V101, V102 and V111
    for pictures, V103 for a tolerance that is none, V104 for the recipe's ``image``, V106 where TensorFlow
    refuses a graph, V107 for a plugin without a reference, V108 for one inside a loop, V109 and V110 for
    graphs that cannot be compared, V123 for a file of originals, V124 and V125 for an engine of another
    graph, and what running an engine raises. Raise TypeError for arguments that contradict each other.
    """
    from surgeon.atomic import check_writable
    from surgeon.verification import Limits, Tolerances, given_pictures, verify_plan
    from surgeon.verification.compare_deployed import facts_of, original_of
    from surgeon.verification.recorded_runs import Keeper

    request = Request.of(recipe, model, **options)
    stands_in = engine if engine is not None else onnx
    if (
        (engine is not None and onnx is not None)
        or (original is not None and stands_in is None)
        or (store and stands_in)
    ):
        raise TypeError(
            "'engine' and 'onnx' exclude each other and 'store'; 'original' goes with one of them"
        )
    if (recipe is None or model is None) != (original is not None):
        raise TypeError("either 'recipe' and 'model' or 'original' must be given")
    usual = Tolerances(1e-3, 1e-3, 1e-3) if engine is not None else Tolerances()
    box, score = (
        usual.box if box_tolerance is None else box_tolerance,
        usual.score if score_tolerance is None else score_tolerance,
    )
    limits = Limits(Tolerances(box, score, usual.tensor), max_excused).check()
    folder = None if output is None else Path(output)
    if original is not None:
        from surgeon.verification.recorded_runs import read_originals

        facts, rows = read_originals(Path(original))
        return _verified(facts, rows, engine, onnx, plugin_libraries, limits, folder)
    assert recipe is not None and model is not None
    if store is not None:
        check_writable(store)
    if stands_in is not None and request.target is None:
        request = replace(request, target=_target_of(Path(stands_in), onnx is not None))
    pictures = given_pictures(Path(images) if isinstance(images, str | os.PathLike) else images, seed)
    work = request.resolve()
    catalog, ready, made = work.catalog, work.recipe, work.plan
    told = {"graph": made.digest, "recipe": ready.name, "target": made.target}
    if stands_in is not None:
        from surgeon.verification.compare_deployed import originals
        from surgeon.verification.graph_pair import Sides

        sides = Sides(made, ready, catalog)
        facts = facts_of(sides, made=images is None, **told)
        return _verified(
            facts, originals(sides, pictures, seed), engine, onnx, plugin_libraries, limits, folder
        )
    keepers: list[Keeper] = []

    def keep(sides: Sides, picture: Picture | None, sample: Sample) -> None:
        if not keepers:
            keepers.append(Keeper(facts_of(sides, made=images is None, **told)))
        keepers[0].add(original_of(sides, picture, sample))

    found = verify_plan(
        made,
        ready,
        catalog,
        pictures,
        made=images is None,
        limits=limits,
        seed=seed,
        output=folder,
        keep=None if store is None else keep,
    )
    if store is not None and keepers:
        keepers[0].write(Path(store))
    return found


def _target_of(path: Path, is_onnx: bool) -> str | None:
    """Return the target that an engine or an ONNX file was made for, None where it does not say."""
    if is_onnx:
        from surgeon.formats.onnx import read_onnx_metadata
        from surgeon.formats.onnx.metadata import TARGET

        return read_onnx_metadata(path).properties.get(TARGET)
    from surgeon.engine import read_manifest

    return read_manifest(path).target or None


def _verified(
    facts: Facts,
    originals: Iterable[Original],
    engine: PathLike | None,
    onnx: PathLike | None,
    libraries: Iterable[PathLike],
    limits: Limits,
    output: Path | None,
) -> Verification:
    """Hold an engine, or an ONNX file, against originals."""
    from surgeon.verification.compare_deployed import EngineDeployed, verify_deployed

    if engine is not None:
        from surgeon.engine import load_engine

        with load_engine(engine, plugin_libraries=libraries) as running:
            return verify_deployed(EngineDeployed(running), facts, originals, limits, output=output)
    from surgeon.runners.onnx_runtime import OnnxModel

    assert onnx is not None
    with OnnxModel(Path(onnx)) as model:
        return verify_deployed(model, facts, originals, limits, output=output)
