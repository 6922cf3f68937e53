"""TensorFlow's runner: weights that stay in their file, and sessions that are closed."""

from __future__ import annotations

import gc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from surgeon import Graph, Ref, SurgeonError
from surgeon.formats.graphdef import load_graph, save_graph, to_bytes
from surgeon.formats.graphdef.reader import from_bytes
from surgeon.graph import DType, Node, Shape, TensorRef, TensorValue
from surgeon.runners.tensorflow import TensorFlowRunner

pytest.importorskip("tensorflow", reason="graphs run in TensorFlow")

WEIGHTS = np.random.default_rng(7).normal(size=(16, 40)).astype(np.float32)
X = np.random.default_rng(8).normal(size=(2, 16)).astype(np.float32)


def multiplied(weights: np.ndarray = WEIGHTS, tie: str = "") -> Graph:
    """Return ``relu(x) @ w``; with ``tie`` the weights wait for a node."""
    value = TensorValue.of(weights)
    kind = value.dtype
    return Graph(
        [
            Node("x", "Placeholder", attrs={"dtype": kind, "shape": Shape.of(None, 16)}),
            Node("relu", "Relu", (Ref("x"),), attrs={"T": kind}),
            Node("w", "Const", (), (tie,) if tie else (), {"dtype": kind, "value": value}),
            Node("y", "MatMul", (Ref("relu"), Ref("w")), attrs={"T": kind}),
        ],
        [Ref("y")],
    )


@pytest.fixture
def in_file(tmp_path: Path) -> Callable[[Graph], Graph]:
    """Give a function that returns a graph with its weights in a file."""

    def saved(graph: Graph) -> Graph:
        save_graph(graph, tmp_path / "model.pb")
        loaded = load_graph(tmp_path / "model.pb")
        assert isinstance(loaded["w"].attrs["value"], TensorRef)
        return loaded.replace(outputs=graph.outputs)

    return saved


def loaded_bytes(runner: TensorFlowRunner) -> int:
    return int(runner._session.graph.as_graph_def().ByteSize())


@pytest.mark.parametrize("tie", ["", "relu"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16])
def test_weights_in_a_file_count_as_those_in_the_graph(
    dtype: type, tie: str, in_file: Callable[[Graph], Graph]
) -> None:
    graph = in_file(multiplied(WEIGHTS.astype(dtype), tie))
    with TensorFlowRunner(graph, graph.outputs) as runner:
        found = runner.run({"x": X.astype(dtype)})["y"]
        assert list(runner.inputs) == ["x"]
        assert (loaded_bytes(runner) > WEIGHTS.astype(dtype).nbytes) is bool(tie)
    held = from_bytes(to_bytes(graph)).replace(outputs=graph.outputs)
    with TensorFlowRunner(held, held.outputs) as runner:
        np.testing.assert_array_equal(found, runner.run({"x": X.astype(dtype)})["y"])
    assert np.abs(found - np.maximum(X, 0) @ WEIGHTS).max() < 0.1


def test_other_weights_give_other_numbers(in_file: Callable[[Graph], Graph]) -> None:
    found = []
    for weights in (WEIGHTS, WEIGHTS * np.float32(1.01)):
        graph = in_file(multiplied(weights))
        with TensorFlowRunner(graph, graph.outputs) as runner:
            found.append(runner.run({"x": X})["y"])
    np.testing.assert_allclose(found[1], found[0] * 1.01, rtol=1e-5)
    assert np.abs(found[1] - found[0]).max() > 1e-2


def test_weights_are_fetched_and_replaced(in_file: Callable[[Graph], Graph]) -> None:
    graph = in_file(multiplied())
    with TensorFlowRunner(graph, [*graph.outputs, Ref("w")]) as runner:
        values = runner.fetch([Ref("y"), Ref("w")], {Ref("x"): X})
        np.testing.assert_array_equal(values[Ref("w")], WEIGHTS)
        other = runner.fetch([Ref("y")], {Ref("relu"): X, Ref("w"): np.zeros_like(WEIGHTS)})
        assert not other[Ref("y")].any()


def test_one_of_two_outputs_may_be_fed(in_file: Callable[[Graph], Graph]) -> None:
    kind = DType.FLOAT32
    axis = Node("axis", "Const", attrs={"dtype": DType.INT32, "value": TensorValue.of(np.int32(1))})
    halves = Node("halves", "Split", (Ref("axis"), Ref("y")), attrs={"T": kind, "num_split": 2})
    total = Node("total", "Add", (Ref("halves"), Ref("halves", 1)), attrs={"T": kind})
    graph = in_file(Graph([*multiplied(), axis, halves, total], [Ref("total")]))
    with TensorFlowRunner(graph, graph.outputs) as runner:
        zeros = np.zeros((2, 20), np.float32)
        found = runner.fetch(graph.outputs, {Ref("x"): X, Ref("halves"): zeros})[Ref("total")]
        np.testing.assert_allclose(found, (np.maximum(X, 0) @ WEIGHTS)[:, 20:], rtol=1e-4, atol=1e-5)


def test_a_session_is_closed_by_name_and_with_its_runner() -> None:
    graph = multiplied()
    runner = TensorFlowRunner(graph, graph.outputs)
    runner.close()
    runner.close()
    with pytest.raises(SurgeonError, match=r"V106.*closed"):
        runner.run({"x": X})
    runner = TensorFlowRunner(graph, graph.outputs)
    session = runner._session
    del runner
    gc.collect()
    with pytest.raises(RuntimeError, match="closed"):
        session.run("y:0", {"x:0": X})
