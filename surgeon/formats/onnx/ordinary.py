"""The ordinary operations of a graph as ONNX nodes, by tf2onnx."""

from __future__ import annotations

import io
import json
import os
import struct
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO

from surgeon.children import command, environment
from surgeon.diagnostics import Diagnostic, SurgeonError, error
from surgeon.optional import no_stderr, quiet, require

_TIMEOUT = 1800
"""Seconds after which a conversion is given up."""

_SHOWN = 10
_HEADER = struct.Struct("<I")


@dataclass(frozen=True)
class Request:
    """What tf2onnx is asked for: names of tensors (``a:0``) that are fed and wanted, and the opset."""

    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    opset: int


def convert_ordinary(definition: bytes, request: Request) -> Any:
    """Return the ModelProto of a serialized GraphDef of TensorFlow's own operations.

    Transpositions are left as tf2onnx puts them. TensorFlow alone takes half a gigabyte, so this happens in a
    process of its own, whose memory is free again when the weights are read; unless TensorFlow is in this
    process already. Raise SurgeonError E108 where a package is missing, X140 for operations that tf2onnx
    cannot express, X142 where it fails otherwise.
    """
    if "tensorflow" in sys.modules:
        return convert_here(definition, request)
    data = _from_child(definition, request)
    model = require("onnx", "writing ONNX").ModelProto()
    model.ParseFromString(data)
    return model


def convert_here(definition: bytes, request: Request) -> Any:
    """Do what :func:`convert_ordinary` does in this process."""
    with quiet(), no_stderr():
        tensorflow = require("tensorflow", "converting to ONNX")
        tf2onnx = require("tf2onnx", "converting to ONNX")
        require("tf2onnx.tfonnx", "converting to ONNX")
    _hush(tf2onnx)
    v1 = tensorflow.compat.v1
    message = v1.GraphDef()
    try:
        message.ParseFromString(definition)
        _check_ops(tf2onnx, message, request.opset)
        with v1.Graph().as_default() as graph:
            v1.import_graph_def(message, name="")
        with quiet():
            made = tf2onnx.tfonnx.process_tf_graph(
                graph,
                opset=request.opset,
                input_names=list(request.inputs),
                output_names=list(request.outputs),
            )
        return made.make_model("surgeon")
    except SurgeonError:
        raise
    except Exception as exc:  # both libraries raise whatever comes up
        reason = " ".join(str(exc).split()) or type(exc).__name__
        raise error(
            "X142",
            f"tf2onnx cannot convert the graph: {reason:.400}",
            help=["map what it names to a plugin, or cut the graph; 'surgeon inspect' shows its nodes"],
        ) from None


def _hush(tf2onnx: Any) -> None:
    """Keep tf2onnx's own log to errors of the program; what it refuses is raised."""
    tf2onnx.logging.getLogger("tf2onnx").setLevel("CRITICAL")


def _check_ops(tf2onnx: Any, message: Any, opset: int) -> None:
    """Raise SurgeonError X140 for each kind of operation for which tf2onnx has no handler."""
    known = tf2onnx.handler.tf_op.create_mapping(opset, {})
    groups: dict[str, list[str]] = {}
    for node in message.node:
        if node.op not in known and node.op not in _WITHOUT_HANDLER:
            groups.setdefault(node.op, []).append(node.name)
    if not groups:
        return
    problems: list[Diagnostic] = []
    for op, names in sorted(groups.items(), key=lambda item: (-len(item[1]), item[0]))[:_SHOWN]:
        many = f" and {len(names) - 1} more of this kind" if len(names) > 1 else ""
        problems.append(
            Diagnostic(
                "X140",
                f"'{names[0]}' ({op}){many} cannot be expressed in ONNX's opset {opset}; expected an "
                "operation "
                "that tf2onnx knows, or a plugin",
                names[0],
                (),
                ("map its namespace to a plugin or to the input node",),
            )
        )
    raise SurgeonError(*problems)


_WITHOUT_HANDLER = frozenset(
    {
        "Const",
        "Placeholder",
        "PlaceholderV2",
        "PlaceholderWithDefault",
        "NoOp",
        "Enter",
        "Exit",
        "Merge",
        "Switch",
        "NextIteration",
        "LoopCond",
        "Assert",
    }
)
"""Operations that tf2onnx treats before it looks for handlers."""


# The process of its own: the request and the graph on its standard input, the answer on its standard output.


def _from_child(definition: bytes, request: Request) -> bytes:
    level = os.environ.get("TF_CPP_MIN_LOG_LEVEL", "3")
    surroundings = environment({"CUDA_VISIBLE_DEVICES": "", "TF_CPP_MIN_LOG_LEVEL": level})
    order = (
        _framed({"inputs": request.inputs, "outputs": request.outputs, "opset": request.opset}) + definition
    )
    try:
        done = subprocess.run(
            command("from surgeon.formats.onnx.ordinary import main; main()"),
            input=order,
            capture_output=True,
            env=surroundings,
            timeout=_TIMEOUT,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as exc:
        raise error("X142", f"tf2onnx's process failed: {exc}", help=["run the command again"]) from None
    answer = io.BytesIO(done.stdout)
    head = _unframed(answer) if done.returncode == 0 else None
    if head is None:
        last = done.stderr.decode("utf-8", "replace").strip().rpartition("\n")[2]
        raise error(
            "X142",
            f"tf2onnx's process ended with {done.returncode}: {last:.400}",
            help=["see that the memory suffices; TensorFlow takes half a gigabyte"],
        )
    if head:
        raise SurgeonError(
            *(
                Diagnostic(code, message, where, (), tuple(help))
                for code, message, where, help in head["problems"]
            )
        )
    return answer.read()


def _framed(value: dict[str, Any]) -> bytes:
    data = json.dumps(value).encode()
    return _HEADER.pack(len(data)) + data


def _unframed(stream: BinaryIO) -> dict[str, Any] | None:
    start = stream.read(_HEADER.size)
    if len(start) < _HEADER.size:
        return None
    value: dict[str, Any] = json.loads(stream.read(_HEADER.unpack(start)[0]))
    return value


def serve(source: BinaryIO, sink: BinaryIO) -> None:
    """Answer the one request that ``source`` holds."""
    asked = _unframed(source)
    assert asked is not None
    request = Request(tuple(asked["inputs"]), tuple(asked["outputs"]), asked["opset"])
    try:
        data = convert_here(source.read(), request).SerializeToString()
    except SurgeonError as exc:
        sink.write(
            _framed({"problems": [_plain(d.code, d.message, d.where, d.help) for d in exc.diagnostics]})
        )
        return
    sink.write(_framed({}) + data)


def _plain(code: str, message: str, where: object, help: Sequence[str]) -> list[Any]:
    return [code, message, where if isinstance(where, str) else None, list(help)]


def main() -> None:
    """Answer the request on standard input."""
    with os.fdopen(os.dup(1), "wb") as answer_to:
        os.dup2(2, 1)  # whatever else writes to standard output must not get into the answer
        serve(sys.stdin.buffer, answer_to)
