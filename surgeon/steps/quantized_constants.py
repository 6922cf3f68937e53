"""Constants behind the rounding of integer arithmetic."""

from __future__ import annotations

from typing import Any

import numpy as np

from surgeon.graph import DType, Node, Ref, TensorRef, TensorValue
from surgeon.graph.frames import conditional
from surgeon.infer.evaluation import KERNEL_ERRORS
from surgeon.infer.quantization import DEQUANTIZE_MODES, dequantize, quantize, quantize_and_dequantize
from surgeon.infer.rule import Array, NoKernel, attr_bool, attr_dtype, attr_float, attr_int, attr_text
from surgeon.steps.step import StepContext

_FAKE = frozenset({"FakeQuantWithMinMaxArgs", "FakeQuantWithMinMaxVars", "FakeQuantWithMinMaxVarsPerChannel"})
_ROUNDING = frozenset({"QuantizeAndDequantizeV2", "QuantizeAndDequantizeV3", "QuantizeAndDequantizeV4"})
_QUANTIZED = (DType.QINT8, DType.QUINT8, DType.QINT16, DType.QUINT16, DType.QINT32)


def quantized_constants(context: StepContext) -> dict[str, TensorValue]:
    """Return the nodes that round constants to what integer arithmetic holds, or turn such constants into
    float32, with their values.

    Nodes in loops and branches are left out, and those whose numbers would not be TensorFlow's to the bit.
    """
    graph = context.graph
    if not any(node.op in _FAKE or node.op in _ROUNDING or node.op == "Dequantize" for node in graph):
        return {}
    inside = conditional(graph)
    search = _Search(context)
    for name in graph.topological():
        if name not in inside:
            search.look_at(graph[name])
    return search.found


class _Search:
    def __init__(self, context: StepContext) -> None:
        self.context, self.graph = context, context.graph
        self.found: dict[str, TensorValue] = {}

    def look_at(self, node: Node) -> None:
        """Enter a node's value, if it has one; what it reads was looked at before."""
        value = self._value(node)
        if value is not None:
            self.found[node.name] = value

    def _value(self, node: Node) -> TensorValue | None:
        """Return the float32 value of a node, None where it has another type or is not constant."""
        if node.op == "Dequantize" and attr_dtype(node, "dtype", DType.FLOAT32) is DType.FLOAT32:
            return self._dequantized(node)
        if node.op in _ROUNDING and attr_dtype(node, "T") is DType.FLOAT32:
            return self._rounded(node)
        return self._faked(node) if node.op in _FAKE else None

    def _faked(self, node: Node) -> TensorValue | None:
        inputs = self._read(node, len(node.inputs))
        rule = self.context.inference.rules.get(node.op)
        if inputs is None or rule is None or rule.kernel is None:
            return None
        try:
            with np.errstate(all="ignore"):
                return TensorValue.of(rule.kernel(node, inputs)[0], DType.FLOAT32)
        except (NoKernel, *KERNEL_ERRORS):
            return None

    def _dequantized(self, node: Node) -> TensorValue | None:
        dtype = attr_dtype(node, "T")
        inputs = self._read(node, 3)
        if inputs is None or dtype not in _QUANTIZED:
            return None
        values, least, most = inputs
        axis, narrow = attr_int(node, "axis", -1), attr_bool(node, "narrow_range")
        if axis >= 0:
            if axis >= values.ndim or not least.shape == most.shape == (values.shape[axis],):
                return None
            shape = [-1 if i == axis else 1 for i in range(values.ndim)]
            least, most = least.reshape(shape), most.reshape(shape)
        elif least.size != 1 or most.size != 1:
            return None
        else:
            least, most = least.reshape(()), most.reshape(())
        mode = attr_text(node, "mode", "MIN_COMBINED")
        found = dequantize(values, dtype, least, most, mode, narrow) if mode in DEQUANTIZE_MODES else None
        return None if found is None else TensorValue.of(found, DType.FLOAT32)

    def _rounded(self, node: Node) -> TensorValue | None:
        inputs = self._read(node, 3 if node.op.endswith(("V2", "V4")) else 4)
        if inputs is None or attr_int(node, "axis", -1) != -1 or not inputs[0].size:
            return None
        values, least, most = inputs[:3]
        bits = int(inputs[3].reshape(-1)[0]) if len(inputs) > 3 else attr_int(node, "num_bits", 8)
        if least.size != 1 or most.size != 1 or not 1 < bits < 25:
            return None
        attrs: dict[str, Any] = {
            "signed_input": attr_bool(node, "signed_input", True),
            "range_given": attr_bool(node, "range_given", node.op.endswith("V3")),
            "narrow_range": attr_bool(node, "narrow_range"),
            "round_mode": attr_text(node, "round_mode", "HALF_TO_EVEN"),
        }
        found = quantize_and_dequantize(values, least.reshape(()), most.reshape(()), bits, attrs)
        return TensorValue.of(found, DType.FLOAT32)

    def _read(self, node: Node, count: int) -> list[Array] | None:
        """Return the values of a node's inputs, None where one is not constant."""
        if len(node.inputs) != count:
            return None
        arrays: list[Array] = []
        for ref in node.inputs:
            array = self._array(ref)
            if array is None:
                return None
            arrays.append(array)
        return arrays

    def _array(self, ref: Ref) -> Array | None:
        node = self.graph[ref.node]
        if ref.node in self.found:
            return self.found[ref.node].array()
        value = node.attrs.get("value")
        if node.op == "Const" and isinstance(value, TensorValue | TensorRef):
            return value.array()
        if node.op == "QuantizeV2":
            outputs = self._quantized(node)
            return None if outputs is None or ref.slot > 2 else outputs[ref.slot]
        return None

    def _quantized(self, node: Node) -> tuple[Array, Array, Array] | None:
        inputs = self._read(node, 3)
        dtype = attr_dtype(node, "T")
        if inputs is None or dtype not in _QUANTIZED or attr_int(node, "axis", -1) != -1:
            return None
        values, least, most = inputs
        if least.size != 1 or most.size != 1:
            return None
        attrs: dict[str, Any] = {
            "mode": attr_text(node, "mode", "MIN_COMBINED"),
            "round_mode": attr_text(node, "round_mode", "HALF_AWAY_FROM_ZERO"),
            "narrow_range": attr_bool(node, "narrow_range"),
            "ensure_minimum_range": np.float32(attr_float(node, "ensure_minimum_range", 0.01)),
        }
        return quantize(values, dtype, least.reshape(()), most.reshape(()), attrs)
