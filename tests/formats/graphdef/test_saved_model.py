"""SavedModel folders of TensorFlow 1 and 2."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from surgeon.diagnostics import SurgeonError
from surgeon.formats.graphdef import load_graph, to_bytes
from surgeon.formats.graphdef.saved_model import load_saved_model
from surgeon.graph import Func, Graph

tf = pytest.importorskip("tensorflow")

FUNCTIONAL = {
    "While",
    "StatelessWhile",
    "If",
    "StatelessIf",
    "Case",
    "PartitionedCall",
    "StatefulPartitionedCall",
}
X = np.array([[0.5, -1.5, 2.0], [3.0, 0.25, -0.75]], np.float32)
WEIGHTS = np.arange(9, dtype=np.float32).reshape(3, 3)


def run(graph: Graph, feeds: dict[str, Any]) -> list[Any]:
    """Run a frozen graph in TensorFlow."""
    definition = tf.compat.v1.GraphDef.FromString(to_bytes(graph))
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        tf.compat.v1.import_graph_def(definition, name="")
        fetches = [f"{ref.node}:{ref.slot}" for ref in graph.outputs]
        return list(session.run(fetches, {f"{key}:0": value for key, value in feeds.items()}))


def expected(x: np.ndarray) -> np.ndarray:
    total = x @ WEIGHTS
    for _ in range(4):
        total = total * 2 + 1
    return total if total.sum() > 0 else -total


def assert_plain(graph: Graph) -> None:
    assert not FUNCTIONAL & {node.op for node in graph}
    assert not any(isinstance(value, Func) for node in graph for value in node.attrs.values())
    assert not graph.library
    assert graph.check() is graph


@pytest.fixture(scope="module")
def tf2_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model with a variable, a nested function, a while loop, a cond, and two signatures."""

    class Model(tf.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weights = tf.Variable(WEIGHTS)

        @tf.function
        def product(self, x: Any) -> Any:
            return tf.matmul(x, self.weights)

        @tf.function(input_signature=[tf.TensorSpec([None, 3], tf.float32, name="x")])
        def detect(self, x: Any) -> Any:
            total = self.product(x)
            for _ in tf.range(4):
                total = total * 2.0 + 1.0
            if tf.reduce_sum(total) > 0:
                out = total
            else:
                out = -total
            return {"scores": out, "boxes": tf.identity(x)}

        @tf.function(input_signature=[tf.TensorSpec([None, 3], tf.float32, name="x")])
        def twice(self, x: Any) -> Any:
            return {"out": x * 2.0}

    folder = tmp_path_factory.mktemp("tf2")
    model = Model()
    tf.saved_model.save(
        model, str(folder), signatures={"serving_default": model.detect, "twice": model.twice}
    )
    return folder


def tf1_model(
    folder: Path,
    build: Callable[[Any], tuple[Any, Any]],
    signature: str = "serving_default",
    tag: str = "serve",
) -> Path:
    v1 = tf.compat.v1
    with tf.Graph().as_default(), v1.Session() as session:
        x, out = build(v1)
        session.run(v1.global_variables_initializer())
        builder = v1.saved_model.builder.SavedModelBuilder(str(folder))
        made = v1.saved_model.predict_signature_def({"x": x}, {"scores": out})
        builder.add_meta_graph_and_variables(session, [tag], {signature: made})
        builder.save()
    return folder


def loop(v1: Any) -> tuple[Any, Any]:
    x = v1.placeholder(tf.float32, [None, 3], name="input")
    weights = v1.get_variable("weights", initializer=WEIGHTS, use_resource=False)
    total = tf.matmul(x, weights)
    _, total = tf.while_loop(lambda i, t: i < 4, lambda i, t: (i + 1, t * 2.0 + 1.0), [0, total])
    return x, tf.cond(tf.reduce_sum(total) > 0, lambda: total, lambda: -total)


def test_a_tf2_model_is_frozen_inlined_and_lowered(tf2_model: Path) -> None:
    graph = load_saved_model(tf2_model)
    assert_plain(graph)
    assert any(node.op in ("Switch", "Merge", "NextIteration") for node in graph)
    boxes, scores = run(graph, {"serving_default_x": X})
    np.testing.assert_array_equal(boxes, X)
    np.testing.assert_allclose(scores, expected(X), rtol=1e-6)
    negative = run(graph, {"serving_default_x": -X - 5})[1]
    np.testing.assert_allclose(negative, expected(-X - 5), rtol=1e-6)
    assert not np.allclose(negative, scores)


def test_the_outputs_have_the_keys_of_the_signature(tf2_model: Path) -> None:
    graph = load_saved_model(tf2_model)
    assert [str(ref) for ref in graph.outputs] == ["boxes", "scores"]
    assert [graph[ref.node].op for ref in graph.outputs] == ["Identity", "Identity"]
    assert [str(ref) for ref in load_saved_model(tf2_model, signature="twice").outputs] == ["out"]


def test_an_output_keeps_its_own_name_where_that_is_the_key(tmp_path: Path) -> None:
    def build(v1: Any) -> tuple[Any, Any]:
        x = v1.placeholder(tf.float32, [None, 3], name="input")
        return x, tf.multiply(x, 2.0, name="scores")

    graph = load_saved_model(tf1_model(tmp_path / "model", build))
    assert [str(ref) for ref in graph.outputs] == ["scores"]
    assert [node.op for node in graph if node.op == "Identity"] == []


def test_a_key_that_another_node_has_gets_a_number(tmp_path: Path) -> None:
    def build(v1: Any) -> tuple[Any, Any]:
        x = v1.placeholder(tf.float32, [None, 3], name="input")
        return x, tf.negative(tf.multiply(x, 2.0, name="scores"), name="y")

    graph = load_saved_model(tf1_model(tmp_path / "model", build))
    assert [str(ref) for ref in graph.outputs] == ["scores_1"]
    np.testing.assert_array_equal(run(graph, {"input": X})[0], X * -2)


def test_a_key_that_cannot_name_a_node_is_written_so_that_it_can(tmp_path: Path) -> None:
    class Model(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec([None, 3], tf.float32, name="x")])
        def both(self, x: Any) -> Any:
            return {"the scores": x * 2.0, "_hidden": -x}

    model = Model()
    tf.saved_model.save(model, str(tmp_path), signatures={"serving_default": model.both})
    graph = load_saved_model(tmp_path)
    assert [str(ref) for ref in graph.outputs] == ["output_hidden", "the_scores"]
    hidden, scores = run(graph, {"serving_default_x": X})
    np.testing.assert_array_equal(hidden, -X)
    np.testing.assert_array_equal(scores, X * 2)


