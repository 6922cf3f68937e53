"""``surgeon.build_engine``: an engine of TensorRT."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from surgeon.api.differences import standard_differences
from surgeon.api.export import check_objections, write
from surgeon.api.keep_accuracy import MAX_BUILDS, Aim, build_accurate, check_aim
from surgeon.atomic import check_generated, check_writable
from surgeon.catalog import Catalog
from surgeon.catalog.detections import with_stated
from surgeon.catalog.plugin_uses import PluginUse, plugin_uses
from surgeon.diagnostics import Diagnostic, SurgeonError, error, errors_in
from surgeon.engine import (
    BuildOptions,
    BuildResult,
    CalibrationBatches,
    Registry,
    Source,
    build,
    read_registry,
)
from surgeon.engine.builds import TIMEOUT, calibration_path
from surgeon.engine.children import not_installed
from surgeon.engine.libraries import check_libraries
from surgeon.engine.manifest import manifest_path
from surgeon.engine.plugin_checks import check_plugins, version_of
from surgeon.engine.sources import for_another_runtime, is_source, source_of_file
from surgeon.engine.worker_client import Watch
from surgeon.formats import all_formats, format_by_suffix
from surgeon.graph import Graph, Ref, TensorSpec
from surgeon.infer import Inference
from surgeon.language import Recipe
from surgeon.request import Options, PathLike, Request, Work, takes_options
from surgeon.rewrite import apply
from surgeon.runners.calibration import calibration_batches
from surgeon.targets import Target, all_targets

if TYPE_CHECKING:
    from typing_extensions import Unpack

_CLASS_FIELDS = ("numClasses", "classes")
"""Fields of plugins that give detections which say how many classes there are."""


@takes_options
def build_engine(
    recipe: Recipe | PathLike,
    model: Graph | PathLike | None,
    output: PathLike,
    *,
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
    keep_accuracy: float | None = None,
    max_builds: int = MAX_BUILDS,
    timing_cache: PathLike | None = None,
    plugin_libraries: Iterable[PathLike] = (),
    shapes: Mapping[str, Sequence[Sequence[int]]] | None = None,
    outputs: Sequence[str] = (),
    report: bool = False,
    force: bool = False,
    timeout: float = TIMEOUT,
    watch: Watch | None = None,
    **options: Unpack[Options],
) -> BuildResult:
    """Build an engine with the installed TensorRT and its GPU, from a recipe and a model or from a file.

    ``recipe`` and ``model`` are those of :func:`convert`; or ``recipe`` is a ``.uff`` or ``.onnx`` file,
    or a ``.prototxt`` with its ``.caffemodel``, and ``model`` is None. ``outputs`` names the tensors of a
    Caffe network to mark. ``target`` defaults to that of the installed TensorRT; precision, workspace and
    batch default to the recipe's. ``calibration`` is a folder of pictures, or arrays uint8[H, W, 3], of
    which the first ``calibration_pictures`` are used; ``calibration_cache`` is a file of scales to use
    instead. ``keep_accuracy`` is how many points of mean average precision an FP16 or INT8 engine may lose
    against the FP32 engine on those pictures; layers are kept in FP32 until it does not lose more, for which
    up to ``max_builds`` engines are built. The manifest's ``accuracy`` says what was reached, also where it
    is less than was wanted. An existing engine that is up to date for this TensorRT and GPU is kept unless
    ``force``. ``watch`` is called as the build goes on. The other arguments are those of
    :class:`surgeon.engine.BuildOptions` and :func:`surgeon.engine.build`.

    Raise SurgeonError as :func:`convert` and :func:`surgeon.engine.build` do, B109 for files and targets for
    which no engine can be built, B110 for pictures that cannot be used, B112 and B113 where the accuracy
    cannot be kept, and B120 to B149 for plugin libraries, plugins, and TensorRT's errors.
    """
    path = _engine_path(Path(output))
    work = Request.of(recipe, model, **options).resolve()
    _check_runtime(work)
    if timing_cache is not None:
        check_generated(timing_cache)
    libraries = check_libraries([Path(library) for library in plugin_libraries])
    registry = _registry(libraries)
    with tempfile.TemporaryDirectory(prefix="surgeon-") as folder:
        diagnostics: tuple[Diagnostic, ...] = ()
        if isinstance(recipe, str | os.PathLike) and is_source(Path(recipe)):
            section = None
            weights = None if model is None else Path(model)  # type: ignore[arg-type]
            source = source_of_file(Path(recipe), work.catalog, weights, tuple(outputs))
        else:
            if model is None:
                raise error(
                    "B109",
                    f"'{recipe}' is a recipe; expected a model beside it, or a .uff, .onnx or .prototxt file",
                    help=["surgeon build RECIPE MODEL -o ENGINE"],
                )
            section = work.recipe.engine
            batch = max_batch or section.max_batch
            here = work.for_target(_target_here(work, registry))
            source, diagnostics = converted(here, Path(folder), batch)
        build_options = BuildOptions.of(
            section,
            precision=precision,
            tf32=tf32,
            workspace=workspace,
            max_batch=max_batch,
            best_batch=best_batch,
            dla_core=dla_core,
            report=report,
            algorithm=calibrator,
        )
        diagnostics += for_another_runtime(source.path.name, source.target)
        problems = errors_in(check_plugins(source.uses, registry, work.catalog))
        if problems:
            raise SurgeonError(*problems)
        source = with_detections(source, work.catalog)
        if keep_accuracy is not None:
            check_aim(keep_accuracy, max_builds, build_options, source, calibration)
        batches = _calibration(
            source,
            build_options.best_batch or build_options.max_batch,
            calibration,
            calibration_pictures,
            calibration_cache,
        )
        cache = None if timing_cache is None else Path(timing_cache)
        if keep_accuracy is not None:
            assert calibration is not None and batches is not None
            pictures = Path(calibration) if isinstance(calibration, str | os.PathLike) else calibration
            built = build_accurate(
                source,
                path,
                build_options,
                Aim(keep_accuracy, max_builds, pictures),
                Path(folder),
                libraries=libraries,
                shapes=shapes,
                calibration=batches,
                timing_cache=cache,
                force=force,
                timeout=timeout,
                watch=watch,
            )
            return replace(built, diagnostics=diagnostics)
        built = build(
            source,
            path,
            build_options,
            libraries=libraries,
            shapes=shapes,
            calibration=batches if build_options.precision == "int8" else None,
            timing_cache=cache,
            force=force,
            timeout=timeout,
            watch=watch,
        )
        return replace(built, diagnostics=diagnostics)


def _engine_path(path: Path) -> Path:
    if format_by_suffix(path) is not None or path.suffix.lower() in (".yaml", ".yml", ".json"):
        raise error(
            "B109",
            f"the output '{path}' has the suffix of another kind of file; expected .engine or .plan",
            str(path),
            help=["name the output '.engine'"],
        )
    check_writable(path)
    for beside in (manifest_path(path), calibration_path(path)):
        check_writable(beside, follow_links=False)
    return path


def _registry(libraries: Sequence[Path]) -> Registry:
    """Return what the installed TensorRT and plugin libraries register.

    Raise SurgeonError E108 where there is none.
    """
    found = read_registry(libraries)
    if found is None:
        raise not_installed("building engines")
    return found


def _check_runtime(work: Work) -> None:
    """Raise SurgeonError B109 for a target of another library than TensorRT."""
    if work.request.target is not None and work.target.runtime == "tensorrt-rtx":
        raise error(
            "B109",
            f"the target '{work.target.name}' is for TensorRT-RTX, which 'build' does not use; expected a "
            "target of TensorRT",
            help=["write the file with 'convert', then build it with NVIDIA's 'tensorrt_rtx'"],
        )


def _target_here(work: Work, registry: Registry) -> Target:
    """Return the request's target, else the best for the installed TensorRT.

    UFF as long as there is a parser for it.
    """
    if work.request.target is not None or registry.problem:  # the problem is told where plugins are compared
        return work.target
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
    return max(fit, key=lambda t: t.version or ()) if fit else work.target


def converted(work: Work, folder: Path, batch: int) -> tuple[Source, tuple[Diagnostic, ...]]:
    """Return the file that a recipe makes of a model, written into ``folder``, with what the manifest says of
    it, and what was noted on the way.
    """
    catalog, recipe, graph, target, made = work.catalog, work.recipe, work.graph, work.target, work.plan
    result = apply(made, graph)
    objections = check_objections(result, target, catalog, made.image, made.inference)
    form = all_formats()[target.format]
    path = folder / f"{recipe.name}{form.suffixes[0]}"
    sizes: dict[str, Any] = {"batch": batch if batch == 1 else "dynamic"}
    own = {option.name: sizes[option.name] for option in form.options if option.name in sizes}
    written = write(result, path, target, catalog, made, recipe.labels, original=graph, **own)
    source = source_of_file(path, catalog, rewritten=result)
    name = Path(graph.source).name if graph.source else "graph"
    stated = {part: str(ref) for part, ref in made.detections.items()}
    detections = with_stated(source.detections or detections_of(source, catalog), stated)
    inference = made.inference or Inference(result, rules=catalog.rules())
    scores = map(inference.spec, _scores_read(result, detections, catalog))
    described = replace(
        source,
        model=name,
        graph=made.digest,
        recipe=recipe.name,
        recipe_digest=recipe.digest(),
        target=target.name,
        image=made.image,
        labels=dict(recipe.labels),
        detections=detections,
        classes=classes_among(plugin_uses(result, catalog), detections, recipe.labels, *scores),
    )
    return described, (*made.diagnostics, *objections, *standard_differences(written.plugins, catalog))


def with_detections(source: Source, catalog: Catalog) -> Source:
    """Return a file with what its plugin nodes tell of detections, where nothing else does."""
    detections = source.detections or detections_of(source, catalog)
    classes = source.classes or classes_among(source.uses, detections, source.labels)
    return replace(source, detections=detections, classes=classes)


def classes_among(
    uses: Iterable[PluginUse], detections: Mapping[str, str], labels: Mapping[int, str], *scores: TensorSpec
) -> int | None:
    """Return how many classes detections may have, a background included; None where nothing tells.

    The fields of the plugin that gives the detections tell it, the largest number with a label, and the
    ``scores`` that such a plugin reads, [N, P, C].
    """
    nodes = {Ref.parse(name).node for name in detections.values()}
    giving = [use for use in uses if use.node in nodes]
    counts: list[Any] = [use.fields.get(name) for use in giving for name in _CLASS_FIELDS]
    counts += [max(labels) + 1] if labels else []
    counts += [spec.shape.dims[2] for spec in scores if spec.shape.dims and len(spec.shape.dims) > 2]
    return max((count for count in counts if isinstance(count, int) and count > 0), default=None)


def _scores_read(graph: Graph, detections: Mapping[str, str], catalog: Catalog) -> Iterator[Ref]:
    """Yield the scores that the plugins which give detections read."""
    for name in dict.fromkeys(Ref.parse(each).node for each in detections.values()):
        if name in graph and graph[name].op in catalog:
            ports = catalog[graph[name].op].inputs_by_port(graph[name])
            yield from (ref for port, ref in ports.items() if port == "scores")


def detections_of(source: Source, catalog: Catalog) -> dict[str, str]:
    """Return, by part, the outputs of a file that hold detections."""
    names = {output.name for output in source.outputs}
    giving = (catalog.detections(use.op, use.node, use.fields) for use in source.uses if use.node in names)
    return {port: str(ref) for port, ref in next(filter(None, giving), {}).items()}


def _calibration(
    source: Source,
    batch: int,
    pictures: PathLike | Sequence[np.ndarray] | None,
    most: int,
    cache: PathLike | None,
) -> CalibrationBatches | None:
    if pictures is not None:
        given = Path(pictures) if isinstance(pictures, str | os.PathLike) else pictures
        return calibration_batches(given, source.image, source.inputs, batch, most)
    return None if cache is None else CalibrationBatches(cache=Path(cache))
