"""Files for TensorRT with what must be said of them: inputs, outputs and plugin nodes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from surgeon.catalog import Catalog
from surgeon.diagnostics import Diagnostic, Severity, error
from surgeon.engine.builds import Output, Source
from surgeon.engine.manifest import TensorInfo
from surgeon.formats import format_by_suffix
from surgeon.graph import Graph
from surgeon.targets import all_targets

_PARSERS: Mapping[str, Literal["uff", "onnx"]] = {"uff": "uff", "onnx": "onnx"}
"""TensorRT's parser for each of our formats that it has one for; Caffe's is not a format of ours."""

_CAFFE = ".prototxt"


def is_source(path: Path) -> bool:
    """Return whether an engine is built from files of this suffix."""
    form = format_by_suffix(path)
    return path.suffix.lower() == _CAFFE or (form is not None and form.name in _PARSERS)


def for_another_runtime(file: str, target: str) -> tuple[Diagnostic, ...]:
    """Return a warning where a file says that it was written for a ``target`` of another runtime than
    TensorRT; none where its target is not known.
    """
    written_for = all_targets().get(target)
    if written_for is None or written_for.runtime == "tensorrt":
        return ()
    return (
        Diagnostic(
            "B115",
            f"'{file}' was written for {target}: its plugins are in standard operators, and nothing that "
            "TensorRT refuses or computes otherwise was looked for",
            file,
            (),
            (f"convert the model with --target {written_for.format}@tensorrt-10, or its own version",),
            Severity.WARNING,
        ),
    )


def source_of_file(
    path: Path,
    catalog: Catalog,
    weights: Path | None = None,
    outputs: tuple[str, ...] = (),
    rewritten: Graph | None = None,
) -> Source:
    """Return a file with what it says of itself, or a ``.prototxt`` with its ``.caffemodel`` as ``weights``.

    ``outputs`` are the tensors of a Caffe network to mark. ``rewritten`` is the graph that the file was made
    of, where that is at hand. Raise SurgeonError B109 for another suffix, and as the readers do.
    """
    form = format_by_suffix(path)
    if form is not None and form.name in _PARSERS:
        file = form.open(path)
        facts, interface = file.facts, file.interface(catalog, rewritten)
        return Source(
            _PARSERS[form.name],
            path,
            inputs=tuple(TensorInfo(binding=each.name, **vars(each)) for each in interface.inputs),
            marks=interface.marks,
            outputs=tuple(Output(each.name, each.dtype, each.shape) for each in interface.outputs),
            uses=file.plugin_uses(catalog, rewritten),
            model=path.name,
            graph=facts.digest,
            recipe=facts.recipe,
            target=facts.target,
            detections=facts.detections,
            image=facts.image,
            labels=facts.labels,
            batch=interface.batch,
        )
    if path.suffix.lower() == _CAFFE and weights is not None:
        return Source("caffe", path, weights, marks=outputs, model=path.name)
    raise error(
        "B109",
        f"'{path}' is not a file that an engine is built from; expected .uff, .onnx, or .prototxt with a "
        ".caffemodel",
        str(path),
        help=["give a recipe and a model, or one of these files"],
    )
