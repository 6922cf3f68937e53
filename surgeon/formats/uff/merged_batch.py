"""Tensors whose first axis is the batch and another one, such as time: they get the batch's axis back.

Layers on sequences reshape [1, time, channels] to [time, channels], multiply, and reshape back. TensorRT
takes the first axis for the batch, so all of this is computed with [1, time, channels].
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from surgeon.formats.uff.ops.elementwise import ACTIVATION, BINARY, UNARY
from surgeon.formats.uff.ops.reduction import FUNC
from surgeon.graph import AttrValue, DType, Graph, Node, Ref, TensorValue
from surgeon.graph.op_sets import PASSED_OVER
from surgeon.infer import Inference

_ALIKE = frozenset(
    {
        *ACTIVATION,
        *BINARY,
        *PASSED_OVER,
        *UNARY,
        "AddN",
        "BiasAdd",
        "Erf",
        "Erfc",
        "Expm1",
        "LeakyRelu",
        "Log1p",
        "LogSoftmax",
        "Softmax",
        "SquaredDifference",
    }
)
"""Operations that treat the last axis, or each number, whatever stands before."""


def with_batch(graph: Graph, needed: frozenset[str], varying: set[str], inference: Inference) -> Graph:
    """Return the graph with an axis for the batch where a Reshape took it and another one gives it back.

    It is the same graph where there is no such Reshape, or where something between counts the first axis.
    """
    found = _Merged(graph, needed, varying, inference)
    members = found.members()
    return (
        graph.replace(node for old in graph for node in found.rewritten(old, old.name in members))
        if members
        else graph
    )


class _Merged:
    def __init__(self, graph: Graph, needed: frozenset[str], varying: set[str], inference: Inference) -> None:
        self.graph, self.needed, self.varying, self.inference = graph, needed, varying, inference
        self._taken: dict[str, None] = {}

    def members(self) -> Mapping[str, None]:
        """Return the nodes whose tensors lack the batch, as far as all that they are joined with can have it.

        A node that counts the first axis otherwise, or an output, keeps all of these as they are.
        """
        waiting = [n.name for n in self.graph if n.name in self.needed and self._merges(n)]
        found: dict[str, None] = {}
        while waiting:
            name = waiting.pop()
            if name in found:
                continue
            found[name] = None
            for reader in self._readers(name):
                node = self.graph[reader]
                if node.op != "Reshape" or self._lacks_batch(node):
                    waiting.append(reader)
        outputs = {ref.node for ref in self.graph.output_refs}
        bad = [name for name in found if name in outputs or not self._fits(self.graph[name], found)]
        kept_as_is = self._joined(bad, found)
        return {name: None for name in found if name not in kept_as_is}

    def rewritten(self, node: Node, member: bool) -> list[Node]:
        if not member:
            return [node]
        if node.op == "Reshape":
            dims = self.inference.spec(Ref(node.name)).shape.static()
            return self._with_constant(replace(node, attrs={**node.attrs, "Tshape": DType.INT32}), [1, *dims])
        if node.op == "MatMul":
            turned = bool(node.attrs.get("transpose_b", False))
            attrs: dict[str, AttrValue] = {"T": DType.FLOAT32, "adj_x": False, "adj_y": turned}
            return [replace(node, op="BatchMatMulV2", attrs=attrs)]
        if node.op in FUNC:
            axes = [axis + 1 if axis >= 0 else axis for axis in self._axes(node) or ()]
            return self._with_constant(replace(node, attrs={**node.attrs, "Tidx": DType.INT32}), axes)
        return [node]

    def _with_constant(self, node: Node, values: list[int]) -> list[Node]:
        """Return a node that reads these numbers as its second input, behind the constant."""
        name = self.graph.free_name(f"{node.name}/with_batch", self._taken)
        self._taken[name] = None
        value = TensorValue.of(values, DType.INT32)
        constant = Node(name, "Const", attrs={"dtype": DType.INT32, "value": value})
        return [constant, node.with_inputs((node.inputs[0], Ref(name)))]

    def _merges(self, node: Node) -> bool:
        """Return whether a Reshape makes [1, ...] a tensor of another first axis."""
        if node.op != "Reshape" or len(node.inputs) != 2 or node.name not in self.varying:
            return False
        before = self.inference.spec(node.inputs[0]).shape
        return before.is_static and before.static()[:1] == (1,) and self._lacks_batch(node)

    def _lacks_batch(self, node: Node) -> bool:
        after = self.inference.spec(Ref(node.name)).shape
        return after.is_static and len(after.static()) > 1 and after.static()[0] != 1

    def _fits(self, node: Node, members: Mapping[str, None]) -> bool:
        varying = [ref for ref in node.inputs if ref.node in self.varying]
        if node.op == "Reshape":
            return self._merges(node) or all(ref.node in members for ref in varying)
        if (
            any(ref.node not in members for ref in varying)
            or node.attrs.get("T", DType.FLOAT32) != DType.FLOAT32
        ):
            return False
        if node.op == "MatMul":
            return varying == [node.inputs[0]] and not node.attrs.get("transpose_a", False)
        if node.op in _ALIKE:
            ranks = [self.inference.spec(ref).shape.rank for ref in varying]
            kept = self.inference.spec(Ref(node.name)).shape.rank in ranks
            return kept and node.attrs.get("data_format", b"NHWC") == b"NHWC"
        return node.op in FUNC and self._axes(node) is not None

    def _axes(self, node: Node) -> list[int] | None:
        value = self.inference.value(node.inputs[1]) if len(node.inputs) == 2 else None
        return None if value is None else [int(axis) for axis in value.reshape(-1)]

    def _readers(self, name: str) -> list[str]:
        return [
            reader
            for reader in self.graph.readers[name]
            if reader in self.needed and any(ref.node == name for ref in self.graph[reader].inputs)
        ]

    def _joined(self, names: list[str], members: Mapping[str, None]) -> set[str]:
        """Return the members that are joined with some of them."""
        reached: set[str] = set()
        waiting = list(names)
        while waiting:
            name = waiting.pop()
            if name in reached or name not in members:
                continue
            reached.add(name)
            node = self.graph[name]
            sources = () if node.op == "Reshape" and self._merges(node) else node.inputs
            waiting += [*self._readers(name), *(ref.node for ref in sources)]
        return reached
