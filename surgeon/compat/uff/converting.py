"""``from_tensorflow``: a script's graph as a UFF file."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from surgeon.atomic import writing
from surgeon.compat.graphsurgeon import DynamicGraph, StaticGraph, create_node
from surgeon.compat.graphsurgeon.extras import process_dilated_conv, process_softmax
from surgeon.compat.graphsurgeon.removal import exclusive_dependencies, taken_out
from surgeon.compat.lints import check_script_graph, tell_shortened
from surgeon.compat.messages import clean, needed_nodes
from surgeon.compat.preprocessing import preprocess
from surgeon.compat.remarks import refuse_if_strict, remark, script_place
from surgeon.compat.talk import say
from surgeon.compat.uff.walking import convert
from surgeon.diagnostics import error, nearest_note
from surgeon.formats.uff import UffModel, message_text, uff_to_bytes, write_uff
from surgeon.graph import DType

_KEYWORDS = (
    "input_node",
    "quiet",
    "text",
    "list_nodes",
    "output_filename",
    "write_preprocessed",
    "debug_mode",
    "return_graph_info",
)


@dataclass(frozen=True)
class Converted:
    """A UFF model, the NodeDefs that are its inputs and outputs, and the file that was written."""

    model: UffModel
    inputs: list[Any]
    outputs: list[Any]
    path: Path | None = None


def from_tensorflow(
    graphdef: Any,
    output_nodes: Sequence[str | int] = (),
    preprocessor: str | os.PathLike[str] | None = None,
    **kwargs: Any,
) -> Any:
    """Return a graph as the bytes of a UFF file.

    ``graphdef`` is what :class:`StaticGraph` takes, and is changed. ``output_nodes`` are names, or positions
    as in the list of nodes, 1 being the first and -1 the last; without them, the nodes that nothing reads.
    ``preprocessor`` is a Python file with a function ``preprocess(dynamic_graph)``, which is run.

    ``output_filename`` names a file to write, ``text`` asks for its text form beside it, and
    ``write_preprocessed`` for the graph before the conversion. ``input_node`` lists inputs to put in,
    each ``NAME,NEW_NAME,DTYPE,SIZE,...``. ``list_nodes`` prints the nodes and returns None.
    ``return_graph_info`` returns the NodeDefs of inputs and outputs, too. ``quiet`` prints nothing. Other
    keywords change nothing, with a warning.

    Raise SurgeonError P111 for an output that is not in the graph, P112 for an input that cannot be put in,
    P113 for a preprocessor that cannot be run, and what the conversion raises; no UFF file is written then.
    """
    graph = graphdef if isinstance(graphdef, DynamicGraph) else DynamicGraph(graphdef)
    quiet = bool(kwargs.get("quiet"))
    for name in kwargs:
        if name not in _KEYWORDS:
            remark(
                "P127",
                f"from_tensorflow has no keyword '{name}', which changes nothing",
                script_place(),
                nearest_note(name, _KEYWORDS),
                ("correct the spelling, or leave it out",),
            )
    if kwargs.get("list_nodes"):
        for number, node in enumerate(graph, 1):
            say(f'{number} {node.op}: "{node.name}"')
        return None
    prepared = prepare(graph, output_nodes, preprocessor)
    target = kwargs.get("output_filename")
    if kwargs.get("write_preprocessed"):
        graph.write(_beside(target or "out", "_preprocessed.pb"))
    done = convert_prepared(graph, prepared, kwargs.get("input_node") or (), quiet)
    if isinstance(output_nodes, list):
        output_nodes[:] = [node.name for node in done.outputs]
    if target:
        write_model(done.model, target, bool(kwargs.get("text")))
    if not quiet:
        say_result(done, target)
    data = uff_to_bytes(done.model)
    return (data, done.inputs, done.outputs) if kwargs.get("return_graph_info") else data


def from_tensorflow_frozen_model(
    frozen_file: str | os.PathLike[str],
    output_nodes: Sequence[str | int] = (),
    preprocessor: str | os.PathLike[str] | None = None,
    **kwargs: Any,
) -> Any:
    """Return a frozen graph in a file as the bytes of a UFF file, as :func:`from_tensorflow` does."""
    return from_tensorflow(DynamicGraph(frozen_file), output_nodes, preprocessor, **kwargs)


def convert_file(
    model: str | os.PathLike[str],
    output: str | os.PathLike[str],
    output_nodes: Sequence[str | int] = (),
    *,
    preprocessor: str | os.PathLike[str] | None = None,
    inputs: Iterable[str] = (),
    text: bool = False,
    write_preprocessed: bool = False,
    quiet: bool = False,
) -> Converted:
    """Write a frozen graph as a UFF file, as ``convert-to-uff`` does; the output's suffix becomes ``.uff``.

    Raise SurgeonError as :func:`from_tensorflow`.
    """
    graph = DynamicGraph(model)
    prepared = prepare(graph, output_nodes, preprocessor)
    if write_preprocessed:
        graph.write(_beside(output, "_preprocessed.pb"))
    done = convert_prepared(graph, prepared, inputs, quiet)
    path = Path(output).with_suffix(".uff")
    write_model(done.model, path, text)
    return replace(done, path=path)


def prepare(
    graph: DynamicGraph, output_nodes: Sequence[str | int], preprocessor: str | os.PathLike[str] | None
) -> list[str]:
    """Edit a graph as is done before every conversion, and return the names of its outputs.

    Assert nodes go with what only they read, what an output needs excepted; the preprocessor runs; dilated
    convolutions and reshaped softmaxes become one node.
    """
    given = [output_nodes] if isinstance(output_nodes, (str, int)) else output_nodes
    wanted = [_by_position(graph, each) for each in given]
    _remove_asserts(graph, wanted)
    if preprocessor is not None:
        preprocess(graph, preprocessor)
    process_dilated_conv(graph)
    process_softmax(graph)
    graph._refresh()
    if wanted:
        return [_output(graph, each) for each in wanted]
    found = [node.name for node in graph.graph_outputs]
    tell_shortened(graph.as_graph_def(), found)
    return found


def convert_prepared(
    graph: DynamicGraph, outputs: Sequence[str], inputs: Iterable[str], quiet: bool
) -> Converted:
    """Return the UFF model of a graph that was prepared."""
    if not outputs:
        raise error(
            "P111",
            "the graph has no node that reads something and that nothing reads, so no output can be found",
            script_place(),
            help=["name the outputs: from_tensorflow(graph, ['NMS']), convert-to-uff -O NMS"],
        )
    for text in inputs:
        _put_input(graph, text)
    nodes = {node.name: node for node in graph}
    check_script_graph(graph.as_graph_def(), outputs)
    model = convert(nodes, outputs, quiet)
    refuse_if_strict()
    found = [node for node in graph if node.op == "Placeholder" and node.name in {n.id for n in model.nodes}]
    return Converted(model, found, [nodes[name] for name in outputs])


def write_model(model: UffModel, path: str | os.PathLike[str], text: bool) -> None:
    """Write a UFF file, and with ``text`` its text form beside it."""
    write_uff(model, path)
    if text:
        with writing(Path(path).with_suffix(".pbtxt")) as handle:
            handle.write(message_text(model).encode())


def _beside(path: str | os.PathLike[str], ending: str) -> Path:
    """Return a file's path with another ending in place of its suffix."""
    file = Path(path)
    return file.with_name(file.stem + ending)


