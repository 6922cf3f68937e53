"""Calls of functions are replaced when a graph is read, and compute the same in TensorFlow."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from surgeon.formats.graphdef import load_graph, to_bytes
from surgeon.formats.graphdef.functions import inlined
from surgeon.formats.graphdef.protos import FunctionDefLibrary
from surgeon.graph import Graph, Ref, apply_edits, parse_graph, print_graph
from surgeon.graph.output_names import OUTPUT_NAMES, SEVERAL_LISTS
from surgeon.infer import known_ops
from surgeon.steps.for_inference import ForInference
from surgeon.steps.step import StepContext

tf = pytest.importorskip("tensorflow")
op_def_registry = pytest.importorskip("tensorflow.python.framework.op_def_registry")
v1 = tf.compat.v1

X = np.linspace(-2, 3, 24, dtype=np.float32).reshape(2, 3, 4)


@pytest.fixture(autouse=True)
def _control_flow_as_functions() -> Iterator[None]:
    v1.enable_control_flow_v2()
    yield


@tf.function(autograph=False)
def best(x: Any) -> Any:
    values, indices = tf.math.top_k(x, 2)
    return values * tf.constant(2.0), indices


@tf.function(autograph=False)
def halves(x: Any) -> Any:
    first, second = tf.split(x, 2, axis=2)
    values, indices = best(second)
    return first + 1.0, values, tf.cast(indices, tf.float32)


@tf.function(autograph=False)
def checked(x: Any) -> Any:
    tf.debugging.assert_less(x, 100.0)
    normal = v1.nn.fused_batch_norm(x[None], [1.0] * 4, [0.5] * 4, [0.1] * 4, [2.0] * 4, is_training=False)
    return normal[0]


@tf.function(autograph=False)
def constants() -> Any:
    return tf.constant(3.0)


def scalar(name: str, dtype: Any = tf.bool) -> Any:
    return v1.placeholder(dtype, [], name=name)


def in_a_branch(x: Any) -> Any:
    v1.disable_control_flow_v2()
    picked = v1.cond(
        tf.reduce_max(x) > scalar("limit", tf.float32),
        lambda: constants() + x,
        lambda: best(x)[0][..., :1] + x,
    )
    v1.enable_control_flow_v2()
    return picked


TRAINING = {"training": False}


@dataclass(frozen=True)
class Case:
    """A way to call functions; ``gone`` are operations of which none is left."""

    name: str
    build: Callable[[Any], Any]
    gone: tuple[str, ...]
    feeds: tuple[dict[str, Any], ...] = ({},)


CALLS = ("PartitionedCall", "StatefulPartitionedCall")
BRANCHES = (*CALLS, "If", "StatelessIf")
BOTH = ({"training": False}, {"training": True})
CASES = [
    Case("one in another, several outputs", lambda x: tf.concat(halves(x), 2), CALLS),
    Case("a check and a normalization", checked, CALLS),
    Case("no input", lambda x: x * constants(), CALLS),
    Case("in a branch", in_a_branch, CALLS, ({"limit": -5.0}, {"limit": 50.0})),
    Case(
        "a conditional on a switch",
        lambda x: tf.cond(scalar("training"), lambda: x * 2.0, lambda: x + 3.0),
        BRANCHES,
        BOTH,
    ),
    Case(
        "a conditional in a conditional, with calls",
        lambda x: tf.cond(
            (t := scalar("training")),
            lambda: constants() + x,
            lambda: tf.cond(tf.logical_not(t), lambda: best(x)[0][..., :1] + x, lambda: tf.identity(x)),
        ),
        BRANCHES,
        BOTH,
    ),
    Case(
        "branches of constants",
        lambda x: x * tf.cond(scalar("training"), lambda: tf.constant(2.0), lambda: tf.constant(0.5)),
        BRANCHES,
        BOTH,
    ),
    Case(
        "a switch with a default",
        lambda x: tf.cond(
            v1.placeholder_with_default(False, [], "training"), lambda: x * 2.0, lambda: checked(x)[0]
        ),
        CALLS,
        (*BOTH, {}),
    ),
]


def written(build: Callable[[Any], Any], folder: Path) -> Path:
    with tf.Graph().as_default() as graph:
        x = v1.placeholder(tf.float32, [None, 3, 4], name="x")
        tf.identity(build(x), name="out")
    path = folder / "graph.pb"
    path.write_bytes(graph.as_graph_def().SerializeToString())
    return path


def compute(data: bytes, feeds: dict[str, Any]) -> Any:
    with tf.Graph().as_default() as target:
        tf.import_graph_def(v1.GraphDef.FromString(data), name="")
        with v1.Session(graph=target) as session:
            return session.run("out:0", {f"{name}:0": value for name, value in feeds.items()})


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_call_becomes_what_it_calls(case: Case, tmp_path: Path) -> None:
    path = written(case.build, tmp_path)
    graph = load_graph(path)
    assert not any(node.op in case.gone for node in graph), print_graph(graph)
    assert bool(graph.library) == any(node.op in BRANCHES for node in graph)
    for feeds in case.feeds:
        given = {"x": X, **feeds}
        np.testing.assert_array_equal(compute(to_bytes(graph), given), compute(path.read_bytes(), given))


def test_the_branch_for_inference_is_left(tmp_path: Path) -> None:
    def build(x: Any) -> Any:
        return tf.cond(scalar("training"), lambda: tf.nn.dropout(x, 0.5), lambda: tf.identity(x)) * 2.0

    path = written(build, tmp_path)
    graph = load_graph(path).replace(outputs=[Ref("out")])
    step = ForInference.model_validate({"step": "for-inference", "constants": TRAINING})
    after = apply_edits(graph, step.plan(StepContext(graph)))
    assert sorted(node.op for node in after) == ["Const", "Identity", "Mul", "Placeholder"]
    given = {"x": X, **TRAINING}
    np.testing.assert_array_equal(compute(to_bytes(after), {"x": X}), compute(path.read_bytes(), given))


@pytest.mark.parametrize(
    ("build", "op"),
    [
        (lambda x: tf.cond(tf.reduce_max(x) > 1.0, lambda: x * 2.0, lambda: x + 3.0), "StatelessIf"),
        (
            lambda x: tf.while_loop(lambda y: tf.reduce_max(y) < 9.0, lambda y: (y * 2.0,), [x])[0],
            "StatelessWhile",
        ),
    ],
)
def test_a_conditional_on_data_and_a_loop_stay(build: Callable[[Any], Any], op: str, tmp_path: Path) -> None:
    path = written(build, tmp_path)
    graph = load_graph(path)
    assert any(node.op == op for node in graph) and graph.library
    np.testing.assert_array_equal(compute(to_bytes(graph), {"x": X}), compute(path.read_bytes(), {"x": X}))


def test_a_check_of_tensorflow_2_goes(tmp_path: Path) -> None:
    graph = load_graph(written(checked, tmp_path)).replace(outputs=[Ref("out")])
    assert any(node.op == "If" for node in graph)
    step = ForInference.model_validate({"step": "for-inference"})
    after = apply_edits(graph, step.plan(StepContext(graph)))
    assert not any(node.op in ("If", "Assert", "Less") for node in after)
    np.testing.assert_array_equal(compute(to_bytes(after), {"x": X}), compute(to_bytes(graph), {"x": X}))


def called(body: str, changes: Callable[[Any], None] = lambda function: None) -> Graph:
    """Return a graph that calls the function 'f(a)', whose output is 'r', a node of ``body``'s operation."""
    library = FunctionDefLibrary()
    function = library.function.add()
    function.signature.name = "f"
    for arguments, name in ((function.signature.input_arg, "a"), (function.signature.output_arg, "b")):
        argument = arguments.add()
        argument.name, argument.type = name, 1
    node = function.node_def.add()
    node.name, node.op = "r", body
    node.input.append("a")
    node.attr["T"].type = 1
    function.ret["b"] = "r:y:0"
    changes(function)
    text = "graph v1\nx = Placeholder() {dtype: float32}\ny = PartitionedCall(x) {Tin: [float32], Tout: [float32], f: func(f) {}}\n"
    graph = parse_graph(text)
    return Graph(graph, library=library.SerializeToString())