def test_load_graph_reads_a_folder(tf2_model: Path) -> None:
    assert load_graph(tf2_model) == load_saved_model(tf2_model)


def test_a_signature_by_name(tf2_model: Path) -> None:
    graph = load_saved_model(tf2_model, signature="twice")
    assert len(graph.outputs) == 1
    np.testing.assert_array_equal(run(graph, {"twice_x": X})[0], X * 2)
    assert not any(node.op in ("MatMul", "Switch") for node in graph)


@pytest.mark.parametrize("flow", ["nodes", "functions"])
def test_a_tf1_model_is_frozen(flow: str, tmp_path: Path) -> None:
    v1 = tf.compat.v1
    (v1.enable_control_flow_v2 if flow == "functions" else v1.disable_control_flow_v2)()
    try:
        folder = tf1_model(tmp_path / "model", loop, signature="detect")
    finally:
        v1.enable_control_flow_v2()
    graph = load_saved_model(folder)
    assert_plain(graph)
    np.testing.assert_allclose(run(graph, {"input": X})[0], expected(X), rtol=1e-6)


def test_a_function_that_must_stay_is_named(tmp_path: Path) -> None:
    def build(v1: Any) -> tuple[Any, Any]:
        x = v1.placeholder(tf.float32, [3], name="input")
        data = tf.data.Dataset.from_tensor_slices(x).map(lambda value: value * 2.0)
        return x, data.reduce(tf.constant(0.0), lambda total, value: total + value)

    folder = tf1_model(tmp_path / "model", build)
    with pytest.raises(SurgeonError) as caught:
        load_saved_model(folder)
    (found,) = caught.value.diagnostics
    assert found.code == "G114"
    assert "Dataset" in found.message and "cannot be inlined" in found.message


