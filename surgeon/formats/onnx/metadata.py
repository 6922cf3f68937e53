"""What an ONNX file tells of itself: where it comes from, how its input is made, what its outputs mean."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from surgeon.atomic import check_regular
from surgeon.diagnostics import error
from surgeon.formats.format import FileFacts
from surgeon.formats.onnx.network import spec_of
from surgeon.graph import TensorSpec
from surgeon.language import Image
from surgeon.optional import require

PREFIX = "surgeon."
RENDERINGS, TRANSPOSED = f"{PREFIX}plugins", f"{PREFIX}nchw_inputs"
RECIPE, DIGEST, TARGET, VERSION = (
    f"{PREFIX}recipe",
    f"{PREFIX}graph_digest",
    f"{PREFIX}target",
    f"{PREFIX}version",
)
IMAGE, LABELS, DETECTIONS = f"{PREFIX}image", f"{PREFIX}labels", f"{PREFIX}detections"


@dataclass(frozen=True)
class OnnxInfo:
    """What an ONNX file says of itself.

    ``inputs`` and ``outputs`` give types and shapes; an open axis is None. ``layout`` says of each input
    ``NCHW`` where it was NHWC in the TensorFlow graph, else ``as in the graph``. ``image`` says how a picture
    becomes the input, in the graph's own layout; None where the file does not. ``labels`` maps class numbers
    to names, ``detections`` parts of detections to outputs. ``plugins`` tells how each plugin
    node was written. ``properties`` are all of the file's.
    """

    inputs: Mapping[str, TensorSpec]
    outputs: Mapping[str, TensorSpec]
    image: Image | None = None
    labels: Mapping[int, str] = field(default_factory=dict)
    detections: Mapping[str, str] = field(default_factory=dict)
    layout: Mapping[str, str] = field(default_factory=dict)
    plugins: tuple[Mapping[str, str], ...] = ()
    properties: Mapping[str, str] = field(default_factory=dict)


def written(value: Any) -> str:
    """Return a value as it stands in a property."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def metadata_for(facts: FileFacts) -> dict[str, str]:
    """Return the properties of a file that was made from a graph by a recipe."""
    from surgeon.version import __version__

    found = {VERSION: __version__, RECIPE: facts.recipe, DIGEST: facts.digest, TARGET: facts.target}
    if facts.image is not None:
        found[IMAGE] = written(facts.image.model_dump(mode="json", exclude_none=True))
    if facts.labels:
        found[LABELS] = written({str(number): name for number, name in facts.labels.items()})
    if facts.detections:
        found[DETECTIONS] = written(dict(facts.detections))
    return {key: value for key, value in found.items() if value}


def read_onnx_metadata(path: str | os.PathLike[str]) -> OnnxInfo:
    """Return what an ONNX file says of itself; weights beside it are not read.

    A file of another maker has inputs and outputs only. Raise SurgeonError X150 for a file that cannot be
    read or is not ONNX, X151 for a property of ours that is not as we write it.
    """
    return load_onnx(path)[1]


def load_onnx(path: str | os.PathLike[str]) -> tuple[Any, OnnxInfo]:
    """Return the ModelProto of a file and what it says of itself.

    Raise SurgeonError as :func:`read_onnx_metadata`.
    """
    onnx = require("onnx", "reading ONNX")
    name = os.fspath(path)
    try:
        check_regular(Path(name))
    except (OSError, ValueError) as exc:  # ValueError: a zero byte in the path
        raise _unreadable(name, exc) from None
    try:
        model = onnx.load(name, load_external_data=False)
    except OSError as exc:
        raise _unreadable(name, exc) from None
    except Exception as exc:  # protobuf's DecodeError, whose class depends on its implementation
        raise _no_onnx(name, " ".join(str(exc).split())) from None
    if not model.graph.node and not model.graph.output:
        raise _no_onnx(name, "it holds no graph")
    damaged = next(_damaged_texts(model), None)
    if damaged is not None:
        raise _no_onnx(name, f"the text {damaged} is not UTF-8")
    graph = model.graph
    constants = [*graph.initializer, *(sparse.values for sparse in graph.sparse_initializer)]
    if not all(tensor.name for tensor in constants):
        raise _no_onnx(name, "an initializer in it has no name")
    return model, info_of(model, name)


