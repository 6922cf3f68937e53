"""Steps that must not change what a graph computes, judged by TensorFlow."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from surgeon.formats.graphdef import from_bytes, to_bytes
from surgeon.graph import Graph, Ref, apply_edits
from surgeon.steps.step import StepContext, step_types

tf = pytest.importorskip("tensorflow")

STEPS: list[dict[str, Any]] = [
    {"step": "remove-asserts"},
    {"step": "forward-identities"},
    {"step": "replace-op", "from": "AddV2", "to": "Add"},
    {"step": "replace-op", "from": "FusedBatchNormV3", "to": "FusedBatchNorm"},
    {"step": "rename", "nodes": {"body": "renamed"}},
    {"step": "fold-constants"},
    {"step": "pin-batch", "batch": 2},
    {"step": "prune"},
]


@pytest.fixture(scope="module")
def model() -> Graph:
    """A graph with a loop, a conditional, checks, identities, constant arithmetic and a reshape by tf.shape."""
    v1 = tf.compat.v1
    with tf.Graph().as_default() as graph:
        v1.disable_control_flow_v2()
        x = v1.placeholder(tf.float32, [None, 2, 3], name="x")
        flag = v1.placeholder(tf.bool, [], name="flag")
        with tf.name_scope("body"):
            scale = tf.identity(tf.constant(2.0)) * tf.constant([1.0, 2.0, 3.0])

            def step(i: Any, y: Any) -> Any:
                check = v1.assert_less(i, 10)
                with tf.control_dependencies([check]):
                    return i + 1, tf.identity(y * scale) + tf.constant(1.0)

            _, looped = v1.while_loop(lambda i, y: i < 3, step, [tf.constant(0), tf.identity(x)])
            picked = v1.cond(
                flag, lambda: tf.identity(looped) + 1.0, lambda: tf.constant([5.0, 6.0, 7.0]) * looped
            )
            norm = v1.nn.fused_batch_norm(
                picked[:, :, tf.newaxis],
                [1.0, 1.0, 1.0],
                [0.0, 0.0, 0.0],
                [0.1, 0.2, 0.3],
                [1.0, 2.0, 3.0],
                is_training=False,
            )[0]
            flat = tf.reshape(norm, tf.stack([tf.shape(norm)[0], -1]))
        tf.identity(flat, name="out")
        v1.enable_control_flow_v2()
    return from_bytes(graph.as_graph_def().SerializeToString())


def compute(graph: Graph, flag: bool) -> Any:
    definition = tf.compat.v1.GraphDef()
    definition.ParseFromString(to_bytes(graph))
    feed = {"x:0": np.linspace(-1, 1, 12, dtype=np.float32).reshape(2, 2, 3), "flag:0": flag}
    with tf.Graph().as_default() as target:
        tf.import_graph_def(definition, name="")
        with tf.compat.v1.Session(graph=target) as session:
            return session.run("out:0", feed)


def take(graph: Graph, declaration: dict[str, Any]) -> Graph:
    step = step_types()[declaration["step"]].model_validate(declaration)
    return apply_edits(graph, step.plan(StepContext(graph)))


def test_the_results_stay_bit_for_bit(model: Graph) -> None:
    graph = model.replace(outputs=[Ref("out")])
    expected = [compute(graph, flag) for flag in (True, False)]
    assert expected[0].shape == (2, 6) and not np.array_equal(*expected)
    for declaration in STEPS:
        changed = take(graph, declaration)
        assert changed != graph, declaration
        graph = changed
        for flag, wanted in zip((True, False), expected, strict=True):
            np.testing.assert_array_equal(compute(graph, flag), wanted, str(declaration))


def test_the_comparison_sees_a_wrong_edit(model: Graph) -> None:
    """Negative control: forwarding a multiplication changes the result."""
    graph = model.replace(outputs=[Ref("out")])
    wrong = take(graph, {"step": "forward", "nodes": [{"op": "Mul", "path": "body/while/.*"}]})
    assert not np.array_equal(compute(wrong, True), compute(graph, True))
