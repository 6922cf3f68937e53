"""SavedModel folders, frozen with TensorFlow: the one place besides the zoo that imports it."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from surgeon.diagnostics import SurgeonError, error, nearest_note
from surgeon.formats.graphdef.messages import TYPES, function_library
from surgeon.formats.graphdef.other_files import FREEZE
from surgeon.formats.graphdef.reader import check_frozen, from_bytes
from surgeon.formats.graphdef.writer import changed_meanwhile
from surgeon.graph import DType, Func, Graph, Node, Ref
from surgeon.graph.foreign import TFLITE_HELP
from surgeon.optional import no_stderr, quiet, require

_PURPOSE = "reading a SavedModel"
_DEFAULT = "serving_default"
_HIDDEN = ("__saved_model_init_op", "__saved_model_train_op")
_CALLS = ("PartitionedCall", "StatefulPartitionedCall")
_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9_.\\/>-]")
_FIRST_IN_NAMES = re.compile(r"[A-Za-z0-9.]")


@dataclass(frozen=True)
class _Choice:
    """The part of a SavedModel that is wanted: inputs and outputs by the signature's keys, sorted."""

    tags: tuple[str, ...]
    signature: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


@dataclass(frozen=True)
class _Output:
    """An output of a signature: its key as the name of a node, its tensor and the type of that."""

    name: str
    ref: Ref
    dtype: DType


def load_saved_model(folder: Path, tags: Sequence[str] = ("serve",), signature: str | None = None) -> Graph:
    """Freeze a SavedModel of TensorFlow 1 or 2 and return its graph.

    Variables become constants, functions are inlined, ``while`` and ``cond`` become Switch, Merge and loop
    nodes, and only what the outputs need is kept. The outputs are those of ``signature``
    (``serving_default``, or the only one, where it is None), by sorted key, and each has its key as its name:
    where the tensor is called otherwise, an Identity of that name gives it. A key that another node has as
    its name gets a number (``scores_1``). Raise SurgeonError E102 (no
    SavedModel), E108 (TensorFlow missing), G102 (variables left), G114 (a function that cannot be inlined),
    G115 (no such tags or signature), G116 (TensorFlow cannot load or freeze it), G118 (exported
    for TensorFlow Lite) and E107 (a file was changed
    meanwhile).
    """
    folder = Path(folder)
    _find(folder)
    before = _file_states(folder)
    with quiet():
        with no_stderr():
            tensorflow = require("tensorflow", _PURPOSE)
        with _answering(folder):
            meta_graphs = _meta_graphs(folder)
        choice = _choose(meta_graphs, folder, tuple(tags), signature)
        with _answering(folder):
            data, outputs = _freeze(tensorflow, folder, choice)
    after = _file_states(folder)
    for file, state in before.items():
        if after.get(file) != state:
            raise changed_meanwhile(file)
    return _finished(from_bytes(data, str(folder)), outputs)


def _file_states(folder: Path) -> dict[Path, tuple[int, int, int]]:
    """Return what changes of a file that is written, for each file that TensorFlow reads."""
    states = {}
    for file in sorted({*folder.glob("saved_model.*"), *folder.glob("variables/*")}):
        with contextlib.suppress(OSError):
            stat = file.stat()
            states[file] = (stat.st_ino, stat.st_size, stat.st_mtime_ns)
    return states


def _find(folder: Path) -> None:
    """Raise SurgeonError E102, naming what the folder holds instead, where there is no SavedModel in it."""
    try:
        names = sorted(entry.name for entry in folder.iterdir())
    except OSError as exc:
        raise error(
            "E101", f"'{folder}' cannot be read: {exc.strerror or exc}", help=["check the path"]
        ) from None
    if "saved_model.pb" in names or "saved_model.pbtxt" in names:
        return
    help = ["give the frozen graph (.pb), or the folder that holds saved_model.pb"]
    frozen = [name for name in names if name.endswith((".pb", ".pbtxt"))]
    inside = [name for name in names if os.path.isfile(folder / name / "saved_model.pb")]
    if inside:
        help = [f"give the folder '{folder / inside[0]}'"]
    elif frozen:
        help = [f"give the file '{folder / frozen[0]}'"]
    elif any(name.endswith((".index", ".meta")) or ".data-" in name for name in names):
        help = ["this is a checkpoint", *FREEZE]
    shown = ", ".join(f"'{name}'" for name in names[:5]) + (
        f" and {len(names) - 5} more" if len(names) > 5 else ""
    )
    raise error(
        "E102",
        f"the folder '{folder}' holds no SavedModel; expected 'saved_model.pb' in it",
        notes=[f"it holds {shown}" if names else "it is empty"],
        help=help,
    )