def _implements(function: Any) -> None:
    function.attr["_implements"].s = b"TFLite_Detection_PostProcess"


def _calls_itself(function: Any) -> None:
    function.node_def[0].attr["f"].func.name = "f"


def test_what_cannot_be_read_or_stands_for_something_else_stays_a_call() -> None:
    graph = called("Relu")
    assert [node.op for node in inlined(graph)] == ["Placeholder", "Relu", "Identity"]
    by_name = graph.replace([replace(node, op="f") if node.name == "y" else node for node in graph])
    assert [node.op for node in inlined(by_name)] == ["Placeholder", "Relu", "Identity"]
    for graph in (called("Relu", _implements), called("OperationOfMine")):
        assert inlined(graph) == graph


def test_a_library_that_nothing_calls_stays() -> None:
    graph = called("Relu")
    unused = graph.replace([node for node in graph if node.name != "y"])
    assert inlined(unused) is unused and unused.library


def test_a_function_that_calls_itself_ends() -> None:
    def changes(function: Any) -> None:
        _calls_itself(function)
        for key in ("Tin", "Tout"):
            function.node_def[0].attr[key].list.type.append(1)
        function.ret["b"] = "r:output:0"

    graph = inlined(called("PartitionedCall", changes))
    assert len(graph) < 100 and any(node.op == "PartitionedCall" for node in graph)


def test_output_names_are_tensorflows() -> None:
    several = {}
    for op in {*known_ops(), *OUTPUT_NAMES}:
        names = tuple(each.name for each in op_def_registry.get(op).output_arg)
        if len(names) > 1 and op not in SEVERAL_LISTS:
            several[op] = names
    assert several == dict(OUTPUT_NAMES)
