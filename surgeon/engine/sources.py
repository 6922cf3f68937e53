"""Files for TensorRT with what must be said of them: inputs, outputs and plugin nodes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from surgeon.catalog import Catalog
from surgeon.diagnostics import error
from surgeon.engine.builds import Output, Source
from surgeon.engine.libraries import plugin_uses, plugin_uses_of_onnx, plugin_uses_of_uff
from surgeon.engine.manifest import TensorInfo
from surgeon.formats.onnx.metadata import DIGEST, RECIPE, TARGET, load_onnx
from surgeon.formats.uff import UffModel, describe, read_uff
from surgeon.graph import Graph, Ref, Shape, TensorSpec
from surgeon.infer import Inference

TO_CHANNELS_FIRST = (0, 3, 1, 2)


def source_of_file(
    path: Path, catalog: Catalog, weights: Path | None = None, outputs: tuple[str, ...] = ()
) -> Source:
    """Return a file as it is: ``.uff``, ``.onnx``, or ``.prototxt`` with its ``.caffemodel`` as ``weights``.

    ``outputs`` are the tensors of a Caffe network to mark. Raise SurgeonError B109 for another suffix, and as
    the readers do.
    """
    suffix = path.suffix.lower()
    if suffix == ".uff":
        return source_of_uff(path, read_uff(path), catalog)
    if suffix == ".onnx":
        return source_of_onnx(path, catalog)
    if suffix == ".prototxt" and weights is not None:
        return Source("caffe", path, weights, marks=outputs, model=path.name)
    raise error(
        "B109",
        f"'{path}' is no file that an engine is built from; expected .uff, .onnx, or .prototxt with a "
        ".caffemodel",
        str(path),
        help=["give a recipe and a model, or one of these files"],
    )


def source_of_uff(path: Path, model: UffModel, catalog: Catalog, graph: Graph | None = None) -> Source:
    """Return a UFF file; ``graph`` is the rewritten graph that it was made of, where that is at hand.

    Without it, an image input is taken for one of a channels-last model, and stated channels first.
    """
    told = describe(model)
    plugins = {plugin["name"]: plugin for plugin in told["plugins"]}
    inputs = tuple(_input(entry, graph) for entry in told["inputs"])
    marked = [name for output in told["outputs"] for name in output["marks"]]
    inference = Inference(graph, rules=catalog.rules()) if graph is not None else None
    outputs = [one for name in marked for one in _outputs(name, plugins.get(name), catalog, inference)]
    uses = plugin_uses(graph, catalog) if graph is not None else plugin_uses_of_uff(model, catalog)
    return Source(
        "uff",
        path,
        inputs=inputs,
        marks=tuple(output["name"] for output in told["outputs"]),
        outputs=tuple(outputs),
        uses=tuple(uses),
        model=path.name,
    )


def source_of_onnx(path: Path, catalog: Catalog) -> Source:
    """Return an ONNX file, with what it says of itself where surgeon wrote it.

    Raise SurgeonError X150 and X151 as its reader.
    """
    model, info = load_onnx(path)
    inputs = tuple(_onnx_input(name, spec, info.layout[name] == "NCHW") for name, spec in info.inputs.items())
    batches = {spec.shape.dims[0] for spec in info.inputs.values() if spec.shape.dims}
    outputs = tuple(
        Output(name, spec.dtype.value if spec.dtype is not None else "float32")
        for name, spec in info.outputs.items()
    )
    return Source(
        "onnx",
        path,
        inputs=inputs,
        outputs=outputs,
        uses=plugin_uses_of_onnx(model, catalog),
        model=path.name,
        graph=info.properties.get(DIGEST, ""),
        recipe=info.properties.get(RECIPE, ""),
        target=info.properties.get(TARGET, ""),
        detections=info.detections,
        image=info.image,
        labels=info.labels,
        batch=batches.pop() if len(batches) == 1 else None,
    )


def _onnx_input(name: str, spec: TensorSpec, channels_first: bool) -> TensorInfo:
    dims = spec.shape.dims or ()
    dtype = spec.dtype.value if spec.dtype is not None else "float32"
    if channels_first:
        return TensorInfo(
            name=name,
            binding=name,
            dtype=dtype,
            shape=(dims[0], dims[2], dims[3], dims[1]),
            axes=TO_CHANNELS_FIRST,
        )
    return TensorInfo(name=name, binding=name, dtype=dtype, shape=dims)


def _input(entry: Mapping[str, Any], graph: Graph | None) -> TensorInfo:
    stated = tuple(entry["shape"] or ())
    shape: tuple[int | None, ...] = (None, *stated[1:])
    axes: tuple[int, ...] = ()
    own = graph[entry["name"]].attrs.get("shape") if graph is not None and entry["name"] in graph else None
    dims = own.dims if isinstance(own, Shape) else None
    if len(stated) == 4 and (dims is None or dims[1:] != stated[1:]):
        # The file states channels first what the graph has channels last.
        shape, axes = (None, stated[2], stated[3], stated[1]), TO_CHANNELS_FIRST
    return TensorInfo(name=entry["name"], binding=entry["name"], dtype="float32", shape=shape, axes=axes)


def _outputs(
    name: str, plugin: Mapping[str, Any] | None, catalog: Catalog, inference: Inference | None
) -> list[Output]:
    """Return what comes out of a marked node: everything that a plugin computes, else one tensor."""
    by_creator = {spec.creator: spec for spec in catalog.values()} if plugin is not None else {}
    spec = by_creator.get(plugin["op"]) if plugin is not None else None
    count = len(spec.output_ports(plugin["fields"])) if spec is not None and plugin is not None else 1
    found = []
    for slot in range(count):
        ref = Ref(name, slot)
        known = inference.spec(ref) if inference is not None else None
        dtype = known.dtype.value if known is not None and known.dtype is not None else "float32"
        dims = known.shape.dims if known is not None else None
        found.append(Output(str(ref), dtype, (None, *dims[1:]) if dims else ()))
    return found