@contextlib.contextmanager
def _answering(folder: Path) -> Iterator[None]:
    """Turn what TensorFlow raises for a folder that it does not like into SurgeonError G116.

    That may be any exception.
    """
    try:
        yield
    except SurgeonError:
        raise
    except Exception as exc:
        reason = " ".join(str(exc).split()) or type(exc).__name__
        reason = reason if len(reason) <= 300 else reason[:300] + "..."
        raise error(
            "G116",
            f"TensorFlow cannot load this SavedModel: {reason}",
            str(folder),
            help=[
                "load it with the TensorFlow version that wrote it, and export it again",
                "the folder 'variables' must be beside 'saved_model.pb'",
            ],
        ) from None


def _meta_graphs(folder: Path) -> list[Any]:
    loader = require("tensorflow.python.saved_model.loader_impl", _PURPOSE)
    return list(loader.parse_saved_model(str(folder)).meta_graphs)


def _choose(
    meta_graphs: Sequence[Any], folder: Path, tags: tuple[str, ...], signature: str | None
) -> _Choice:
    """Return the wanted signature; raise SurgeonError G115, listing what there is, where it is missing."""
    sets = [tuple(sorted(meta.meta_info_def.tags)) for meta in meta_graphs]
    chosen = next((m for m, have in zip(meta_graphs, sets, strict=True) if have == tuple(sorted(tags))), None)
    if chosen is None:
        raise error(
            "G115",
            f"the SavedModel has no graph with the tags {_quoted(tags)}",
            str(folder),
            ["it has " + (", ".join(f"({_quoted(have)})" for have in sets) or "no graph")],
            ["name one of these sets of tags"],
        )
    table = {key: chosen.signature_def[key] for key in sorted(chosen.signature_def) if key not in _HIDDEN}
    name = signature or (_DEFAULT if _DEFAULT in table or len(table) != 1 else next(iter(table)))
    if name not in table:
        raise error(
            "G115",
            f"the SavedModel has no signature '{name}'",
            str(folder),
            [f"it has {_quoted(table) or 'none'}", *nearest_note(name, table)],
            ["name one of these signatures" if table else "export it with a signature"],
        )
    made = table[name]
    return _Choice(tags, name, tuple(sorted(made.inputs)), tuple(sorted(made.outputs)))


def _output(key: str, info: Any) -> _Output:
    """Return an output from a signature's key and what the signature says of its tensor."""
    name = _NOT_IN_NAMES.sub("_", key)
    if not _FIRST_IN_NAMES.match(name):
        name = f"output{name}"
    return _Output(name, Ref.parse(info.name), TYPES[info.dtype])


def _freeze(tensorflow: Any, folder: Path, choice: _Choice) -> tuple[bytes, list[_Output]]:
    """Return the serialized GraphDef and the outputs.

    Variables are constants in it, and functions inlined. A session of TensorFlow 1 reads SavedModels of
    either version, and gives the same names each time.
    """
    v1 = tensorflow.compat.v1
    with (
        tensorflow.Graph().as_default(),
        v1.Session(config=v1.ConfigProto(device_count={"GPU": 0})) as session,
    ):
        meta = v1.saved_model.loader.load(session, list(choice.tags), str(folder))
        made = meta.signature_def[choice.signature]
        inputs = [made.inputs[key].name for key in choice.inputs]
        tensors = [made.outputs[key].name for key in choice.outputs]
        outputs = [_output(key, made.outputs[key]) for key in choice.outputs]
        nodes = list(dict.fromkeys(output.ref.node for output in outputs))
        definition = v1.graph_util.convert_variables_to_constants(session, session.graph_def, nodes)
    _check_functions(definition.library, folder)
    if _calls(from_bytes(definition.SerializeToString())):
        definition = _inlined(tensorflow, definition, [*inputs, *tensors])
    return definition.SerializeToString(), outputs


