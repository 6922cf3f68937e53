"""``surgeon.package``: a folder that carries a model to where it runs."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from surgeon.api.build import classes_among, converted, with_detections
from surgeon.api.verify import verify
from surgeon.catalog import Catalog
from surgeon.diagnostics import Diagnostic, error
from surgeon.display import Displayed
from surgeon.engine import BuildOptions, PluginUse, Source
from surgeon.engine.builds import check_batch
from surgeon.engine.manifest import FileInfo, check_content, check_libraries_of, describe_file, read_manifest
from surgeon.engine.sources import is_source, source_of_file
from surgeon.graph import Graph
from surgeon.language import Recipe
from surgeon.packaging.description import Description, OutputInfo, PluginNode
from surgeon.packaging.folder import check_folder, writing_folder
from surgeon.packaging.kind import PackagedModel, PackageKind, package_kinds
from surgeon.request import Options, PathLike, Request, takes_options
from surgeon.runners.engine import EngineRunner
from surgeon.verification import Verification, read_records
from surgeon.version import __version__

if TYPE_CHECKING:
    import numpy as np
    from typing_extensions import Unpack

ORIGINAL, CALIBRATION = "original.npz", "calibration.cache"
_NATIVE = "libsurgeon_plugins"


@dataclass(frozen=True)
class Package(Displayed):
    """A folder that :func:`package` wrote.

    ``files`` are its files, by their paths in it. ``verification`` holds the rewritten graph against the
    original; None where no originals were computed. ``diagnostics`` are the notes and warnings of the plan.
    """

    path: Path
    kind: str
    description: Description
    files: tuple[FileInfo, ...]
    verification: Verification | None = None
    diagnostics: tuple[Diagnostic, ...] = ()

    def __repr__(self) -> str:
        return f"<Package: {self.path} for {self.kind}, {len(self.files)} files>"

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        return {
            "package": str(self.path),
            "kind": self.kind,
            "files": [each.model_dump(mode="json") for each in self.files],
            "description": self.description.model_dump(mode="json"),
            "verification": None if self.verification is None else self.verification.to_json(),
            "diagnostics": [each.to_json() for each in self.diagnostics],
        }


@takes_options
def package(
    recipe: Recipe | PathLike,
    model: Graph | PathLike | None,
    output: PathLike,
    *,
    kind: str = "device",
    images: PathLike | Iterable[np.ndarray] | None = None,
    inputs: PathLike | Mapping[str, np.ndarray] | None = None,
    seed: int = 0,
    original: PathLike | None = None,
    originals: bool = True,
    precision: str | None = None,
    tf32: bool = True,
    workspace: int | None = None,
    max_batch: int | None = None,
    best_batch: int | None = None,
    calibration_cache: PathLike | None = None,
    calibrator: str = "entropy",
    plugin_libraries: Iterable[PathLike] = (),
    force: bool = False,
    **options: Unpack[Options],
) -> Package:
    """Write a folder with what a model needs where it runs.

    ``kind`` is ``device``: the UFF or ONNX file, one file of Python that builds, runs, measures and verifies
    the engine where this package cannot be installed, and what they need; ``triton``: a model repository of
    Triton Inference Server, and a client; or ``deepstream``: the model, the configuration of Gst-nvinfer, and
    a parser of the detections in C++. ``recipe`` and ``model`` are those of :func:`convert`; or ``recipe`` is
    a ``.uff`` or ``.onnx`` file, for ``triton`` and ``deepstream`` an engine, too, and ``model`` is None.
    ``output`` is a new folder; with ``force`` one that this function wrote is replaced.

    The original is computed on ``images``, ``inputs`` or made-up pictures as :func:`verify` does, stored in
    the folder, and compared with the rewritten graph. ``original`` is a file of stored originals to use
    instead. Without ``originals`` there are none. ``precision``, ``workspace``, ``max_batch`` and the others
    are how the device builds the engine unless it is told otherwise; they default to the recipe's.
    ``calibration_cache`` holds the scales for INT8, as :func:`build_engine` leaves them beside an engine.
    ``plugin_libraries`` are those that an engine was built with, for ``triton``.

    Raise SurgeonError as :func:`convert` and :func:`verify` do, B101 and B107 for options, B109 for a file
    that no engine is built from, B102, B103, B105 and B106 for an engine, B151 for an unknown ``kind``, B152
    and B153 for a model that DeepStream cannot run, B155 for one that Triton cannot, E120 for a folder that
    would be lost. Nothing is written then.
    """
    folder = Path(output)
    chosen = _kind(kind)
    check_folder(folder, chosen.mark, force=force)
    stored = None if original is None else Path(original)
    cache = None if calibration_cache is None else Path(calibration_cache)
    asked: dict[str, Any] = {
        "precision": precision,
        "workspace": workspace,
        "max_batch": max_batch,
        "best_batch": best_batch,
    }
    libraries = tuple(map(Path, plugin_libraries))
    if model is None and not isinstance(recipe, Recipe) and _is_engine(Path(recipe)):
        engine = Path(recipe)
        _check_libraries(libraries, chosen, chosen.keeps_libraries)
        _check_engine(engine, chosen, {**asked, "original": stored, "calibration_cache": cache}, tf32)
        described = _described_engine(engine, libraries if chosen.keeps_libraries else None)
        remarks = chosen.check(described)
        with writing_folder(folder, chosen.mark, force=force) as temporary:
            chosen.write(temporary, PackagedModel(described, engine, libraries=libraries))
            written = tuple(_files(temporary))
        return Package(folder, chosen.name, described, written, None, remarks)
    _check_libraries(libraries, chosen, False)
    work = Request.of(recipe, model, **options).resolve()
    options["target"] = work.target
    with tempfile.TemporaryDirectory(prefix="surgeon-") as place:
        section = None
        diagnostics: tuple[Diagnostic, ...] = ()
        if model is None:
            source = _source_of(recipe, work.catalog)
        else:
            section = work.recipe.engine
            source, diagnostics = converted(work, Path(place), max_batch or section.max_batch)
        build_options = BuildOptions.of(section, tf32=tf32, algorithm=calibrator, **asked)
        _check_options(source, build_options, cache)
        source = with_detections(source, work.catalog)
        described = _described(source, build_options, work.catalog)
        diagnostics += chosen.check(described)
        verification = None
        if stored is not None:
            _check_original(stored, source)
        elif originals and model is not None:
            stored = Path(place) / ORIGINAL
            verification = verify(
                recipe,
                model,
                images=images,
                inputs=inputs,
                seed=seed,
                store=stored,
                **options,
            )
            if not stored.exists():
                stored = None
        beside = {
            "original": ORIGINAL if stored is not None and chosen.keeps_originals else "",
            "calibration": CALIBRATION if cache is not None else "",
        }
        described = described.model_copy(update=beside)
        packaged = PackagedModel(described, source.path, stored, cache)
        with writing_folder(folder, chosen.mark, force=force) as temporary:
            chosen.write(temporary, packaged)
            written = tuple(_files(temporary))
    return Package(folder, chosen.name, described, written, verification, diagnostics)


def _kind(name: str) -> PackageKind:
    kinds = package_kinds()
    if name not in kinds:
        raise error(
            "B151",
            f"there is no kind of folder '{name}'; expected {', '.join(kinds)}",
            help=["'surgeon package --help' says what each is for"],
        )
    return kinds[name]


def _source_of(recipe: Recipe | PathLike, catalog: Catalog) -> Source:
    if isinstance(recipe, Recipe) or not is_source(Path(recipe)):
        raise error(
            "B109",
            f"'{getattr(recipe, 'name', recipe)}' is a recipe; expected a model beside it, or a .uff or "
            ".onnx file",
            help=["surgeon package RECIPE MODEL -o DIR"],
        )
    return source_of_file(Path(recipe), catalog)


def _is_engine(path: Path) -> bool:
    return path.suffix.lower() in EngineRunner.suffixes


def _check_engine(engine: Path, kind: PackageKind, options: Mapping[str, Any], tf32: bool) -> None:
    """Raise SurgeonError B109 where an engine cannot be packaged, B101 for options of building one."""
    if not kind.takes_engines:
        raise error(
            "B109",
            f"'{engine}' is an engine, and the {kind.name} builds its own; expected a recipe and a model, or "
            "a .uff or .onnx file",
            str(engine),
            help=["give what the engine was built from"],
        )
    given = [name for name, value in options.items() if value is not None] + ([] if tf32 else ["tf32"])
    if given:
        raise error(
            "B101",
            f"'{engine}' is built already; {', '.join(given)} would change nothing",
            str(engine),
            help=["leave them out, or give what the engine was built from"],
        )


def _check_libraries(libraries: Sequence[Path], kind: PackageKind, are_kept: bool) -> None:
    """Raise SurgeonError B101 for libraries that the folder does not take."""
    if libraries and not are_kept:
        raise error(
            "B101",
            f"'{libraries[0]}' is a plugin library; the folder for {kind.name} takes one with an engine alone"
            if kind.keeps_libraries
            else f"'{libraries[0]}' is a plugin library, which the folder for {kind.name} does not take",
            str(libraries[0]),
            help=["leave it out; README.md in the folder says how plugins come there"],
        )


def _check_options(source: Source, options: BuildOptions, cache: PathLike | None) -> None:
    if options.precision == "int8" and cache is None:
        raise error(
            "B107",
            "an INT8 engine needs calibration; expected a calibration cache",
            help=[
                "build an INT8 engine here with 'surgeon build --int8 --calibration DIR', and give the "
                "'.calibration' file beside it with --calibration-cache"
            ],
        )
    if cache is not None:
        describe_file(Path(cache))
    check_batch(source, options.max_batch)


def _check_original(stored: Path, source: Source) -> None:
    """Raise SurgeonError V123 for a file without originals, V124 for those of another graph."""
    info, _ = read_records(stored)
    if info.graph and source.graph and info.graph != source.graph:
        raise error(
            "V124",
            f"'{source.path.name}' was made from another graph than the originals in '{stored}'",
            str(stored),
            [f"its graph:     {source.graph}", f"the originals: {info.graph}"],
            ["store them again from this model: surgeon verify RECIPE MODEL --store FILE.npz"],
        )


def _described(source: Source, options: BuildOptions, catalog: Catalog) -> Description:
    return Description(
        surgeon=__version__,
        name=source.path.stem,
        source=describe_file(source.path),
        format=source.format,
        inputs=source.inputs,
        marks=source.marks,
        outputs=tuple(
            OutputInfo(
                name=each.name,
                dtype=each.dtype,
                shape=each.shape,
                binding=_binding(source.format, each.name),
            )
            for each in source.outputs
        ),
        plugins=tuple(_plugin(use, catalog) for use in source.uses),
        model=source.model,
        graph=source.graph,
        recipe=source.recipe,
        recipe_digest=source.recipe_digest,
        target=source.target,
        detections=source.detections,
        image=source.image,
        labels=source.labels,
        classes=source.classes,
        batch=source.batch,
        native_plugins=any(use.op in catalog and catalog[use.op].library == "own" for use in source.uses),
        precision=options.precision,
        tf32=options.tf32,
        workspace=options.workspace,
        max_batch=options.max_batch,
        best_batch=options.best_batch,
        algorithm=options.algorithm,
    )


def _binding(form: str, name: str) -> str:
    """Return what engines call an output; UFF's parser writes ``NMS_1`` for ``NMS:1``."""
    return name.replace(":", "_") if form == "uff" else name


