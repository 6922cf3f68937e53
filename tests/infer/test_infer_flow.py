"""Loops, conditionals, variables and TensorArrays: whole graphs against TensorFlow."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from surgeon.diagnostics import SurgeonError
from surgeon.formats.graphdef import from_bytes
from surgeon.graph import Graph, Ref, TensorSpec, parse_graph
from surgeon.infer import Inference, evaluate

tf = pytest.importorskip("tensorflow", reason="TensorFlow is the reference for shapes and values")
v1 = tf.compat.v1


@pytest.fixture(autouse=True)
def control_flow_of_tensorflow_1() -> Any:
    """Build Switch, Merge and Enter nodes, as frozen graphs have them."""
    before = v1.control_flow_v2_enabled()
    v1.disable_control_flow_v2()
    yield
    if before:
        v1.enable_control_flow_v2()


def while_loop() -> None:
    image = v1.placeholder(tf.uint8, [None, None, None, 3], "image")
    count = tf.shape(image)[0]
    out = tf.TensorArray(tf.float32, size=count, element_shape=[30, 40, 3])
    parts = tf.TensorArray(tf.uint8, size=count).unstack(image)

    def body(i: Any, acc: Any) -> Any:
        picture = tf.cast(parts.read(i), tf.float32)
        return i + 1, acc.write(i, v1.image.resize_bilinear(picture[None], [30, 40])[0])

    _, out = v1.while_loop(lambda i, acc: i < count, body, [0, out])
    tf.identity(out.stack() * 2.0, "stacked")


def loop_without_arrays() -> None:
    limit = tf.constant(3)
    v1.while_loop(lambda i, x: i < limit, lambda i, x: (i + 1, x * 2.0), [0, tf.ones([2, 3])])


def conditional() -> None:
    predicate = v1.placeholder(tf.bool, [], "p")
    x = v1.placeholder(tf.float32, [None, 3], "x")
    v1.cond(predicate, lambda: tf.concat([x, x], 0), lambda: x + 1.0)
    v1.cond(predicate, lambda: tf.ones([2, 3]), lambda: tf.ones([2, 4]))


def arrays() -> None:
    array = tf.TensorArray(tf.float32, size=4, infer_shape=False)
    array = array.split(tf.ones([8, 2]), [2, 2, 2, 2])
    array.concat()
    array.gather([0, 1])
    array.size()
    tf.raw_ops.TensorArrayCloseV3(handle=array.handle)
    handle = tf.raw_ops.TensorArrayV3(size=2, dtype=tf.float32)
    tf.raw_ops.TensorArrayGatherV3(
        handle=handle[0], indices=[0, 1], flow_in=handle[1], dtype=tf.float32, element_shape=[5, None]
    )
    tf.raw_ops.TensorArrayConcatV3(
        handle=handle[0], flow_in=handle[1], dtype=tf.float32, element_shape_except0=[7]
    )


def variables() -> None:
    old = tf.raw_ops.VariableV2(shape=[2, 3], dtype=tf.float32)
    tf.raw_ops.RefIdentity(input=old)
    tf.raw_ops.Variable(shape=[2], dtype=tf.float32)
    handle = tf.raw_ops.VarHandleOp(dtype=tf.float32, shape=[5, 2])
    tf.raw_ops.ReadVariableOp(
        resource=tf.raw_ops.VarHandleOp(dtype=tf.float32, shape=tf.TensorShape(None)), dtype=tf.float32
    )
    tf.raw_ops.ResourceGather(resource=handle, indices=[0], dtype=tf.float32)


def placeholders() -> None:
    v1.placeholder(tf.float32, [None, 2])
    v1.placeholder(tf.float32)
    v1.placeholder(tf.string, [])
    tf.raw_ops.NoOp()
    tf.raw_ops.ControlTrigger()
    tf.raw_ops.Assert(condition=True, data=[1])
    v1.constant([1.5])


LESS_THAN_TENSORFLOW = {"ReadVariableOp", "ResourceGather", "TensorArrayReadV3", "TensorArrayGatherV3"}
"""Ops whose shape TensorFlow takes from the resource handle, which holds no shape in a frozen graph."""


@pytest.mark.parametrize(
    "build", [while_loop, loop_without_arrays, conditional, arrays, variables, placeholders]
)
def test_every_tensor_agrees_with_tensorflow(build: Callable[[], None]) -> None:
    tensorflow = tf.Graph()
    with tensorflow.as_default():
        build()
    graph = from_bytes(tensorflow.as_graph_def().SerializeToString())
    inference = Inference(graph)
    for operation in tensorflow.get_operations():
        assert operation.type in inference.rules
        assert inference.outputs(operation.name) == len(operation.outputs), operation.type
        for slot, tensor in enumerate(operation.outputs):
            ours = inference.spec(Ref(operation.name, slot))
            theirs = tensor.shape
            label = f"{operation.type} {operation.name}: {ours} instead of {theirs}"
            assert ours.dtype == tensor.dtype.base_dtype.name, label
            if theirs.rank is None:
                continue
            assert ours.compatible(TensorSpec.of(ours.dtype, *theirs.as_list())), label
            if operation.type not in LESS_THAN_TENSORFLOW and not in_loop(graph, operation.name):
                assert ours.shape.dims is not None, label
                assert all(
                    t is None or o is not None for o, t in zip(ours.shape.dims, theirs.as_list(), strict=True)
                ), label
    assert not inference.contradictions


def in_loop(graph: Graph, name: str) -> bool:
    """True for nodes of a loop's body, where TensorFlow knows the back edge's shape and this package does not."""
    return any(graph[n].op == "Enter" for n in graph.ancestors([name]))


def test_a_loops_result_has_the_arrays_element_shape() -> None:
    tensorflow = tf.Graph()
    with tensorflow.as_default():
        while_loop()
    graph = from_bytes(tensorflow.as_graph_def().SerializeToString())
    assert str(Inference(graph).spec(Ref("stacked"))) == "float32[?,30,40,3]"


def test_lists_of_tensors_state_the_shape_of_their_elements() -> None:
    tensorflow, raw = tf.Graph(), tf.raw_ops
    with tensorflow.as_default():
        unknown = v1.placeholder(tf.int32, [2], "unknown")
        shapes = {"known": [30, 4], "half": [-1, 4], "none": -1, "open": unknown}
        for name, shape in shapes.items():
            made = raw.TensorListReserve(element_shape=shape, num_elements=5, element_dtype=tf.float32)
            raw.TensorListStack(input_handle=made, element_shape=shape, element_dtype=tf.float32, name=name)
            raw.TensorListGetItem(
                input_handle=made, index=0, element_shape=shape, element_dtype=tf.float32, name=f"{name}_item"
            )
        raw.TensorListStack(
            input_handle=made, element_shape=[3, 4], element_dtype=tf.float32, num_elements=5, name="five"
        )
    inference = Inference(from_bytes(tensorflow.as_graph_def().SerializeToString()))
    stacked = {name: str(inference.spec(Ref(name))) for name in (*shapes, "five")}
    assert stacked == {
        "known": "float32[?,30,4]",
        "half": "float32[?,?,4]",
        "none": "float32[...]",
        "open": "float32[?,?,?]",
        "five": "float32[5,3,4]",
    }
    items = [str(inference.spec(Ref(f"{name}_item"))) for name in shapes]
    assert items == ["float32[30,4]", "float32[?,4]", "float32[...]", "float32[?,?]"]
    for operation in tensorflow.get_operations():
        if operation.type in ("TensorListStack", "TensorListGetItem"):
            theirs = operation.outputs[0].shape
            ours = inference.spec(Ref(operation.name))
            assert theirs.rank is None or ours.compatible(TensorSpec.of(ours.dtype, *theirs.as_list()))


def test_a_value_in_a_loop_is_refused_with_i101() -> None:
    tensorflow = tf.Graph()
    with tensorflow.as_default():
        loop_without_arrays()
    graph = from_bytes(tensorflow.as_graph_def().SerializeToString())
    exits = [n.name for n in graph if n.op == "Exit"]
    inference = Inference(graph)
    assert inference.value(Ref(exits[0])) is None
    for name in [*exits, *(n.name for n in graph if n.op == "Merge")]:
        with pytest.raises(SurgeonError) as caught:
            evaluate(graph, [Ref(name)])
        assert caught.value.diagnostics[0].code == "I101"


@pytest.mark.parametrize("taken", [True, False])
def test_conditionals_follow_a_known_predicate(taken: bool) -> None:
    tensorflow = tf.Graph()
    with tensorflow.as_default():
        predicate = tf.constant(1) > (0 if taken else 2)
        image = v1.placeholder(tf.float32, [None])
        one = tf.constant([1.0, 2.0])
        # The branch not taken needs a placeholder, which must then not be asked for.
        out = (
            v1.cond(predicate, lambda: one * 3.0, lambda: image)
            if taken
            else v1.cond(predicate, lambda: image, lambda: one - 1.0)
        )
        constants = v1.cond(predicate, lambda: tf.constant([1, 2]), lambda: tf.constant([3, 4, 5]))
        nested = v1.cond(
            predicate,
            lambda: v1.cond(predicate, lambda: tf.constant(1), lambda: tf.constant(2)),
            lambda: tf.constant(3),
        )
        goal = [tf.identity(out), tf.identity(constants), tf.identity(nested)]
        with v1.Session(graph=tensorflow) as session:
            expected = session.run(goal, {image: [0.0]})
    graph = from_bytes(tensorflow.as_graph_def().SerializeToString())
    refs = [Ref(t.op.name) for t in goal]
    inference = Inference(graph)
    for ours, value in zip(evaluate(graph, refs), expected, strict=True):
        assert np.array_equal(ours, value)
    for ref, value in zip(refs, expected, strict=True):
        assert np.array_equal(inference.value(ref), value)
        assert inference.spec(ref).shape.dims == np.shape(value)
    # Negative control: with the predicate the other way round the answers differ.
    other = evaluate(graph, refs[1:], {Ref("Greater"): np.array(not taken)})
    assert not np.array_equal(other[0], expected[1])
    assert other[1] != expected[2]


def test_a_tensor_on_the_other_branch_is_i104() -> None:
    graph = parse_graph("""graph v1
