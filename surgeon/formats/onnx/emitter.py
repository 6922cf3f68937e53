"""Nodes and initializers of an ONNX graph, written one after the other."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, TypeAlias

import numpy as np

from surgeon.optional import require

OPSETS = (13, 17)
"""The first and the last opset that is written.

TensorRT 8.5 reads up to 17, and from 13 on axes are inputs of most operators.
"""


BodyValue: TypeAlias = tuple[str, Any, Sequence["int | None"]]


class Emitter:
    """Collects nodes and constants; names begin with ``prefix`` and are unique as long as prefixes are.

    ``nodes`` are NodeProtos in the order of computation, ``initializers`` TensorProtos; equal constants are
    one. ``lacks`` are the operators that the runtime does not have. Raise SurgeonError E108 where onnx is
    missing.
    """

    def __init__(self, prefix: str, opset: int = OPSETS[1], lacks: Iterable[str] = ()) -> None:
        self.prefix, self.opset, self.lacks = prefix, opset, frozenset(lacks)
        self.nodes: list[Any] = []
        self.initializers: list[Any] = []
        self._helper = require("onnx.helper", "writing ONNX")
        self._from_array = require("onnx.numpy_helper", "writing ONNX").from_array
        self._constants: dict[tuple[str, tuple[int, ...], bytes], str] = {}
        self._count = 0

    def op(self, op_type: str, *inputs: str, domain: str = "", **attributes: Any) -> str:
        """Add a node with one output; return the output's name.

        An input '' is left out, and so is an attribute None.
        """
        return self.op_many(op_type, inputs, 1, domain, **attributes)[0]

    def op_many(
        self, op_type: str, inputs: Iterable[str], outputs: int, domain: str = "", **attributes: Any
    ) -> tuple[str, ...]:
        """Add a node with several outputs; return their names."""
        name = self.name(op_type)
        names = tuple(name if slot == 0 else f"{name}:{slot}" for slot in range(outputs))
        given = {key: value for key, value in attributes.items() if value is not None}
        self.nodes.append(
            self._helper.make_node(op_type, list(inputs), list(names), name=name, domain=domain, **given)
        )
        return names

    def constant(self, value: Any, dtype: Any = None) -> str:
        """Return the name of a constant: an array, or a number or list with its element type."""
        array = np.ascontiguousarray(np.asarray(value, dtype)).reshape(np.shape(value))
        key = (array.dtype.str, array.shape, array.tobytes())
        if key not in self._constants:
            self._constants[key] = name = self.name("constant")
            self.initializers.append(self._from_array(array, name))
        return self._constants[key]

    def ints(self, *values: int) -> str:
        """Return the name of a constant int64[n], as shapes and axes are given."""
        return self.constant(values, np.int64)

    def floats(self, *values: float) -> str:
        """Return the name of a constant float32[n]."""
        return self.constant(values, np.float32)

    def name(self, what: str) -> str:
        """Return a name that is not taken."""
        self._count += 1
        return f"{self.prefix}/{what}_{self._count}"

    def body(self, inputs: Sequence[BodyValue], outputs: Sequence[BodyValue]) -> Any:
        """Return what was collected as the body of a Loop, a GraphProto.

        A value is its name, its element type and its sizes, None for an open one.
        """
        convert = self._helper.np_dtype_to_tensor_dtype
        values = [
            [
                self._helper.make_tensor_value_info(name, convert(np.dtype(dtype)), dims)
                for name, dtype, dims in each
            ]
            for each in (inputs, outputs)
        ]
        return self._helper.make_graph(self.nodes, self.prefix, *values, self.initializers)
