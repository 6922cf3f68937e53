"""Strided slices, broadcasting and partial values on arbitrary inputs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from surgeon.diagnostics import SurgeonError
from surgeon.graph import DType, Graph, Node, Ref, Shape, TensorSpec
from surgeon.graph.values import TensorValue
from surgeon.infer import Inference, evaluate

MASKS = ("begin_mask", "end_mask", "ellipsis_mask", "new_axis_mask", "shrink_axis_mask")


def const(name: str, value: Any) -> Node:
    array = np.asarray(value, np.int32)
    return Node(name, "Const", (), (), {"dtype": DType.INT32, "value": TensorValue.of(array)})


def placeholder(name: str, dims: tuple[int | None, ...]) -> Node:
    return Node(name, "Placeholder", (), (), {"dtype": DType.INT32, "shape": Shape(dims)})


def op(kind: str, *inputs: str, **attrs: Any) -> Node:
    return Node("out", kind, tuple(map(Ref, inputs)), (), {"T": DType.INT32, **attrs})


@st.composite
def slices(draw: Any) -> tuple[tuple[int, ...], list[int], list[int], list[int], dict[str, int]]:
    dims = tuple(draw(st.lists(st.integers(0, 5), min_size=1, max_size=4)))
    count = draw(st.integers(1, 5))
    begin = draw(st.lists(st.integers(-7, 7), min_size=count, max_size=count))
    end = draw(st.lists(st.integers(-7, 7), min_size=count, max_size=count))
    strides = draw(st.lists(st.sampled_from([1, 1, 2, 3, -1, -2]), min_size=count, max_size=count))
    masks = {key: draw(st.integers(0, 2**count - 1)) for key in MASKS}
    masks["ellipsis_mask"] = draw(st.sampled_from([0, *(1 << i for i in range(count))]))
    return dims, begin, end, strides, masks


def sliced_by_tensorflow(tf: Any, dims: tuple[int, ...], rest: tuple[Any, ...]) -> np.ndarray | None:
    begin, end, strides, masks = rest
    x = np.arange(int(np.prod(dims)), dtype=np.int32).reshape(dims)
    try:
        return np.asarray(tf.raw_ops.StridedSlice(input=x, begin=begin, end=end, strides=strides, **masks))
    except (tf.errors.InvalidArgumentError, ValueError):
        return None


@given(slices())
def test_strided_slice_agrees_with_tensorflow(case: Any) -> None:
    tf = pytest.importorskip("tensorflow", reason="TensorFlow is the reference for slices")
    dims, begin, end, strides, masks = case
    expected = sliced_by_tensorflow(tf, dims, (begin, end, strides, masks))
    x = const("x", np.arange(int(np.prod(dims))).reshape(dims))
    vectors = [const("begin", begin), const("end", end), const("strides", strides)]
    graph = Graph([x, *vectors, op("StridedSlice", "x", "begin", "end", "strides", **masks)])
    inference = Inference(graph)
    if expected is None:
        inference.spec(Ref("out"))
        assert [name for name, _ in inference.contradictions] == ["out"]
        with pytest.raises(SurgeonError) as caught:
            evaluate(graph, [Ref("out")])
        assert caught.value.diagnostics[0].code == "I104"
        return
    assert np.array_equal(evaluate(graph, [Ref("out")])[0], expected)
    assert np.array_equal(inference.value(Ref("out")), expected)
    unfed = Graph(
        [placeholder("x", dims), *vectors, op("StridedSlice", "x", "begin", "end", "strides", **masks)]
    )
    assert Inference(unfed).spec(Ref("out")) == TensorSpec.of("int32", *expected.shape)


@st.composite
def with_unknowns(draw: Any, dims: tuple[int, ...]) -> tuple[int | None, ...] | None:
    if draw(st.integers(0, 9)) == 0:
        return None
    return tuple(None if draw(st.booleans()) else d for d in dims)


@given(slices(), st.data())
def test_a_slice_of_unknown_dimensions_is_compatible(case: Any, data: Any) -> None:
    dims, begin, end, strides, masks = case
    vectors = [const("begin", begin), const("end", end), const("strides", strides)]
    known = Graph(
        [placeholder("x", dims), *vectors, op("StridedSlice", "x", "begin", "end", "strides", **masks)]
    )
    inference = Inference(known)
    full = inference.spec(Ref("out"))
    if inference.contradictions:
        return
    partly = data.draw(with_unknowns(dims))
    x = placeholder("x", ())
    x = x.with_attr("shape", Shape(partly))
    loose = Inference(Graph([x, *vectors, op("StridedSlice", "x", "begin", "end", "strides", **masks)])).spec(
        Ref("out")
    )
    assert loose.compatible(full)
    hidden = [placeholder(v.name, (len(begin),)) for v in vectors]
    assert (
        Inference(Graph([x, *hidden, op("StridedSlice", "x", "begin", "end", "strides", **masks)]))
        .spec(Ref("out"))
        .compatible(full)
    )


dims_lists = st.lists(st.integers(0, 4), max_size=4).map(tuple)


@given(dims_lists, dims_lists, st.data())
def test_broadcasting_agrees_with_numpy(a: tuple[int, ...], b: tuple[int, ...], data: Any) -> None:
    try:
        expected = np.broadcast_shapes(a, b)
    except ValueError:
        expected = None
    inference = Inference(Graph([placeholder("a", a), placeholder("b", b), op("Add", "a", "b")]))
    spec = inference.spec(Ref("out"))
    if expected is None:
        assert spec == TensorSpec()
        assert len(inference.contradictions) == 1
        return
    assert spec == TensorSpec.of("int32", *expected)
    loose = [
        placeholder(n, ()).with_attr("shape", Shape(data.draw(with_unknowns(d))))
        for n, d in (("a", a), ("b", b))
    ]
    inference = Inference(Graph([*loose, op("Add", "a", "b")]))
    assert inference.spec(Ref("out")).compatible(spec)
    assert inference.contradictions == []


BINARY = ("Add", "Sub", "Mul", "Maximum", "Minimum", "FloorDiv")


@st.composite
def shape_graphs(draw: Any) -> tuple[list[Node], tuple[int, ...], tuple[int | None, ...]]:
    """Return a graph of arithmetic on the shape of 'x', a true shape, and what is known of it."""
    dims = tuple(draw(st.lists(st.integers(1, 6), min_size=2, max_size=4)))
    known = tuple(None if draw(st.booleans()) else d for d in dims)
    nodes = [
        Node("v0", "Shape", (Ref("x"),), (), {"T": DType.INT32, "out_type": DType.INT32}),
        const("axis", 0),
        const("one", [1]),
    ]
    for i in range(1, draw(st.integers(2, 7))):
        before = [f"v{draw(st.integers(0, i - 1))}" for _ in range(2)]
        kind = draw(st.sampled_from(["binary", "slice", "concat", "reverse", "scale", "gather"]))
        name, extra = f"v{i}", f"k{i}"
        if kind == "binary":
            out = Node(
                name, draw(st.sampled_from(BINARY)), (Ref(before[0]), Ref(before[0])), (), {"T": DType.INT32}
            )
        elif kind == "slice":
            nodes.append(const(extra, [draw(st.integers(0, 1))]))
            out = Node(
                name,
                "StridedSlice",
                (Ref(before[0]), Ref(extra), Ref(extra), Ref("one")),
                (),
                {"T": DType.INT32, "end_mask": 1},
            )
        elif kind == "concat":
            out = Node(name, "ConcatV2", (*map(Ref, before), Ref("axis")), (), {"T": DType.INT32, "N": 2})
        elif kind == "reverse":
            nodes.append(const(extra, [0]))
            out = Node(name, "ReverseV2", (Ref(before[0]), Ref(extra)), (), {"T": DType.INT32})
        elif kind == "scale":
            nodes.append(const(extra, draw(st.integers(0, 3))))
            out = Node(
                name, draw(st.sampled_from(BINARY[:5])), (Ref(before[0]), Ref(extra)), (), {"T": DType.INT32}
            )
        else:
            nodes.append(const(extra, [0, 0]))
            out = Node(
                name, "GatherV2", (Ref(before[0]), Ref(extra), Ref("axis")), (), {"Tparams": DType.INT32}
            )
        nodes.append(out)
    return nodes, dims, known


@given(shape_graphs())
def test_partial_values_agree_with_full_ones(case: Any) -> None:
    nodes, dims, known = case
    graph = Graph([placeholder("x", known), *nodes])
    partial = Inference(graph)
    full = Inference(Graph([placeholder("x", dims), *nodes]))
    for node in nodes:
        expected = full.value(Ref(node.name))
        found = partial.shape_value(Ref(node.name))
        if expected is None:
            continue
        items = expected.ravel().tolist()
        assert found is None or len(found) == len(items)
        assert found is None or all(f is None or f == e for f, e in zip(found, items, strict=True))
        exact = evaluate(graph, [Ref(node.name)], {Ref("x"): np.zeros(dims, np.int32)})[0]
        assert np.array_equal(exact, expected)