x = Const() {dtype: float32, value: tensor<float32[]: 2.0>}
p = Const() {dtype: bool, value: tensor<bool[]: true>}
s = Switch(x, p) {T: float32}
n = Neg(s) {T: float32}
y = Neg(s:1) {T: float32}
""")
    assert evaluate(graph, [Ref("y")])[0] == -2.0
    with pytest.raises(SurgeonError) as caught:
        evaluate(graph, [Ref("n")])
    assert caught.value.diagnostics[0].code == "I104"


def test_ops_that_only_old_graphs_have() -> None:
    graph = parse_graph("""graph v1
x = Const() {dtype: float32, value: tensor<float32[2]: 2.0, 3.0>}
h = HostConst() {dtype: float32, value: tensor<float32[2]: 2.0, 3.0>}
p = Const() {dtype: bool, value: tensor<bool[]: true>}
ph = PlaceholderV2() {dtype: float32, shape: shape[1,2]}
e = RefEnter(x) {T: float32}
s = RefSwitch(x, p) {T: float32}
m = RefMerge(s, s:1) {N: 2, T: float32}
n = RefNextIteration(e) {T: float32}
o = RefExit(e) {T: float32}
""")
    inference = Inference(graph)
    for name in ("x", "h", "e", "s", "m", "n", "o"):
        assert str(inference.spec(Ref(name))) == "float32[2]", name
    assert str(inference.spec(Ref("ph"))) == "float32[1,2]"
    assert evaluate(graph, [Ref("h"), Ref("m")])[1].tolist() == [2.0, 3.0]
