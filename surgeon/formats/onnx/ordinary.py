"""The ordinary operations of a graph as ONNX nodes, by tf2onnx."""

from __future__ import annotations

import io
import json
import logging
import os
import struct
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, BinaryIO

from surgeon.children import command, environment
from surgeon.diagnostics import Diagnostic, SurgeonError, error
from surgeon.ending import end_with_parent
from surgeon.formats.onnx.network import NESTED, inner_graphs
from surgeon.formats.onnx.operation import handlers
from surgeon.graph.op_sets import LOOP_ENTRIES
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
    v1 = tensorflow.compat.v1
    message = v1.GraphDef()
    failures = _Failures(tf2onnx)
    try:
        message.ParseFromString(definition)
        order = message
        known = tf2onnx.handler.tf_op.create_mapping(request.opset, {})
        ours = handlers(known)
        expected = {*known, *ours, *_WITHOUT_HANDLER}
        unknown = {node.name: node.op for node in message.node if node.op not in expected}
        if unknown or any(node.op in LOOP_ENTRIES for node in message.node):
            # tf2onnx knows loops as TensorFlow's optimiser writes them, which also computes constants.
            with v1.Graph().as_default(), quiet():
                message = tf2onnx.tf_loader.tf_optimize(list(request.inputs), list(request.outputs), message)
        with v1.Graph().as_default() as graph:
            v1.import_graph_def(message, name="")
        with quiet(), failures, _inner_loops_first([node.name for node in order.node]):
            made = tf2onnx.tfonnx.process_tf_graph(
                graph,
                opset=request.opset,
                input_names=list(request.inputs),
                output_names=list(request.outputs),
                custom_op_handlers=ours,
            )
        model = made.make_model("surgeon")
        _bound_uniform(model.graph)
        _end_transposed(model.graph)
    except SurgeonError:
        raise
    except Exception as exc:  # both libraries raise whatever comes up
        # What it has no handler for may be part of what it knows as a whole; only now is that the cause.
        _check_ops(unknown, request)
        reason = " ".join(str(exc).split()) or type(exc).__name__
        raise failures.explained(message, reason) from None
    _check_ops(_foreign(model.graph, request.opset), request)
    return model


class _Failures(logging.Handler):
    """Keeps tf2onnx's log off the terminal, and remembers at which node it failed first."""

    def __init__(self, tf2onnx: Any) -> None:
        super().__init__(logging.ERROR)
        self.node = ""
        self._logger = tf2onnx.logging.getLogger("tf2onnx")
        self._before = (self._logger.level, self._logger.propagate)

    def __enter__(self) -> None:
        self._logger.setLevel(logging.ERROR)
        self._logger.propagate = False
        self._logger.addHandler(self)

    def __exit__(self, *exc: object) -> None:
        self._logger.removeHandler(self)
        self._logger.setLevel(self._before[0])
        self._logger.propagate = self._before[1]

    def emit(self, record: logging.LogRecord) -> None:
        """Remember the node of a failed conversion, the first argument of the message."""
        if record.exc_info and isinstance(record.args, tuple) and record.args and not self.node:
            self.node = str(record.args[0])

    def explained(self, message: Any, reason: str) -> SurgeonError:
        """Return the error X142 for a reason that tf2onnx or TensorFlow gave."""
        op = next((node.op for node in message.node if node.name == self.node), None)
        what = "the graph" if op is None else f"'{self.node}' ({op})"
        return error(
            "X142",
            f"tf2onnx cannot convert {what}: {reason:.400}",
            None if op is None else self.node,
            help=["map what it names to a plugin, or cut the graph; 'surgeon inspect' shows its nodes"],
        )


@contextmanager
def _inner_loops_first(order: Sequence[str]) -> Iterator[None]:
    """Have tf2onnx take a loop before the one that it runs in; it fails the other way round.

    ``order`` are the nodes' names, each after those that it reads. tf2onnx itself takes loops in the order of
    a set.
    """
    base = require("tf2onnx.rewriter.loop_rewriter_base", "converting to ONNX").LoopRewriterBase
    rank = {name: index for index, name in enumerate(order)}
    run = base.run_internal

    def sorted_run(self: Any, *args: Any, **kwargs: Any) -> Any:
        self.g.reset_nodes(sorted(self.g.get_nodes(), key=lambda node: -rank.get(node.name, -1)))
        return run(self, *args, **kwargs)

    base.run_internal = sorted_run
    try:
        yield
    finally:
        base.run_internal = run


