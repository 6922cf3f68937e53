"""``config.pbtxt``: the configurations of Triton's models, in protobuf's text format.

The fields are those of ``ModelConfig`` in Triton's ``model_config.proto``.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from surgeon.language import Image
from surgeon.packaging.client.kserve import DATA_TYPES
from surgeon.packaging.description import Description
from surgeon.packaging.triton.served import (
    PICTURE,
    PREPARED,
    ServedTensor,
    fixed_batch,
    largest_batch,
    served_inputs,
    served_name,
    served_outputs,
)

TENSORRT, ONNXRUNTIME, ENSEMBLE = "tensorrt_plan", "onnxruntime_onnx", "ensemble"
"""Platforms: what runs a model."""

_LEVEL = "  "


@dataclass(frozen=True)
class _Words:
    """A value that is written as it is: a number, a name of an enumeration."""

    text: str


@dataclass(frozen=True)
class _Message:
    """A message of protobuf: names and values, in order; a list of values is a repeated field."""

    fields: tuple[_Field, ...]


_Field: TypeAlias = "tuple[str, str | _Words | _Message | Sequence[_Message]]"


def network_config(described: Description, platform: str, label_files: Mapping[str, str]) -> str:
    """Return the configuration of the network itself, as an engine or as an ONNX file.

    ``label_files`` names the file of labels of outputs that are scores by class.
    """
    batch = largest_batch(described)
    groups = {TENSORRT: "KIND_GPU", ONNXRUNTIME: "KIND_AUTO"}
    fields: list[_Field] = [
        ("name", served_name(described)),
        ("platform", platform),
        ("max_batch_size", _Words(str(batch))),
        ("input", [_tensor(each, batch) for each in served_inputs(described)]),
        ("output", [_tensor(each, batch, label_files) for each in served_outputs(described)]),
        ("instance_group", _instances(groups[platform])),
    ]
    if batch > 1:
        best = described.best_batch
        preferred = () if best is None else (("preferred_batch_size", _Words(f"[ {best} ]")),)
        fields.append(("dynamic_batching", _Message(preferred)))
    return _text(fields)


def preparation_config(described: Description, image: Image, name: str, axes: Sequence[int]) -> str:
    """Return the configuration of the model ``name``, which prepares pictures with Triton's Python backend.

    ``axes`` takes [N, h, w, C] to the network's input.
    """
    (network,) = served_inputs(described)
    batch = largest_batch(described)
    parameters = {"image": json.dumps(image.model_dump(mode="json")), "axes": json.dumps(list(axes))}
    return _text(
        [
            ("name", name),
            ("backend", "python"),
            ("max_batch_size", _Words(str(batch))),
            ("input", [_tensor(_pictures(described), batch)]),
            ("output", [_tensor(ServedTensor(PREPARED, network.dtype, network.shape, network.shape), batch)]),
            ("instance_group", _instances("KIND_CPU")),
            (
                "parameters",
                [
                    _Message((("key", key), ("value", _Message((("string_value", value),)))))
                    for key, value in parameters.items()
                ],
            ),
        ]
    )


def ensemble_config(described: Description, name: str, preparation: str) -> str:
    """Return the configuration of the model ``name``: pictures through ``preparation`` into the network."""
    batch = largest_batch(described)
    (network,) = served_inputs(described)
    outputs = served_outputs(described)
    between = PREPARED
    while between in {PICTURE, *(each.name for each in outputs)}:
        between += "_"
    steps = [
        _step(preparation, {PICTURE: PICTURE}, {PREPARED: between}),
        _step(served_name(described), {network.name: between}, {each.name: each.name for each in outputs}),
    ]
    return _text(
        [
            ("name", name),
            ("platform", ENSEMBLE),
            ("max_batch_size", _Words(str(batch))),
            ("input", [_tensor(_pictures(described), batch)]),
            ("output", [_tensor(each, batch, reshaped=False) for each in outputs]),
            ("ensemble_scheduling", _Message((("step", steps),))),
        ]
    )


def _pictures(described: Description) -> ServedTensor:
    shape = (fixed_batch(described), None, None, 3)
    return ServedTensor(PICTURE, "uint8", shape, shape)


def _tensor(
    tensor: ServedTensor,
    batch: int,
    label_files: Mapping[str, str] | None = None,
    *,
    reshaped: bool = True,
) -> _Message:
    """Return a tensor's description.

    Where the engine has another shape than is served, ``reshape`` says so, which ``reshaped`` leaves out: to
    other models the tensor has the shape that is served.
    """
    served, own = (shape[1:] if batch else shape for shape in (tensor.shape, tensor.own_shape))
    fields: list[_Field] = [
        ("name", tensor.name),
        ("data_type", _Words(f"TYPE_{DATA_TYPES[tensor.dtype]}")),
        # Triton refuses a shape without axes; a scalar for each picture is served as one element.
        ("dims", _Words(_sizes(served or (1,)))),
    ]
    if reshaped and own != (served or (1,)):
        fields.append(("reshape", _Message((("shape", _Words(_sizes(own))),))))
    if label_files and tensor.name in label_files:
        fields.append(("label_filename", label_files[tensor.name]))
    return _Message(tuple(fields))


def _step(model: str, inputs: Mapping[str, str], outputs: Mapping[str, str]) -> _Message:
    return _Message(
        (
            ("model_name", model),
            ("model_version", _Words("-1")),
            ("input_map", _entries(inputs)),
            ("output_map", _entries(outputs)),
        )
    )


def _entries(pairs: Mapping[str, str]) -> list[_Message]:
    return [_Message((("key", key), ("value", value))) for key, value in pairs.items()]


def _instances(kind: str) -> list[_Message]:
    return [_Message((("count", _Words("1")), ("kind", _Words(kind))))]


def _sizes(shape: Sequence[int | None]) -> str:
    return f"[ {', '.join('-1' if size is None else str(size) for size in shape)} ]" if shape else "[ ]"


# Text


def _text(fields: Iterable[_Field]) -> str:
    return "".join(f"{line}\n" for line in _lines(fields, ""))


def _lines(fields: Iterable[_Field], indent: str) -> Iterator[str]:
    for name, value in fields:
        if isinstance(value, _Words):
            yield f"{indent}{name}: {value.text}"
        elif isinstance(value, str):
            yield f"{indent}{name}: {_quoted(value)}"
        elif isinstance(value, _Message):
            yield f"{indent}{name} {{"
            yield from _lines(value.fields, indent + _LEVEL)
            yield f"{indent}}}"
        else:
            for number, message in enumerate(value):
                yield f"{indent}{name} [" if not number else f"{indent}{_LEVEL}}},"
                yield f"{indent}{_LEVEL}{{"
                yield from _lines(message.fields, indent + 2 * _LEVEL)
            yield f"{indent}{_LEVEL}}}"
            yield f"{indent}]"


def _quoted(text: str) -> str:
    """Return a string of protobuf's text format; bytes that are not ASCII become octal numbers."""
    escapes = {ord('"'): '\\"', ord("\\"): "\\\\", ord("\n"): "\\n"}
    return (
        '"'
        + "".join(
            escapes.get(byte) or (chr(byte) if 32 <= byte < 127 else f"\\{byte:03o}")
            for byte in text.encode()
        )
        + '"'
    )