def say_result(done: Converted, target: object) -> None:
    """Print what a conversion came to."""
    names = [", ".join(node.name for node in nodes) or "none" for nodes in (done.inputs, done.outputs)]
    say(f"UFF: {len(done.model.nodes)} nodes; inputs: {names[0]}; outputs: {names[1]}")
    if target:
        say(f"UFF: written to {os.fspath(target)}")  # type: ignore[call-overload]


def _remove_asserts(graph: DynamicGraph, outputs: Iterable[str]) -> None:
    asserts = {node.name for node in graph.find_nodes_by_op("Assert")}
    if not asserts:
        return
    graph._refresh()
    others = {name: node for name, node in graph.node_map.items() if name not in asserts}
    needed = set(needed_nodes(others, list(map(clean, outputs))))
    gone = exclusive_dependencies(graph, asserts, needed)
    graph.remove(sorted(asserts | gone))


def _by_position(graph: StaticGraph, given: str | int) -> str:
    """Return the name of the node at a position, 1 being the first and -1 the last, or else what is given."""
    text = str(given).strip()
    if clean(text) in graph.node_map or not text.lstrip("-").isdigit():
        return text
    position = int(text)
    at = position - 1 if position > 0 else position + len(graph)
    return str(graph[at].name) if position and 0 <= at < len(graph) else text


def _output(graph: StaticGraph, name: str) -> str:
    """Return the name of an output; raise SurgeonError P111 where the graph does not have it."""
    if clean(name) in graph.node_map:
        return clean(name)
    removal = next((each for each in taken_out(graph.as_graph_def()) if each.name == clean(name)), None)
    if removal is not None:
        raise error(
            "P111",
            f"the output '{name}' is not in the graph: the script takes it out",
            removal.place or script_place(),
            help=[
                "take out single nodes by name; 'graph_outputs' lists every node that nothing reads, and so "
                "the new output, too"
            ],
        )
    raise error(
        "P111",
        f"the output '{name}' was not found in the graph",
        script_place(),
        nearest_note(name, graph.node_map),
        ["correct the name; 'convert-to-uff -l MODEL' lists the nodes"],
    )


def _put_input(graph: DynamicGraph, text: str) -> None:
    """Put a Placeholder in for a node, as ``NAME,NEW_NAME,DTYPE,SIZE,...`` says."""
    name, *rest = [part.strip() for part in str(text).split(",")]
    known = {dtype.value: dtype for dtype in (DType.FLOAT32, DType.FLOAT16, DType.INT32, DType.INT8)}
    aliases = {"float": DType.FLOAT32, "half": DType.FLOAT16, "int": DType.INT32}
    dtype = (
        (known | aliases).get(rest[1].removeprefix("tf.").removeprefix("DT_").lower()) if rest[1:] else None
    )
    try:
        shape = [int(size) for size in rest[2:]]
    except ValueError:
        dtype, shape = None, []
    if name not in graph.node_map or dtype is None:
        what = "names no node of the graph" if name not in graph.node_map else "has no element type and sizes"
        raise error(
            "P112",
            f"the input '{text}' {what}; expected NAME,NEW_NAME,DTYPE,SIZE,..., such as "
            "image_tensor,Input,float32,1,3,300,300",
            script_place(),
            nearest_note(name, graph.node_map) if name not in graph.node_map else (),
            ["NEW_NAME may be empty to keep the name; the element types are " + ", ".join(known)],
        )
    new_name = rest[0] or name
    old = graph.node_map[name]
    readers = graph.node_outputs[name]
    del old.input[:]
    old.CopyFrom(_as(old, create_node(new_name, "Placeholder", dtype=dtype, shape=shape)))
    for reader in readers:
        reader.input[:] = [new_name if clean(source) == name else source for source in reader.input]
    graph._refresh()


def _as(like: Any, node: Any) -> Any:
    return node if type(node) is type(like) else type(like).FromString(node.SerializeToString())