def _check_ops(unknown: Mapping[str, str], request: Request) -> None:
    """Raise SurgeonError X140 for each kind of operation among these, by the names of nodes."""
    groups: dict[str, list[str]] = {}
    for name, op in unknown.items():
        groups.setdefault(op, []).append(name)
    if not groups:
        return
    problems: list[Diagnostic] = []
    for op, names in sorted(groups.items(), key=lambda item: (-len(item[1]), item[0]))[:_SHOWN]:
        many = f" and {len(names) - 1} more of this kind" if len(names) > 1 else ""
        problems.append(
            Diagnostic(
                "X140",
                f"'{names[0]}' ({op}){many} cannot be expressed in ONNX's opset {request.opset}; expected "
                "an operation that tf2onnx knows, or a plugin",
                names[0],
                (),
                ("map its namespace to a plugin or to the input node",),
            )
        )
    raise SurgeonError(*problems)


def _foreign(graph: Any, opset: int, depth: int = 0) -> dict[str, str]:
    """Return the nodes that tf2onnx left as they are: those whose operator ONNX does not have."""
    has = require("onnx.defs", "converting to ONNX").has
    found = {n.name: n.op_type for n in graph.node if not n.domain and not has(n.op_type, opset, "")}
    for node in graph.node if depth < NESTED else ():
        for inner in inner_graphs(node):
            found |= _foreign(inner, opset, depth + 1)
    return found


_MOST = 1.0 - 2.0**-23
"""The largest float32 below 1 that RandomUniform of TensorFlow gives; a larger one and 1 add up to 2."""


def _bound_uniform(graph: Any, depth: int = 0) -> None:
    """Have random numbers from 0 to 1 stay as far below 1 as TensorFlow's do, which dropout relies on."""
    for node in graph.node:
        if node.op_type in ("RandomUniform", "RandomUniformLike"):
            given = {attr.name for attr in node.attribute}
            if not given & {"low", "high"}:
                node.attribute.append(
                    require("onnx.helper", "converting to ONNX").make_attribute("high", _MOST)
                )
        for inner in inner_graphs(node) if depth < NESTED else ():
            _bound_uniform(inner, depth + 1)


def _end_transposed(graph: Any) -> None:
    """Have transposed convolutions end in rows of zeros, as TensorFlow's do.

    Where the output is larger than what the kernels reach, the pads are below 0, which no runtime takes.
    """
    make_attribute = require("onnx.helper", "converting to ONNX").make_attribute
    for node in graph.node:
        pads: Any = next((attr.ints for attr in node.attribute if attr.name == "pads"), [])
        if node.op_type != "ConvTranspose" or min(pads, default=0) >= 0:
            continue
        half = len(pads) // 2
        rows = [0] * half
        for axis in range(half):
            begin = max(0, pads[axis])
            end = pads[axis] + pads[axis + half] - begin
            pads[axis], pads[axis + half], rows[axis] = begin, max(0, end), max(0, -end)
        node.attribute.append(make_attribute("output_padding", rows))


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
        "TensorArrayV3",
        "TensorArrayReadV3",
        "TensorArrayWriteV3",
        "TensorArrayGatherV3",
        "TensorArrayScatterV3",
        "TensorArraySizeV3",
    }
)
"""Operations that tf2onnx treats, in what it knows as a loop or a recurrent layer, before it looks for
handlers."""


# The process of its own: the request and the graph on its standard input, the answer on its standard output.


def _from_child(definition: bytes, request: Request) -> bytes:
    level = os.environ.get("TF_CPP_MIN_LOG_LEVEL", "3")
    surroundings = environment({"CUDA_VISIBLE_DEVICES": "", "TF_CPP_MIN_LOG_LEVEL": level})
    order = (
        _framed({"inputs": request.inputs, "outputs": request.outputs, "opset": request.opset}) + definition
    )
    try:
        done = subprocess.run(
            command("from surgeon.formats.onnx.ordinary import main; main()", str(os.getpid())),
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
    end_with_parent(int(sys.argv[1]))
    with os.fdopen(os.dup(1), "wb") as answer_to:
        os.dup2(2, 1)  # whatever else writes to standard output must not get into the answer
        serve(sys.stdin.buffer, answer_to)