def _described_engine(engine: Path, libraries: Sequence[Path] | None) -> Description:
    """Return what the manifest of an engine says; raise SurgeonError B102 or B103 where there is none.

    Raise B105 where ``libraries`` lack one that the engine was built with; None stands for any.
    """
    manifest = read_manifest(engine)
    if libraries is not None:
        check_libraries_of(manifest, libraries, engine)
    content = describe_file(engine)
    if content.sha256 != manifest.engine.sha256:
        check_content(manifest, engine.read_bytes(), engine)
    return Description(
        surgeon=__version__,
        name=engine.stem,
        source=content,
        format=manifest.format,
        inputs=manifest.inputs,
        outputs=tuple(OutputInfo(**each.model_dump(exclude={"axes"})) for each in manifest.outputs),
        model=manifest.model,
        graph=manifest.graph,
        recipe=manifest.recipe,
        recipe_digest=manifest.recipe_digest,
        target=manifest.target,
        detections=manifest.detections,
        image=manifest.image,
        labels=manifest.labels,
        classes=manifest.classes or classes_among((), manifest.detections, manifest.labels),
        native_plugins=any(each.name.startswith(_NATIVE) for each in manifest.plugin_libraries),
        precision=manifest.precision,
        tf32=manifest.tf32,
        workspace=manifest.workspace,
        max_batch=manifest.max_batch,
        dla_core=manifest.dla_core,
        plugin_libraries=tuple(each.name for each in manifest.plugin_libraries),
        built_for=f"TensorRT {manifest.tensorrt} and {manifest.gpu} ({manifest.compute_capability})",
    )


def _plugin(use: PluginUse, catalog: Catalog) -> PluginNode:
    fields = {name: _plain(value) for name, value in use.fields.items()}
    creator = catalog[use.op].creator if use.op in catalog else use.op
    return PluginNode(
        node=use.node, op=use.op, fields=fields, creator=creator, version=use.version, namespace=use.namespace
    )


def _plain(value: Any) -> Any:
    """Return a field as JSON has it; bytes are texts there."""
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    return [_plain(item) for item in value] if isinstance(value, tuple | list) else value


def _files(folder: Path) -> list[FileInfo]:
    found = []
    for place, folders, names in os.walk(folder):
        folders.sort()
        for name in sorted(names):
            path = Path(place) / name
            found.append(describe_file(path, path.relative_to(folder).as_posix()))
    return found