def test_a_missing_signature_lists_those_there_are(tf2_model: Path) -> None:
    with pytest.raises(SurgeonError) as caught:
        load_saved_model(tf2_model, signature="twise")
    (found,) = caught.value.diagnostics
    assert found.code == "G115"
    assert found.notes == ("it has 'serving_default', 'twice'", "nearest: 'twice'")


def test_missing_tags_list_those_there_are(tmp_path: Path) -> None:
    folder = tf1_model(tmp_path / "model", loop, tag="train")
    with pytest.raises(SurgeonError) as caught:
        load_saved_model(folder)
    (found,) = caught.value.diagnostics
    assert (found.code, found.notes) == ("G115", ("it has ('train')",))
    assert load_saved_model(folder, tags=("train",)).outputs


@pytest.mark.parametrize("damage", ["empty", "random", "truncated", "variables"])
def test_what_tensorflow_cannot_load_says_why_in_one_line(
    damage: str, tf2_model: Path, tmp_path: Path
) -> None:
    data = (tf2_model / "saved_model.pb").read_bytes()
    content = {
        "empty": b"",
        "random": b"\x07\xff\x13",
        "truncated": data[: len(data) // 2],
        "variables": data,
    }[damage]
    (tmp_path / "saved_model.pb").write_bytes(content)
    with pytest.raises(SurgeonError) as caught:
        load_saved_model(tmp_path)
    (found,) = caught.value.diagnostics
    assert found.code in (("G116",) if damage != "empty" else ("G115", "G116"))
    assert "\n" not in found.message


@pytest.mark.parametrize(
    ("names", "hint"),
    [
        ((), "it is empty"),
        (
            ("model.ckpt.index", "model.ckpt.meta", "model.ckpt.data-00000-of-00001"),
            "freeze it with the script that exports the model",
        ),
        (("frozen_inference_graph.pb", "label_map.pbtxt"), "frozen_inference_graph.pb'"),
        (("saved_model/saved_model.pb",), "saved_model'"),
        (tuple(f"picture{i}.jpg" for i in range(9)), "'picture4.jpg' and 4 more"),
    ],
)
def test_a_folder_without_a_saved_model_says_what_it_holds(
    names: tuple[str, ...], hint: str, tmp_path: Path
) -> None:
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    with pytest.raises(SurgeonError) as caught:
        load_graph(tmp_path)
    (found,) = caught.value.diagnostics
    assert found.code == "E102"
    assert hint in found.render()


def test_a_folder_whose_variables_are_written_meanwhile_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tensorflow.python.grappler import tf_optimizer

    folder = tf1_model(tmp_path / "model", loop)
    (variables,) = (folder / "variables").glob("*.data-*")
    optimize = tf_optimizer.OptimizeGraph

    def writing(*args: Any) -> Any:
        with variables.open("ab") as handle:
            handle.write(b"\0")
        return optimize(*args)

    assert len(load_saved_model(folder))
    monkeypatch.setattr(tf_optimizer, "OptimizeGraph", writing)
    with pytest.raises(SurgeonError, match="E107") as exc:
        load_saved_model(folder)
    assert str(variables) in exc.value.diagnostics[0].message
