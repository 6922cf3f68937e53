"""What the command line does, as functions that return values; nothing here prints."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from surgeon.diagnostics import Diagnostic, Severity, SurgeonError, error
from surgeon.formats.graphdef import load_graph, save_graph
from surgeon.graph import Graph
from surgeon.language import Image, Recipe, load_recipe, parse_recipe
from surgeon.rewrite import Plan, apply
from surgeon.rewrite import plan as _plan
from surgeon.targets import Target, load_target, target_for_output

if TYPE_CHECKING:
    import numpy as np

    from surgeon.authoring import Authored
    from surgeon.catalog import Catalog
    from surgeon.engine import Built, Calibrating, Registry, Source
    from surgeon.engine.worker_client import Watch
    from surgeon.formats.onnx import Batch, Rendered
    from surgeon.formats.onnx import Watch as ExportWatch
    from surgeon.formats.uff import UffModel
    from surgeon.graph.diff import GraphDiff
    from surgeon.inspection import Inspection
    from surgeon.runners.detect import Found
    from surgeon.verification import Limits, Picture, Verification
    from surgeon.verification.graph_pair import Sample, Sides
    from surgeon.verification.recorded_runs import Facts, Original
    from surgeon.viewer import Story

__all__ = [
    "Check",
    "Conversion",
    "apply",
    "build_engine",
    "check",
    "convert",
    "detect",
    "diff",
    "export_graph",
    "init",
    "inspect",
    "plan",
    "read_model",
    "replay",
    "verify",
    "view",
]

PathLike: TypeAlias = "str | os.PathLike[str]"

DEFAULT_TARGET = "uff@tensorrt-8.5"
"""The target where neither an output nor the caller names one."""


@dataclass(frozen=True)
class Conversion:
    """What :func:`convert` did: the plan it applied, the file it wrote, and what may go wrong in the target's
    runtime.

    ``plugins`` says of each plugin node of an ONNX file whether it was written as a plugin or in standard
    operators, and why.
    """

    plan: Plan
    output: Path
    target: str
    nodes_before: int
    nodes_after: int
    bytes_written: int
    warnings: tuple[Diagnostic, ...] = ()
    plugins: tuple[Rendered, ...] = ()

    def __repr__(self) -> str:
        return (
            f"<Conversion: {self.output} for {self.target}, {self.nodes_before} nodes became "
            f"{self.nodes_after}>"
        )

    def _repr_html_(self) -> str:
        from surgeon.viewer import answer_html

        facts = {
            "nodes": f"{self.nodes_before:,} became {self.nodes_after:,}",
            "bytes": f"{self.bytes_written:,}",
            "plugins": "; ".join(f"{one.node}: {one.op}, {one.rendering}" for one in self.plugins),
        }
        return answer_html("written", f"{self.output} for {self.target}", facts, None, self.warnings)


@dataclass(frozen=True)
class Check:
    """What :func:`check` found out.

    ``plan`` is None where no model was given. ``problems`` are what the target's exporter or runtime would
    refuse; the recipe converts the model where there are none. ``warnings`` are what may go wrong there.
    """

    recipe: Recipe
    target: str
    plan: Plan | None = None
    problems: tuple[Diagnostic, ...] = ()
    warnings: tuple[Diagnostic, ...] = ()

    def __repr__(self) -> str:
        return (
            f"<Check of the recipe '{self.recipe.name}' for {self.target}: "
            f"{'refused' if self.problems else 'fine'}>"
        )

    def _repr_html_(self) -> str:
        from surgeon.viewer import answer_html

        facts = {
            "parameters": ", ".join(f"{name} = {value}" for name, value in self.recipe.parameters.items())
        }
        remarks = self.plan.remarks if self.plan is not None else ()
        return answer_html(
            "refused" if self.problems else "fine",
            f"recipe '{self.recipe.name}' for {self.target}",
            facts,
            self.plan,
            (*self.problems, *self.warnings, *remarks),
        )


def plan(
    recipe: Recipe | PathLike,
    model: Graph | PathLike,
    *,
    target: Target | str | None = None,
    parameters: Mapping[str, Any] | None = None,
    recipe_paths: Iterable[PathLike] = (),
    plugin_paths: Iterable[PathLike] = (),
    anchors: str | None = None,
) -> Plan:
    """Return the edits that a recipe makes to a model, without making them.

    The arguments are those of :func:`convert`; the target is ``uff@tensorrt-8.5`` where none is given. The
    plan's ``result`` is the rewritten graph. Raise SurgeonError for whatever is wrong with recipe or model.
    """
    catalog = _catalog(plugin_paths)
    ready = _recipe(recipe, parameters, recipe_paths)
    return _plan(ready, _graph(model), target=_target(target), catalog=catalog, anchors=anchors)


def convert(
    recipe: Recipe | PathLike,
    model: Graph | PathLike,
    output: PathLike,
    *,
    target: Target | str | None = None,
    parameters: Mapping[str, Any] | None = None,
    recipe_paths: Iterable[PathLike] = (),
    plugin_paths: Iterable[PathLike] = (),
    anchors: str | None = None,
    rendering: str | None = None,
    opset: int | None = None,
    batch: Batch = None,
    watch: ExportWatch | None = None,
) -> Conversion:
    """Rewrite a model by a recipe and write it to ``output``, a ``.uff``, ``.onnx``, ``.pb`` or ``.pbtxt``
    file.

    ``recipe`` is a loaded recipe, a recipe's name or its path; ``model`` a graph, a frozen graph's path or a
    SavedModel folder. ``target`` follows the output's suffix where it is None. ``parameters`` sets the
    recipe's parameters, to values or to text read as YAML; it goes with a recipe's name or path.
    ``recipe_paths`` and ``plugin_paths`` are folders of further recipes and plugins. ``anchors`` overrides
    the recipe's key: ``plugin``, ``constant`` (one constant with the graph's own anchors) or ``auto``. The
    output may be the input: it is replaced when it is complete.

    The next three are for ``.onnx``. ``rendering`` is how plugin nodes are written: ``native``, as plugin
    nodes of TensorRT, ``standard``, in standard operators, or ``auto``, the first where the target's TensorRT
    has the plugin; ``efficient-nms`` is ``auto`` with EfficientNMS_TRT in place of NMS_TRT. ``opset`` is 13
    to 17. ``batch`` is the size of the inputs' first axis, or ``dynamic`` for an open one; None leaves it.
    ``watch`` is called with what is done next.

    Raise SurgeonError for whatever is wrong with recipe, model or output; nothing is written then. Raise
    TypeError where ``parameters`` come with a loaded recipe.
    """
    path = Path(output)
    chosen = _output_target(path, target)
    choices = _onnx_choices(path, rendering, opset, batch)
    catalog = _catalog(plugin_paths)
    graph = _graph(model)
    ready = _recipe(recipe, parameters, recipe_paths)
    made = _plan(ready, graph, target=chosen, catalog=catalog, anchors=anchors)
    result = apply(made, graph)
    warnings = _warnings(result, chosen, catalog, made.image)
    written, rendered = _export(result, path, chosen, catalog, made, ready.labels, watch, **choices)
    return Conversion(made, path, chosen.name, len(graph), len(result), written, warnings, rendered)


def replay(
    plan: Plan,
    model: Graph | PathLike,
    output: PathLike,
    *,
    target: Target | str | None = None,
    plugin_paths: Iterable[PathLike] = (),
    rendering: str | None = None,
    opset: int | None = None,
    batch: Batch = None,
    watch: ExportWatch | None = None,
) -> Conversion:
    """Apply a plan to the model it was made for and write the result; the target is the plan's where it is
    None.

    The other arguments are those of :func:`convert`. Raise SurgeonError S404 where the plan is for another
    graph, and as :func:`convert` does; nothing is written then.
    """
    path = Path(output)
    chosen = _output_target(path, target or plan.target or None)
    choices = _onnx_choices(path, rendering, opset, batch)
    catalog = _catalog(plugin_paths)
    graph = _graph(model)
    result = apply(plan, graph)
    warnings = _warnings(result, chosen, catalog, plan.image)
    written, rendered = _export(result, path, chosen, catalog, plan, {}, watch, **choices)
    return Conversion(plan, path, chosen.name, len(graph), len(result), written, warnings, rendered)


def check(
    recipe: Recipe | PathLike,
    model: Graph | PathLike | None = None,
    *,
    target: Target | str | None = None,
    parameters: Mapping[str, Any] | None = None,
    recipe_paths: Iterable[PathLike] = (),
    plugin_paths: Iterable[PathLike] = (),
    anchors: str | None = None,
) -> Check:
    """Validate a recipe and, with a model, plan it and hold the result against the target; nothing is
    written.

    The arguments are those of :func:`convert`. Raise SurgeonError where the recipe is wrong or cannot be
    planned; what the exporter objects to is returned.
    """
    chosen = _target(target)
    catalog = _catalog(plugin_paths)
    ready = _recipe(recipe, parameters, recipe_paths)
    _check_plugins(ready, catalog, chosen)
    if model is None:
        return Check(ready, chosen.name)
    made = _plan(ready, _graph(model), target=chosen, catalog=catalog, anchors=anchors)
    assert made.result is not None
    found = _lint(made.result, chosen, catalog, made.image)
    return Check(
        ready, chosen.name, made, _errors(found), tuple(d for d in found if d.severity is not Severity.ERROR)
    )


def verify(
    recipe: Recipe | PathLike | None = None,
    model: Graph | PathLike | None = None,
    *,
    images: PathLike | Iterable[np.ndarray] | None = None,
    target: Target | str | None = None,
    parameters: Mapping[str, Any] | None = None,
    recipe_paths: Iterable[PathLike] = (),
    plugin_paths: Iterable[PathLike] = (),
    box_tolerance: float | None = None,
    score_tolerance: float | None = None,
    max_excused: int | None = None,
    anchors: str | None = None,
    seed: int = 0,
    output: PathLike | None = None,
    engine: PathLike | None = None,
    onnx: PathLike | None = None,
    plugin_libraries: Iterable[PathLike] = (),
    original: PathLike | None = None,
    store: PathLike | None = None,
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
    if stands_in is not None and target is None:
        target = _target_of(Path(stands_in), onnx is not None)
    pictures = given_pictures(Path(images) if isinstance(images, str | os.PathLike) else images, seed)
    catalog = _catalog(plugin_paths)
    ready = _recipe(recipe, parameters, recipe_paths)
    made = _plan(ready, _graph(model), target=_target(target), catalog=catalog, anchors=anchors)
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


def detect(
    what: Recipe | PathLike,
    images: PathLike | Sequence[PathLike] | Sequence[np.ndarray],
    *,
    model: Graph | PathLike | None = None,
    labels: PathLike | Mapping[int, str] | None = None,
    threshold: float = 0.3,
    batch: int | None = None,
    image_from: Recipe | PathLike | None = None,
    target: Target | str | None = None,
    parameters: Mapping[str, Any] | None = None,
    recipe_paths: Iterable[PathLike] = (),
    plugin_paths: Iterable[PathLike] = (),
    plugin_libraries: Iterable[PathLike] = (),
    anchors: str | None = None,
    output: PathLike | None = None,
    tensors: bool = False,
    refused: Callable[[SurgeonError], None] | None = None,
    watch: Watch | None = None,
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

    catalog = _catalog(plugin_paths)
    given = [Path(one) for one in plugin_libraries]
    kind = detecting.check_what(
        what, model, image_from, tensors=tensors and output is None, libraries=bool(given)
    )
    least, names = detecting.check_threshold(threshold), detecting.labels_of(labels)
    pictures = detecting.listed(images)
    folder = None if output is None else detecting.Folder(Path(output), pictures)
    ready = (
        None
        if kind != "recipe" and image_from is None
        else _recipe(image_from or what, parameters, recipe_paths)
    )
    made = None
    if ready is not None and model is not None:
        made = _plan(ready, _graph(model), target=_target(target), catalog=catalog, anchors=anchors)
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


def build_engine(
    recipe: Recipe | PathLike,
    model: Graph | PathLike | None,
    output: PathLike,
    *,
    target: Target | str | None = None,
    parameters: Mapping[str, Any] | None = None,
    recipe_paths: Iterable[PathLike] = (),
    plugin_paths: Iterable[PathLike] = (),
    anchors: str | None = None,
    precision: str | None = None,
    tf32: bool = True,
    workspace: int | None = None,
    max_batch: int | None = None,
    best_batch: int | None = None,
    dla_core: int | None = None,
    calibration: PathLike | Sequence[np.ndarray] | None = None,
    calibration_pictures: int = 500,
    calibration_cache: PathLike | None = None,
    calibrator: str = "entropy",
    timing_cache: PathLike | None = None,
    plugin_libraries: Iterable[PathLike] = (),
    shapes: Mapping[str, Sequence[Sequence[int]]] | None = None,
    outputs: Sequence[str] = (),
    report: bool = False,
    force: bool = False,
    timeout: float = 3600.0,
    watch: Watch | None = None,
) -> Built:
    """Build an engine with the installed TensorRT and its GPU, from a recipe and a model or from a file.

    ``recipe`` and ``model`` are as :func:`convert` takes them; or ``recipe`` is a ``.uff`` or ``.onnx`` file
    and ``model`` None, or a ``.prototxt`` with its ``.caffemodel``, of which ``outputs`` names the tensors to
    mark. ``target`` follows the installed TensorRT where it is None; precision, workspace and batch are the
    recipe's where they are None. ``calibration`` is a folder of pictures, or arrays uint8[H, W, 3], of which
    the first ``calibration_pictures`` are taken; ``calibration_cache`` a file of scales to use instead. An
    engine that is there and was built of the same, for this TensorRT and GPU, is kept unless ``force``.
    ``watch`` is called as the build goes on. The other arguments are those of
    :class:`surgeon.engine.BuildOptions` and :func:`surgeon.engine.build`.

    Raise SurgeonError as :func:`convert` and :func:`surgeon.engine.build` do, B109 for files that no engine
    is built from, B110 for pictures that cannot be used, and B120 to B149 for plugin libraries, plugins, and
    what TensorRT says.
    """
    import tempfile
    from dataclasses import replace as changed

    from surgeon.engine import BuildOptions, build
    from surgeon.engine.libraries import check_libraries, check_plugins
    from surgeon.engine.sources import source_of_file

    path = _engine_path(Path(output))
    catalog = _catalog(plugin_paths)
    libraries = check_libraries([Path(one) for one in plugin_libraries])
    registry = _registry(libraries)
    with tempfile.TemporaryDirectory(prefix="surgeon-") as folder:
        if _is_engine_input(recipe):
            given: Any = None
            weights = None if model is None else Path(model)  # type: ignore[arg-type]
            source = source_of_file(Path(recipe), catalog, weights, tuple(outputs))  # type: ignore[arg-type]
        else:
            if model is None:
                raise error(
                    "B109",
                    f"'{recipe}' is a recipe; expected a model beside it, or a .uff, .onnx or .prototxt file",
                    help=["surgeon build RECIPE MODEL -o ENGINE"],
                )
            given = _recipe(recipe, parameters, recipe_paths)
            batch = max_batch or given.engine.max_batch
            source = _converted(
                given, model, Path(folder), catalog, _target_here(target, registry), anchors, batch
            )
        source = changed(source, detections=source.detections or _detections(source, catalog))
        said = given.engine if given is not None else None
        options = BuildOptions(
            precision=precision or (said.precision if said else "fp32"),  # type: ignore[arg-type]
            tf32=tf32,
            workspace=workspace if workspace is not None else said.workspace if said else 1 << 30,
            max_batch=max_batch if max_batch is not None else said.max_batch if said else 1,
            best_batch=best_batch,
            dla_core=dla_core,
            report=report,
            algorithm=calibrator,  # type: ignore[arg-type]
        )
        problems = _errors(check_plugins(source.uses, registry, catalog))
        if problems:
            raise SurgeonError(*problems)
        pictures = _calibrating(
            source,
            options.best_batch or options.max_batch,
            calibration,
            calibration_pictures,
            calibration_cache,
        )
        return build(
            source,
            path,
            options,
            libraries=libraries,
            shapes=shapes,
            calibrating=pictures if options.precision == "int8" else None,
            timing_cache=None if timing_cache is None else Path(timing_cache),
            force=force,
            timeout=timeout,
            watch=watch,
        )


def _engine_path(path: Path) -> Path:
    from surgeon.atomic import check_writable

    if path.suffix.lower() in (".uff", ".onnx", ".pb", ".pbtxt", ".yaml", ".json"):
        raise error(
            "B109",
            f"the output '{path}' has the suffix of another kind of file; expected .engine or .plan",
            str(path),
            help=["name the output '.engine'"],
        )
    check_writable(path)
    return path


def _is_engine_input(recipe: object) -> bool:
    return isinstance(recipe, str | os.PathLike) and Path(recipe).suffix.lower() in (
        ".uff",
        ".onnx",
        ".prototxt",
    )


def _registry(libraries: Sequence[Path]) -> Registry:
    """Return what the installed TensorRT and plugin libraries register.

    Raise SurgeonError E108 where there is none.
    """
    from surgeon.engine.registry import read_registry

    found = read_registry(libraries)
    if found is None:
        raise error(
            "E108",
            "building engines needs the package 'tensorrt', which is not installed",
            help=["pip install 'surgeon[tensorrt]', with Python 3.10 for TensorRT 8.5"],
        )
    return found


def _target_here(target: Target | str | None, registry: Registry) -> Target:
    """Return the target given, else the best for the installed TensorRT.

    UFF as long as there is a parser for it.
    """
    from surgeon.engine.libraries import version_of
    from surgeon.targets import all_targets

    if target is not None or registry.problem:  # the problem is told where plugins are compared
        return _target(target)
    version = version_of(registry)
    wanted = "uff" if version < (9,) else "onnx"
    fit = [
        t
        for t in all_targets().values()
        if t.format == wanted
        and t.runtime == "tensorrt"
        and t.version is not None
        and t.version[:2] <= version[:2]
    ]
    return max(fit, key=lambda t: t.version or ()) if fit else _target(None)


def _converted(
    recipe: Recipe,
    model: Graph | PathLike,
    folder: Path,
    catalog: Catalog,
    target: Target,
    anchors: str | None,
    batch: int,
) -> Source:
    """Return the file that a recipe makes of a model, written into ``folder``, with what the manifest says of
    it.
    """
    import hashlib
    from dataclasses import replace as changed

    from surgeon.engine.sources import source_of_onnx, source_of_uff
    from surgeon.formats.uff import read_uff

    graph = _graph(model)
    made = _plan(recipe, graph, target=target, catalog=catalog, anchors=anchors)
    result = apply(made, graph)
    _warnings(result, target, catalog, made.image)
    path = folder / f"{recipe.name}.{target.format}"
    choices: dict[str, Any] = {"batch": batch if batch == 1 else "dynamic"} if target.format == "onnx" else {}
    _export(result, path, target, catalog, made, recipe.labels, **choices)
    source = (
        source_of_onnx(path, catalog)
        if target.format == "onnx"
        else source_of_uff(path, read_uff(path), catalog, result)
    )
    name = Path(graph.source).name if graph.source else "graph"
    digest = hashlib.sha256(recipe.model_dump_json().encode()).hexdigest()
    return changed(
        source,
        model=name,
        graph=made.digest,
        recipe=recipe.name,
        recipe_digest=digest,
        target=target.name,
        image=made.image,
        labels=dict(recipe.labels),
    )


def _detections(source: Source, catalog: Catalog) -> dict[str, str]:
    """Return, by port, the outputs of a file that hold detections."""
    from surgeon.graph import Ref
    from surgeon.runners.detections import gives_detections

    names = {output.name for output in source.outputs}
    for use in source.uses:
        ports = catalog[use.op].output_ports(dict(use.fields)) if use.op in catalog else ()
        if gives_detections(ports) and use.node in names:
            return {port: str(Ref(use.node, slot)) for slot, port in enumerate(ports)}
    return {}


def _calibrating(
    source: Source,
    batch: int,
    pictures: PathLike | Sequence[np.ndarray] | None,
    most: int,
    cache: PathLike | None,
) -> Calibrating | None:
    from surgeon.engine import Calibrating
    from surgeon.runners.calibration import calibrating

    if pictures is not None:
        given = Path(pictures) if isinstance(pictures, str | os.PathLike) else pictures
        return calibrating(given, source.image, source.inputs, batch, most)
    return None if cache is None else Calibrating(cache=Path(cache))


def init(
    model: Graph | PathLike,
    output: PathLike | None = None,
    *,
    pipeline_config: PathLike | None = None,
    labels: PathLike | Mapping[int, str] | None = None,
    name: str | None = None,
    unchecked: bool = False,
    plugin_paths: Iterable[PathLike] = (),
) -> Authored:
    """Write a recipe for a single-shot detector of the Object Detection API, every value read off its graph.

    ``output`` is a ``.yaml`` file; where it is None, nothing is written. A ``pipeline_config`` is compared
    with the graph, which wins; the label map that it names is taken where it lies beside it. ``labels`` is a
    label map's path, or the names of classes by number, from 1 on. The recipe is planned on the graph first,
    unless ``unchecked``; what the default target's exporter objects to is among the result's ``remarks``.

    Raise SurgeonError D140 to D143 for a config or label map that cannot be read, D146 where the graph is no
    such detector, D147 where a part of it is not recognised, D148 where the recipe cannot be planned, and
    D149 and E105 for the output. Nothing is written then.
    """
    from surgeon.atomic import write_text
    from surgeon.authoring import author, check_output, read_witnesses

    path = None if output is None else check_output(Path(output))
    catalog = _catalog(plugin_paths)
    graph = _graph(model)
    named = path.stem if name is None and path is not None else name or ""
    witnesses = read_witnesses(None if pipeline_config is None else Path(pipeline_config), labels)
    made = author(graph, catalog, name=named, witnesses=witnesses)
    if not unchecked:
        made = made.planned(_planned_remarks(made.recipe, graph, catalog))
    if path is None:
        return made
    write_text(path, made.text)
    return replace(made, recipe=parse_recipe(made.text, str(path)))


def _planned_remarks(recipe: Recipe, graph: Graph, catalog: Catalog) -> list[Diagnostic]:
    """Return what the default target objects to in a recipe's result.

    Raise SurgeonError D148 where there is none.
    """
    chosen = _target(None)
    try:
        made = _plan(recipe, graph, target=chosen, catalog=catalog)
    except SurgeonError as exc:
        failed = Diagnostic(
            "D148",
            "the recipe for this graph cannot be planned",
            graph.source or None,
            (),
            ("write it all the same with --unchecked, and correct it by hand",),
        )
        raise SurgeonError(failed, *exc.diagnostics) from None
    assert made.result is not None
    return [
        *made.remarks,
        *(
            replace(found, severity=Severity.WARNING)
            for found in _lint(made.result, chosen, catalog, made.image)
        ),
    ]


def inspect(
    model: Graph | PathLike,
    *,
    depth: int = 1,
    under: str = "",
    target: Target | str | None = None,
    recipe_paths: Iterable[PathLike] = (),
    plugin_paths: Iterable[PathLike] = (),
) -> Inspection:
    """Return what a frozen graph, a SavedModel, a ``.uff`` or an ``.onnx`` file consists of.

    ``depth`` is how many components of a namespace are told apart, ``under`` the one namespace that is looked
    into. For a graph, tell also what the target cannot run and which recipes fit.

    Raise SurgeonError where the file cannot be read, G110 for a namespace that is not there.
    """
    from surgeon.inspection import Depth, inspect_graph, inspect_onnx, inspect_uff

    shown = Depth(depth, under.strip("/"))
    if not isinstance(model, Graph) and Path(model).suffix.lower() == ".onnx":
        return inspect_onnx(Path(model), shown)
    loaded = model if isinstance(model, Graph) else read_model(model)
    chosen = _target(target)
    if not isinstance(loaded, Graph):
        return inspect_uff(loaded, os.fspath(model) if not isinstance(model, Graph) else "", shown)
    return inspect_graph(loaded, chosen, _catalog(plugin_paths), shown, [Path(p) for p in recipe_paths])


def diff(a: Graph | PathLike, b: Graph | PathLike, *, html: PathLike | None = None) -> GraphDiff:
    """Return how two graphs differ: nodes only in one, and nodes that changed; write them as one HTML page to
    ``html``.

    Files may be graphs of TensorFlow, ``.uff`` or ``.onnx``. Raise SurgeonError for one that cannot be read,
    E105 and W107 for the page.
    """
    from surgeon.atomic import write_text
    from surgeon.graph.diff import diff_graphs
    from surgeon.viewer import Page, check_page, read_file, render_page, tell_difference

    if html is not None:
        check_page(html, a, b)
    (first, stated), (second, stated_too) = (
        (one, None) if isinstance(one, Graph) else read_file(one) for one in (a, b)
    )
    found = diff_graphs(first, second)
    if html is not None:
        story = tell_difference(first, second, found, stated=(stated, stated_too))
        write_text(html, render_page(Page(story)))
    return found


def view(
    model: Graph | PathLike,
    recipe: Recipe | PathLike | None = None,
    *,
    html: PathLike | None = None,
    target: Target | str | None = None,
    parameters: Mapping[str, Any] | None = None,
    recipe_paths: Iterable[PathLike] = (),
    plugin_paths: Iterable[PathLike] = (),
    anchors: str | None = None,
    verification: Verification | PathLike | None = None,
) -> Story:
    """Return the story of a model, or of what a recipe makes of it, and write it as one HTML page to
    ``html``.

    Without a recipe ``model`` may be a ``.uff`` or ``.onnx`` file, too.

    ``verification`` is what :func:`verify` returned, or the file that ``surgeon verify --json`` wrote; its
    pictures go into the page. The other arguments are those of :func:`plan`; without a recipe only the model
    is shown.

    Raise SurgeonError as :func:`plan` does, W101 to W103 for the verification, E105 and W107 for the page.
    Raise TypeError where a verification is given without a recipe.
    """
    from surgeon.atomic import write_text
    from surgeon.viewer import (
        Page,
        check_page,
        check_recipe,
        read_verification,
        render_page,
        tell,
        tell_file,
        tell_graph,
    )

    if html is not None:
        check_page(html, model, recipe, verification)
    catalog = _catalog(plugin_paths)
    if recipe is None:
        if verification is not None:
            raise TypeError("a verification goes with a recipe")
        page = Page(
            tell_graph(model, catalog=catalog)
            if isinstance(model, Graph)
            else tell_file(model, catalog=catalog)
        )
    else:
        beside = None
        if isinstance(verification, str | os.PathLike):
            beside = Path(verification).parent
            verification = read_verification(Path(verification))
        chosen = _target(target)
        made = _plan(
            _recipe(recipe, parameters, recipe_paths),
            _graph(model),
            target=chosen,
            catalog=catalog,
            anchors=anchors,
        )
        assert made.result is not None
        if verification is not None:
            check_recipe(verification, made.recipe)
        found = _lint(made.result, chosen, catalog, made.image)
        page = Page(tell(made, catalog=catalog), (*made.remarks, *found), verification, beside)
    if html is not None:
        write_text(html, render_page(page))
    return page.story


def read_model(path: PathLike) -> Graph | UffModel:
    """Read a model of any kind, by its suffix: ``.uff``, else a frozen graph or a SavedModel folder."""
    if Path(path).suffix.lower() == ".uff":
        from surgeon.formats.uff import read_uff

        return read_uff(path)
    return load_graph(path)


def export_graph(graph: Graph, output: Path, target: Target, catalog: Catalog) -> int:
    """Write a rewritten graph in the format of the output's suffix; return the bytes written.

    Raise SurgeonError.
    """
    return _export(graph, output, target, catalog)[0]


def _export(
    graph: Graph,
    output: Path,
    target: Target,
    catalog: Catalog,
    plan: Plan | None = None,
    labels: Mapping[int, str] | None = None,
    watch: ExportWatch | None = None,
    **choices: Any,
) -> tuple[int, tuple[Rendered, ...]]:
    """Write a rewritten graph; return the bytes written, and how each plugin node of an ONNX file was."""
    suffix = output.suffix.lower()
    if suffix == ".onnx":
        from surgeon.formats.onnx import export, write_onnx

        told = _metadata(graph, target, catalog, plan, labels)
        made = export(graph, plugins=catalog, target=target, metadata=told, watch=watch, **choices)
        return write_onnx(made.model, output), made.plugins
    if suffix == ".uff":
        from surgeon.formats.uff import export_uff, write_uff

        write_uff(export_uff(graph, plugins=catalog, target=_uff_view(target)), output)
    else:
        save_graph(graph, output)
    return output.stat().st_size if output.is_file() else 0, ()


def _metadata(
    graph: Graph, target: Target, catalog: Catalog, plan: Plan | None, labels: Mapping[int, str] | None
) -> dict[str, str]:
    """Return what an ONNX file tells of itself."""
    from surgeon.formats.onnx import metadata_for
    from surgeon.runners.detections import gives_detections

    detections: dict[str, str] = {}
    for ref in graph.output_refs:
        node = graph[ref.node]
        ports = catalog[node.op].output_ports(dict(node.attrs)) if node.op in catalog else ()
        if not detections and gives_detections(ports):
            named = {
                port: str(other)
                for slot, port in enumerate(ports)
                for other in graph.output_refs
                if other == (ref.node, slot)
            }
            detections = named
    return metadata_for(
        recipe=plan.recipe if plan else "",
        digest=plan.digest if plan else "",
        target=target.name,
        image=plan.image if plan else None,
        labels=labels,
        detections=detections,
    )


def _onnx_choices(output: Path, rendering: str | None, opset: int | None, batch: Batch) -> dict[str, Any]:
    """Return the choices that were made for ONNX.

    Raise SurgeonError X152 where the output is another format.
    """
    made = {
        key: value
        for key, value in (("rendering", rendering), ("opset", opset), ("batch", batch))
        if value is not None
    }
    if made and output.suffix.lower() != ".onnx":
        names = {"rendering": "--plugins", "opset": "--opset", "batch": "--batch"}
        raise error(
            "X152",
            f"{' and '.join(names[key] for key in made)} mean nothing for '{output}'; expected a '.onnx' "
            "file",
            str(output),
            help=["leave them out, or name the output '.onnx'"],
        )
    return made


def _output_target(output: Path, target: Target | str | None) -> Target:
    """Return the target of an output, after checking that the two go together."""
    by_suffix = target_for_output(output)
    chosen = by_suffix if target is None else _target(target)
    if by_suffix.format != "graphdef" and chosen.format != by_suffix.format:
        raise error(
            "X131",
            f"'{output}' does not fit the target '{chosen.name}'; expected a suffix of its format",
            str(output),
            help=[f"name the output '.pb' or '.pbtxt', or choose a target such as '{by_suffix.name}'"],
        )
    return chosen


def _target(target: Target | str | None) -> Target:
    return target if isinstance(target, Target) else load_target(target or DEFAULT_TARGET)


def _catalog(plugin_paths: Iterable[PathLike]) -> Catalog:
    from surgeon.catalog import load_catalog

    return load_catalog([Path(p) for p in plugin_paths])


def _graph(model: Graph | PathLike) -> Graph:
    if isinstance(model, Graph):
        return model
    kind = {".uff": "a UFF", ".onnx": "an ONNX"}.get(Path(model).suffix.lower())
    if kind is not None and Path(model).is_file():
        raise error(
            "E110",
            f"'{os.fspath(model)}' is {kind} file; expected a frozen graph or a SavedModel folder",
            help=["give the graph that it was made from; 'surgeon inspect' reads UFF and ONNX files"],
        )
    return load_graph(model)


def _recipe(
    recipe: Recipe | PathLike, parameters: Mapping[str, Any] | None, paths: Iterable[PathLike]
) -> Recipe:
    if isinstance(recipe, Recipe):
        if parameters:
            raise TypeError("'parameters' go with a recipe's name or path; give them to load_recipe")
        return recipe
    name = recipe if isinstance(recipe, str) else Path(recipe)
    return load_recipe(name, parameters=parameters, recipe_paths=[Path(p) for p in paths])


def _uff_view(target: Target) -> Any:
    # The exporter asks for a version where a target of any runtime has none.
    return target if target.format == "uff" else None


def _lint(
    graph: Graph, target: Target, catalog: Catalog, image: Image | None = None
) -> tuple[Diagnostic, ...]:
    """Return what the target's exporter refuses in a rewritten graph, then what its runtime would make of
    it.
    """
    from surgeon.lints import find_problems

    found = find_problems(graph, target, catalog, image)
    if target.format == "onnx":
        from surgeon.formats.onnx import check_export

        return (*check_export(graph, plugins=catalog, target=target), *found)
    if target.format != "uff":
        return found
    from surgeon.formats.uff import export_uff

    try:
        export_uff(graph, plugins=catalog, target=_uff_view(target))
    except SurgeonError as exc:
        return (*exc.diagnostics, *found)
    return found


def _warnings(graph: Graph, target: Target, catalog: Catalog, image: Image | None) -> tuple[Diagnostic, ...]:
    """Return what may go wrong in the target's runtime.

    Raise SurgeonError for what will, and for what cannot be exported.
    """
    from surgeon.lints import find_problems

    found = find_problems(graph, target, catalog, image)
    if _errors(found):
        raise SurgeonError(*_errors(_lint(graph, target, catalog, image)))
    return found


def _errors(found: Iterable[Diagnostic]) -> tuple[Diagnostic, ...]:
    return tuple(diagnostic for diagnostic in found if diagnostic.severity is Severity.ERROR)


def _check_plugins(recipe: Recipe, catalog: Catalog, target: Target) -> None:
    """Raise SurgeonError for plugins that the catalog or the target does not have, and for fields they
    lack.
    """
    from surgeon.catalog import span_of_versions

    version = target.version if target.runtime == "tensorrt" else None
    problems: list[Diagnostic] = []
    for name, node in recipe.nodes.items():
        if node.plugin is None:
            continue
        try:
            spec = catalog.get_plugin(node.plugin, recipe.span("nodes", name, "plugin"))
        except SurgeonError as exc:
            problems += exc.diagnostics
            continue
        standard = (
            target.format == "onnx"
            and not spec.exists_in(version)
            and catalog.module(spec.op, "onnx") is not None
        )
        if not (standard or spec.exists_in(version)):
            problems.append(
                Diagnostic(
                    "S401",
                    f"the plugin {spec.op} of '{name}' does not exist in {target.title}",
                    recipe.span("nodes", name, "plugin"),
                    (span_of_versions(spec),),
                    (f"choose another target; 'surgeon explain {spec.op}' says what replaces it",),
                )
            )
            continue
        release = None if standard else version
        known = {field.name for field in spec.fields_of(release)}
        given = {
            key: value for key, value in (node.fields or {}).items() if value != "auto" or key not in known
        }
        try:
            spec.complete(given, version=release, where=_places(recipe, name))
        except SurgeonError as exc:
            auto = {f"'{key}'" for key, value in (node.fields or {}).items() if value == "auto"}
            problems += [
                d for d in exc.diagnostics if d.code != "C103" or not any(a in d.message for a in auto)
            ]
    if problems:
        raise SurgeonError(*problems)


def _places(recipe: Recipe, name: str) -> Any:
    return lambda key: recipe.span("nodes", name, "fields", key)