def _check_functions(library: Any, folder: Path) -> None:
    """Raise SurgeonError G118 for a function that only stands for an operation of TensorFlow Lite: what it
    computes itself are zeros.
    """
    for function in library.function:
        if "TFLite_Detection_PostProcess" in str(function.attr["_implements"]):  # as a name or a function
            raise error(
                "G118",
                "the SavedModel was exported for TensorFlow Lite, and computes no detections itself",
                str(folder),
                ["its function 'TFLite_Detection_PostProcess' returns zeros"],
                TFLITE_HELP,
            )


def _inlined(tensorflow: Any, definition: Any, kept: Sequence[str]) -> Any:
    """Return the GraphDef with calls inlined and control flow as nodes.

    TensorFlow's own graph optimizer does both.
    """
    optimizer = require("tensorflow.python.grappler.tf_optimizer", _PURPOSE)
    v1 = tensorflow.compat.v1
    for function in definition.library.function:
        function.attr.pop("api_implements", None)  # marks a choice between devices, which is never inlined
    meta = v1.MetaGraphDef()
    meta.graph_def.CopyFrom(definition)
    nodes = {node.name for node in definition.node}
    meta.collection_def["train_op"].node_list.value.extend(
        name for name in kept if name.partition(":")[0] in nodes
    )
    config = v1.ConfigProto()
    rewriting = config.graph_options.rewrite_options
    rewriting.min_graph_nodes = -1
    rewriting.optimizers.append("function")
    rewriting.function_optimization = rewriting.AGGRESSIVE
    return optimizer.OptimizeGraph(config, meta)


def _finished(graph: Graph, outputs: Sequence[_Output]) -> Graph:
    """Return what the outputs need, frozen, free of functions, and with the names of the signature.

    Raise SurgeonError G114 for functions that are left.
    """
    needed = graph.ancestors(output.ref.node for output in outputs)
    kept = Graph(
        (_plain(node) for node in graph if node.name in needed),
        versions=graph.versions,
        source=graph.source,
    )
    calls = _calls(graph.replace(kept))
    if calls:
        raise _not_inlined(calls, graph.source)
    for output in outputs:
        kept = _with_output(kept, output)
    return check_frozen(kept)


def _with_output(graph: Graph, output: _Output) -> Graph:
    """Return the graph with one output more, under its name in the signature."""
    if output.ref == Ref(output.name):
        return graph.replace(outputs=(*graph.outputs, output.ref))
    name = graph.free_name(output.name)
    named = Node(name, "Identity", (output.ref,), attrs={"T": output.dtype})
    return graph.replace((*graph, named), (*graph.outputs, Ref(name)))


def _plain(node: Node) -> Node:
    """Return the node without colocation and debug information.

    The former may name nodes that are gone, the latter differs from run to run.
    """
    return replace(node.with_attr("_class", None), extra=b"")


def _calls(graph: Graph) -> list[tuple[Node, str]]:
    """Return every node that calls a function, with the function's name."""
    names = {made.signature.name for made in function_library(graph.library).function}
    found: list[tuple[Node, str]] = []
    for node in graph:
        called = next(_functions(node.attrs), node.op if node.op in names else None)
        if called is not None or node.op in _CALLS:
            found.append((node, called or "?"))
    return found


def _functions(attrs: Mapping[str, Any]) -> Iterator[str]:
    for value in attrs.values():
        for item in value if isinstance(value, tuple) else (value,):
            if isinstance(item, Func) and item.name:
                yield item.name


def _not_inlined(calls: Sequence[tuple[Node, str]], source: str) -> SurgeonError:
    node, function = calls[0]
    more = f" and {len(calls) - 1} more" if len(calls) > 1 else ""
    return error(
        "G114",
        f"the function '{function}' cannot be inlined; node '{node.name}' ({node.op}) calls it{more}",
        source or None,
        help=[
            "export the model without it: no tf.data, tf.map_fn over functions that must stay "
            "calls, nor functions marked '_noinline'"
        ],
    )


def _quoted(names: Any) -> str:
    return ", ".join(f"'{name}'" for name in names)
