"""One operation of TensorFlow inside tf2onnx, and what it becomes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any, TypeAlias

import numpy as np

from surgeon.diagnostics import SurgeonError, error
from surgeon.discovery import discover
from surgeon.optional import require

INTEGERS = tuple(np.dtype(f"{sign}int{bits}") for sign in ("", "u") for bits in (8, 16, 32, 64))


class Operation:
    """A node of TensorFlow while tf2onnx converts it.

    ``op``, ``op_many`` and ``constant`` add nodes and return names of tensors, as those of
    :class:`surgeon.formats.onnx.emitter.Emitter` do.
    """

    def __init__(self, graph: Any, node: Any, convert: Callable[[], None]) -> None:
        self.inputs: tuple[str, ...] = tuple(node.input)
        self.kind: str = node.type
        self._graph, self._node, self._convert = graph, node, convert

    def op(self, op_type: str, *inputs: str, **attributes: Any) -> str:
        """Add a node with one output; return the output's name."""
        return self.op_many(op_type, inputs, 1, **attributes)[0]

    def op_many(
        self, op_type: str, inputs: Sequence[str], outputs: int, **attributes: Any
    ) -> tuple[str, ...]:
        """Add a node with several outputs; return their names."""
        given = {key: value for key, value in attributes.items() if value is not None}
        made = self._graph.make_node(
            op_type, list(inputs), attr=given, output_count=outputs, op_name_scope=self._node.name
        )
        return tuple(made.output)

    def constant(self, value: Any, dtype: Any = None) -> str:
        """Return the name of a new constant: an array, or a number or list with its element type."""
        array = np.ascontiguousarray(np.asarray(value, dtype)).reshape(np.shape(value))
        name: str = self._graph.make_const(self._graph_name("constant"), array).output[0]
        return name

    def cast(self, name: str, dtype: Any) -> str:
        """Return a tensor as one of another element type."""
        to = require("onnx.helper", "writing ONNX").np_dtype_to_tensor_dtype(np.dtype(dtype))
        return self.op("Cast", name, to=int(to))

    def shape(self, index: int) -> tuple[int | None, ...] | None:
        """Return the shape of an input, None for each size, or for the whole, that is not known."""
        found = self._graph.get_shape(self.inputs[index])
        return None if found is None else tuple(None if size < 0 else int(size) for size in found)

    def dtype(self, index: int) -> np.dtype[Any]:
        """Return the element type of an input."""
        kind = self._graph.get_dtype(self.inputs[index])
        found: np.dtype[Any] = require("onnx.helper", "writing ONNX").tensor_dtype_to_np_dtype(kind)
        return found

    def value(self, index: int) -> np.ndarray | None:
        """Return the value of an input that is a small constant, None for any other."""
        source = self._node.inputs[index]
        while source is not None and source.type == "Identity":
            source = source.inputs[0]
        if source is None or not source.is_const():
            return None
        return np.asarray(source.get_tensor_value(as_list=False))

    def attr(self, name: str, default: Any) -> Any:
        """Return the value of an attribute."""
        return self._node.get_attr_value(name, default)

    def becomes(self, result: str) -> None:
        """Put a tensor in the place of the node's output; what computes it takes over the node's name."""
        graph, node = self._graph, self._node
        kind, inputs, attributes = "Identity", [result], {}
        if result not in self.inputs:
            last = graph.get_node_by_output(result)
            kind, inputs, attributes = last.type, list(last.input), dict(last.attr)
            graph.remove_node(last.name)
        shapes, dtypes, outputs = node.output_shapes, node.output_dtypes, list(node.output)
        graph.remove_node(node.name)
        graph.make_node(
            kind, inputs, attr=attributes, name=node.name, outputs=outputs, shapes=shapes, dtypes=dtypes
        )

    def reads(self, index: int, name: str) -> None:
        """Put a tensor in the place of an input."""
        self._graph.replace_input(self._node, self.inputs[index], name, index)

    def stays(self) -> None:
        """Have tf2onnx convert the node, whose attributes are then those of ONNX."""
        self._convert()

    def sets(self, **attributes: Any) -> None:
        """Set attributes of a converted node; those that are None go."""
        for name, value in attributes.items():
            if value is None:
                self._node.attr.pop(name, None)
            else:
                self._node.set_attr(name, value)

    def refused(self, reason: str, *help: str) -> SurgeonError:
        """Return the error X140 that names the node and says why ONNX cannot express it."""
        return error(
            "X140",
            f"'{self._node.name}' ({self.kind}) cannot be expressed in ONNX: {reason}",
            self._node.name,
            help=list(help) or ["map its namespace to a plugin, or cut the graph before it"],
        )

    def _graph_name(self, what: str) -> str:
        made: str = require("tf2onnx.utils", "converting to ONNX").make_name(f"{self._node.name}/{what}")
        return made


Converter: TypeAlias = Callable[[Operation], None]


@cache
def converters() -> Mapping[str, Converter]:
    """Return the functions that convert operations in place of tf2onnx, by operation."""
    return discover(
        "surgeon.formats.onnx.ops", "converters to ONNX of", lambda module: module.CONVERTERS.items()
    )


def handlers(known: Mapping[str, tuple[Callable[..., None], dict[str, Any]]]) -> dict[str, Any]:
    """Return the converters as tf2onnx takes them; ``known`` are its own."""
    return {kind: (_handler(convert, known.get(kind)), []) for kind, convert in converters().items()}


def _handler(convert: Converter, own: tuple[Callable[..., None], dict[str, Any]] | None) -> Any:
    def handle(graph: Any, node: Any, name: str, args: Any) -> None:
        def by_tf2onnx() -> None:
            assert own is not None, node.type
            function, given = own
            kind, node.type = node.type, given.get("onnx_op") or node.type
            function(graph, node, **{**given, "tf_op": kind})

        convert(Operation(graph, node, by_tf2onnx))

    return handle
