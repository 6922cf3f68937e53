"""Transpositions, put off until a node needs the axes in their order; those that undo each other vanish.

tf2onnx puts a Transpose before and after every operation that ONNX has in NCHW only. Here a tensor is known
as another one whose axes are permuted; operations to which the order of axes is the same work on that one,
with their own axes renumbered. One walk over the nodes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from surgeon.formats.onnx.network import Names, OnnxNetwork, Perm, Weight, attributes, has_inner, reads
from surgeon.graph import Shape, TensorSpec
from surgeon.optional import require

TO_NCHW: Perm = (0, 3, 1, 2)
TO_NHWC: Perm = (0, 2, 3, 1)

ELEMENTWISE = frozenset(
    {
        "Abs",
        "Add",
        "And",
        "Cast",
        "Ceil",
        "Clip",
        "Div",
        "Elu",
        "Equal",
        "Erf",
        "Exp",
        "Floor",
        "Greater",
        "GreaterOrEqual",
        "HardSigmoid",
        "HardSwish",
        "LeakyRelu",
        "Less",
        "LessOrEqual",
        "Log",
        "Max",
        "Mean",
        "Min",
        "Mod",
        "Mul",
        "Neg",
        "Not",
        "Or",
        "PRelu",
        "Pow",
        "Reciprocal",
        "Relu",
        "Round",
        "Selu",
        "Sigmoid",
        "Sign",
        "Softplus",
        "Softsign",
        "Sqrt",
        "Sub",
        "Sum",
        "Tanh",
        "ThresholdedRelu",
        "Where",
        "Xor",
    }
)
"""Operations that compute each element of the output of the elements at the same place."""


@dataclass(frozen=True)
class _View:
    """What a tensor is: ``transpose(source, perm)``."""

    source: str
    perm: Perm


def settle_layout(network: OnnxNetwork, ranks: Mapping[str, int]) -> OnnxNetwork:
    """Return the network with as few transpositions as the order of its operations needs.

    One is left at each seam of layouts. ``network`` is sorted; ``ranks`` tells the number of axes of its
    tensors. An input of four axes that is first transposed to NCHW is declared so. Constants that are
    transposed are transposed once and for all.
    """
    return _Layout(network, ranks).settled()


def channels_first(network: OnnxNetwork) -> tuple[str, ...]:
    """Return the inputs of four axes of which the first operations that know axes want NCHW of NHWC."""
    readers: dict[str, list[Any]] = {}
    for node in network.nodes:
        for name in reads(node):
            readers.setdefault(name, []).append(node)
    return tuple(
        name for name, spec in network.inputs.items() if spec.shape.rank == 4 and _wants_nchw(name, readers)
    )


def _wants_nchw(name: str, readers: Mapping[str, Sequence[Any]]) -> bool:
    seen = {name}
    queue = [name]
    for tensor in queue:
        for node in readers.get(tensor, ()):
            if node.op_type == "Transpose" and tuple(attributes(node).get("perm", ())) == TO_NCHW:
                return True
            if (node.op_type in ELEMENTWISE or node.op_type in ("Identity", "Pad")) and node.output[
                0
            ] not in seen:
                seen.add(node.output[0])
                queue.append(node.output[0])
    return False


class _Layout:
    """One walk: what each tensor is, the nodes written so far, and the constants."""

    def __init__(self, network: OnnxNetwork, ranks: Mapping[str, int]) -> None:
        self.network = network
        self.ranks = ranks
        self.nodes: list[Any] = []
        self.weights: dict[str, Weight] = dict(network.weights)
        self.inputs: dict[str, TensorSpec] = dict(network.inputs)
        self._views: dict[str, _View] = {}
        self._made: dict[tuple[str, Perm], str] = {}
        self.fresh = Names(network).fresh

    def settled(self) -> OnnxNetwork:
        for name in channels_first(self.network):
            spec = self.inputs[name]
            dims = spec.shape.dims or ()
            self.inputs[name] = replace(spec, shape=Shape(tuple(dims[axis] for axis in TO_NCHW)))
            self._views[name] = _View(name, TO_NHWC)
        for node in self.network.nodes:
            self._take(node)
        names = self._output_names()
        done = replace(self.network, nodes=tuple(self.nodes), weights=self.weights, inputs=self.inputs)
        return replace(done.renamed(names), outputs=self.network.outputs).sorted() if names else done.sorted()

    # Views

    def view(self, name: str) -> _View:
        """Return what a tensor is."""
        return self._views.get(name) or _View(name, tuple(range(self.ranks.get(name, 0))))

    def moved(self, name: str) -> Perm | None:
        """Return the permutation under which a computed tensor is known, None where its axes are in order."""
        view = self._views.get(name)
        return None if view is None or view.perm == tuple(range(len(view.perm))) else view.perm

    def plain(self, name: str) -> str:
        """Return the tensor with its axes in their order."""
        view = self._views.get(name)
        return name if view is None else self._transposed(view.source, view.perm)

    def under(self, name: str, perm: Perm) -> str:
        """Return the tensor of which ``name`` is the transpose by ``perm``."""
        own = self.view(name).perm if name in self._views else tuple(range(len(perm)))
        return self._transposed(self.view(name).source, tuple(own[axis] for axis in inverse(perm)))

    def _transposed(self, source: str, perm: Perm) -> str:
        if perm == tuple(range(len(perm))):
            return source
        key = (source, perm)
        if key not in self._made:
            name = self._made[key] = self.fresh(
                f"{source.removesuffix(':0')}/transposed_{''.join(map(str, perm))}"
            )
            if source in self.weights:
                self.weights[name] = self.weights[source].transposed(perm)
            else:
                self.nodes.append(_node("Transpose", [source], [name], name, perm=list(perm)))
        return self._made[key]

    def constant(self, value: Sequence[int] | np.ndarray, name: str, dtype: Any = np.int64) -> str:
        """Return the name of a new constant of integers."""
        free = self.fresh(name)
        self.weights[free] = Weight.of(value, dtype)
        return free

    def ints(self, node: Any, position: int) -> tuple[int, ...] | None:
        """Return an input of a node that is a constant of integers.

        Return None where the node has no such input, or it is computed.
        """
        name = node.input[position] if position < len(node.input) else ""
        weight = self.weights.get(self.plain(name)) if name else None
        return None if weight is None else tuple(int(v) for v in weight.array().reshape(-1))

    # Nodes

    def _take(self, node: Any) -> None:
        rule = RULES.get(node.op_type) if node.domain in ("", "ai.onnx") else None
        if has_inner(node):
            self._within(node)
        elif rule is None or not rule(self, node):
            self.put(node, [self.plain(name) for name in node.input])

    def _within(self, node: Any) -> None:
        """Write a node with graphs inside, which name tensors of this one."""
        copy = OnnxNetwork((node,), {}, {}, {}).renamed(
            {name: self.plain(name) for name in reads(node) if name in self._views}
        )
        self.nodes.append(copy.nodes[0])

    def put(self, node: Any, inputs: Sequence[str], perm: Perm | None = None, **changed: Any) -> None:
        """Write a node that reads other inputs, with some attributes changed.

        Its outputs are known under ``perm``.
        """
        copy = type(node)()
        copy.CopyFrom(node)
        copy.input[:] = inputs
        if changed:
            kept = [attribute for attribute in node.attribute if attribute.name not in changed]
            helper = require("onnx.helper", "writing ONNX")
            del copy.attribute[:]
            copy.attribute.extend(
                [
                    *kept,
                    *(
                        helper.make_attribute(key, value)
                        for key, value in changed.items()
                        if value is not None
                    ),
                ]
            )
        self.nodes.append(copy)
        if perm is not None:
            for name in copy.output:
                self._views[name] = _View(name, perm)

    def alias(self, name: str, view: _View) -> None:
        """Note that a tensor is another one, or its transpose; nothing is written."""
        self._views[name] = view

    # Outputs

    def _output_names(self) -> dict[str, str]:
        """Give the outputs their names; return the renaming that this takes."""
        names: dict[str, str] = {}
        made = {name for node in self.nodes for name in node.output}
        for output in self.network.outputs:
            found = self.plain(output)
            made.update(self.nodes[-1].output if self.nodes else ())
            if found == output and output not in self.weights:
                continue
            if output in made or output in self.weights:
                names[output] = self.fresh(f"{output.removesuffix(':0')}/untransposed")
            if found in made and found not in names and found not in self.network.outputs:
                names[found] = output
            else:
                self.nodes.append(_node("Identity", [found], [self.fresh(f"{output}/named")], output))
                names[self.nodes[-1].output[0]] = output
        return names


def inverse(perm: Perm) -> Perm:
    """Return the permutation that undoes another."""
    return tuple(perm.index(axis) for axis in range(len(perm)))


def _node(op: str, inputs: Sequence[str], outputs: Sequence[str], name: str, **attrs: Any) -> Any:
    return require("onnx.helper", "writing ONNX").make_node(op, inputs, outputs, name=name, **attrs)


# What single operations do with a tensor whose axes are permuted; False: they want them in their order.


def _identity(at: _Layout, node: Any) -> bool:
    at.alias(node.output[0], at.view(node.input[0]))
    return True


def _transpose(at: _Layout, node: Any) -> bool:
    view = at.view(node.input[0])
    perm = attributes(node).get("perm")
    if perm is None or len(perm) != len(view.perm):
        return False
    at.alias(node.output[0], _View(view.source, tuple(view.perm[axis] for axis in perm)))
    return True


def _elementwise(at: _Layout, node: Any) -> bool:
    perm = next(
        (found for name in node.input if name and (found := at.moved(name)) and name not in at.weights), None
    )
    if perm is None:
        return False
    inputs = [_operand(at, name, perm) for name in node.input]
    if any(name is None for name in inputs):
        return False
    at.put(node, [name or "" for name in inputs], perm)
    return True


def _operand(at: _Layout, name: str, perm: Perm) -> str | None:
    """Return an operand with its axes permuted as those of another; None where that cannot be."""
    if not name:
        return ""
    source = at.view(name).source
    if source not in at.weights:
        return at.under(name, perm) if at.ranks.get(name) == len(perm) else None
    name = at.plain(name)
    weight = at.weights[name]
    if weight.count == 1 and len(weight.shape) <= len(perm):
        return name
    if len(weight.shape) > len(perm):
        return None
    if len(weight.shape) < len(perm):
        wide = f"{name}/of_rank_{len(perm)}"
        at.weights.setdefault(wide, weight.reshaped((1,) * (len(perm) - len(weight.shape)) + weight.shape))
        name = wide
    return at._transposed(name, inverse(perm))


def _concat(at: _Layout, node: Any) -> bool:
    perm = next((found for name in node.input if (found := at.moved(name))), None)
    if perm is None or any(at.ranks.get(name, len(perm)) != len(perm) for name in node.input):
        return False
    at.put(node, [at.under(name, perm) for name in node.input], perm, axis=perm[attributes(node)["axis"]])
    return True


def _along_axis(at: _Layout, node: Any, default: int) -> bool:
    perm = at.moved(node.input[0])
    if perm is None:
        return False
    rest = [at.plain(name) for name in node.input[1:]]
    at.put(
        node, [at.view(node.input[0]).source, *rest], perm, axis=perm[attributes(node).get("axis", default)]
    )
    return True


def _pad(at: _Layout, node: Any) -> bool:
    perm, pads = at.moved(node.input[0]), at.ints(node, 1)
    if perm is None or pads is None or len(pads) != 2 * len(perm) or len(node.input) > 3:
        return False
    half = len(perm)
    order = [inverse(perm)[axis] for axis in range(half)]
    moved = at.constant(
        [pads[axis] for axis in order] + [pads[half + axis] for axis in order], f"{node.name}/pads"
    )
    at.put(node, [at.view(node.input[0]).source, moved, *map(at.plain, node.input[2:])], perm)
    return True


def _reduce(at: _Layout, node: Any) -> bool:
    perm, attrs = at.moved(node.input[0]), attributes(node)
    axes = attrs.get("axes") or at.ints(node, 1)
    if perm is None or not axes:
        return False
    moved = [perm[axis] for axis in axes]
    left = perm if attrs.get("keepdims", 1) else _without(perm, axes)
    source = at.view(node.input[0]).source
    if len(node.input) > 1:
        at.put(node, [source, at.constant(moved, f"{node.name}/axes")], left)
    else:
        at.put(node, [source], left, axes=moved)
    return True


def _squeeze(at: _Layout, node: Any) -> bool:
    perm, axes = at.moved(node.input[0]), at.ints(node, 1)
    if perm is None or not axes:
        return False
    moved = at.constant([perm[axis] for axis in axes], f"{node.name}/axes")
    at.put(node, [at.view(node.input[0]).source, moved], _without(perm, axes))
    return True


def _without(perm: Perm, axes: Sequence[int]) -> Perm:
    """Return the permutation of the axes that are left when some are taken out."""
    gone = {axis % len(perm) for axis in axes}
    left = [perm[axis] for axis in range(len(perm)) if axis not in gone]
    return tuple(sorted(left).index(axis) for axis in left)


def _slice(at: _Layout, node: Any) -> bool:
    perm, starts = at.moved(node.input[0]), at.ints(node, 1)
    if perm is None or starts is None:
        return False
    axes = at.ints(node, 3) if len(node.input) > 3 and node.input[3] else tuple(range(len(starts)))
    if axes is None:
        return False
    dtype = at.weights[at.plain(node.input[1])].array().dtype
    moved = at.constant([perm[axis] for axis in axes], f"{node.name}/axes", dtype)
    rest = [at.plain(name) for name in node.input[4:]]
    at.put(
        node,
        [at.view(node.input[0]).source, at.plain(node.input[1]), at.plain(node.input[2]), moved, *rest],
        perm,
    )
    return True


def _shape(at: _Layout, node: Any) -> bool:
    perm = at.moved(node.input[0])
    if perm is None or len(node.attribute):
        return False
    inner = at.fresh(f"{node.output[0].removesuffix(':0')}/of_source")
    at.nodes.append(_node("Shape", [at.view(node.input[0]).source], [inner], inner))
    at.nodes.append(
        _node(
            "Gather", [inner, at.constant(perm, f"{node.name}/order")], list(node.output), node.name, axis=0
        )
    )
    return True


_REDUCTIONS = (
    "ReduceL1",
    "ReduceL2",
    "ReduceMax",
    "ReduceMean",
    "ReduceMin",
    "ReduceProd",
    "ReduceSum",
    "ReduceSumSquare",
)

RULES: Mapping[str, Callable[[_Layout, Any], bool]] = {
    **dict.fromkeys(sorted(ELEMENTWISE), _elementwise),
    **dict.fromkeys(_REDUCTIONS, _reduce),
    **dict.fromkeys(("Softmax", "LogSoftmax"), lambda at, node: _along_axis(at, node, -1)),
    "Split": lambda at, node: _along_axis(at, node, 0),
    "Concat": _concat,
    "Identity": _identity,
    "Pad": _pad,
    "Shape": _shape,
    "Slice": _slice,
    "Squeeze": _squeeze,
    "Transpose": _transpose,
}