def files_beside(model: Any, path: Path) -> tuple[Path, ...]:
    """Return the files in which the ModelProto of a file has its large weights."""
    names = {
        row.value
        for tensor in model.graph.initializer
        if tensor.data_location == tensor.EXTERNAL
        for row in tensor.external_data
        if row.key == "location"
    }
    return tuple(path.parent / name for name in sorted(names))


def _damaged_texts(message: Any) -> Iterator[str]:
    """Yield the path of each text of a message that protobuf gives as bytes: it is not UTF-8."""
    for descriptor, value in message.ListFields():
        name = descriptor.name
        if descriptor.type == descriptor.TYPE_MESSAGE:
            one = hasattr(value, "ListFields")
            for index, part in enumerate((value,) if one else value):
                place = name if one else f"{name}[{index}]"
                yield from (f"{place}.{path}" for path in _damaged_texts(part))
        elif descriptor.type == descriptor.TYPE_STRING:
            texts = (value,) if isinstance(value, (str, bytes)) else value
            if not all(isinstance(text, str) for text in texts):
                yield name


def info_of(model: Any, name: str = "") -> OnnxInfo:
    """Return what a ModelProto says of itself; raise SurgeonError X151 as :func:`read_onnx_metadata`."""
    constants = {tensor.name for tensor in model.graph.initializer}
    inputs = {value.name: spec_of(value) for value in model.graph.input if value.name not in constants}
    properties = {row.key: row.value for row in model.metadata_props}
    transposed = _property(properties, TRANSPOSED, list, name)
    flat = next((key for key, spec in inputs.items() if key in transposed and spec.shape.rank != 4), None)
    if flat is not None:
        raise _unfit(name, TRANSPOSED, f"it names '{flat}' {inputs[flat]}; expected an input of four axes")
    image = _property(properties, IMAGE, dict, name)
    try:
        picture = Image.model_validate(image) if image else None
        labels = {
            int(number): str(label) for number, label in _property(properties, LABELS, dict, name).items()
        }
    except ValueError as exc:
        raise _unfit(name, f"{IMAGE} or {LABELS}", " ".join(str(exc).split())) from None
    return OnnxInfo(
        inputs,
        {value.name: spec_of(value) for value in model.graph.output},
        picture,
        labels,
        {str(port): str(output) for port, output in _property(properties, DETECTIONS, dict, name).items()},
        {key: "NCHW" if key in transposed else "as in the graph" for key in inputs},
        tuple(row for row in _property(properties, RENDERINGS, list, name) if _is_plain(row)),
        properties,
    )


def _is_plain(row: Any) -> bool:
    return isinstance(row, dict) and all(isinstance(value, str) for value in row.values())


def _property(properties: Mapping[str, str], key: str, kind: type, name: str) -> Any:
    text = properties.get(key)
    if text is None:
        return kind()
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as exc:
        raise _unfit(name, key, str(exc)) from None
    if not isinstance(value, kind):
        raise _unfit(name, key, f"expected a JSON {'object' if kind is dict else 'array'}")
    return value


def _unreadable(name: str, exc: OSError | ValueError) -> Exception:
    reason = exc.strerror if isinstance(exc, OSError) and exc.strerror else str(exc)
    return error("X150", f"'{name}' cannot be read: {reason}", help=["check the path and its permissions"])


def _no_onnx(name: str, reason: str) -> Exception:
    size = Path(name).stat().st_size if os.path.isfile(Path(name)) else 0
    return error(
        "X150",
        f"'{name}' is not an ONNX file: {reason:.200}",
        notes=[f"it has {size} bytes"],
        help=["export it again; 'surgeon inspect' reads graphs and UFF files too"],
    )


def _unfit(name: str, key: str, reason: str) -> Exception:
    return error(
        "X151",
        f"the property {key} of '{name}' is not as it is written: {reason:.200}",
        help=["export the file again, or take its properties out"],
    )
