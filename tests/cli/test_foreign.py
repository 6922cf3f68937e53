"""Detectors that another tool has changed: the verbs name the cause, and what to give instead."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

import surgeon
from surgeon.diagnostics import SurgeonError
from surgeon.formats.graphdef import load_graph, save_graph
from surgeon.graph import DType, Graph, Node, Ref


def through_tf_trt(graph: Graph) -> Graph:
    """Return a detector whose feature extractor is one engine of TF-TRT."""
    inside = {node.name for node in graph if node.name.startswith("FeatureExtractor/")}
    read = {ref: None for node in graph for ref in node.inputs if ref.node in inside}
    maps = [ref for ref in read if any(name not in inside for name, _ in graph.data_readers(ref))]
    segment = Node(
        "TRTEngineOp_0",
        "TRTEngineOp",
        (Ref("Preprocessor/sub"),),
        attrs={
            "InT": (DType.FLOAT32,),
            "OutT": (DType.FLOAT32,) * len(maps),
            "serialized_segment": b"\0" * 64,
        },
    )
    slots = {ref: Ref(segment.name, slot) for slot, ref in enumerate(maps)}
    kept = [
        node.with_inputs(
            tuple(slots.get(ref, ref) for ref in node.inputs),
            tuple(name for name in node.control if name not in inside),
        )
        for node in graph
        if node.name not in inside
    ]
    return graph.replace([*kept, segment]).check()


def for_tensorflow_lite(graph: Graph) -> Graph:
    """Return a detector whose postprocessing is the operation of TensorFlow Lite."""
    kept = graph.ancestors(["Squeeze", "concat_1", "Concatenate/concat"])
    nodes = [node for node in graph if node.name in kept]
    inputs = (Ref("Squeeze"), Ref("concat_1"), Ref("Concatenate/concat"))
    return graph.replace(
        [*nodes, Node("TFLite_Detection_PostProcess", "TFLite_Detection_PostProcess", inputs)]
    )


CHANGES: dict[str, tuple[Callable[[Graph], Graph], str]] = {
    "TF-TRT": (through_tf_trt, "give the graph from before TF-TRT"),
    "TensorFlow Lite": (for_tensorflow_lite, "start from frozen_inference_graph.pb"),
}


@pytest.mark.parametrize("kind", CHANGES)
def test_every_verb_names_the_cause(kind: str, run, zoo_graph, tmp_path: Path) -> None:
    change, instead = CHANGES[kind]
    model, output = tmp_path / "model.pb", tmp_path / "out"
    save_graph(change(zoo_graph()), model)

    shown = run("inspect", model)
    assert shown.code == 0 and "warning[G118]" in shown.err and instead in shown.err
    assert "recipes that fit" not in shown.out and "next:" not in shown.out
    assert [each["code"] for each in run("inspect", model, "--json").json["diagnostics"]] == ["G118"]
    for verb in (
        ["init", model],
        ["check", "ssd", model],
        ["plan", "ssd", model],
        ["convert", "ssd", model, "-o", f"{output}.uff"],
        ["convert", "ssd", model, "-o", f"{output}.onnx"],
        ["verify", "ssd", model],
    ):
        ran = run(*verb)
        assert ran.code == 1 and instead in ran.err, verb
        assert ran.err.index("warning[G118]") < ran.err.index("error["), verb
    assert not list(tmp_path.glob("out*"))


def test_a_recipe_that_keeps_the_engine_is_told_the_cause(run, zoo_graph, tmp_path: Path) -> None:
    """With numbers typed in, nothing is derived from the graph; the operation itself is what fails."""
    save_graph(through_tf_trt(zoo_graph()), tmp_path / "model.pb")
    (tmp_path / "cut.yaml").write_text(
        "recipe: 1\nname: cut\nnodes:\n  Input: {op: Placeholder, like: Preprocessor/sub}\n"
        "namespaces: {Preprocessor: Input, image_tensor: Input, ToFloat?: Input, Cast?: Input}\n"
        "outputs: [BoxPredictor_0/BoxEncodingPredictor/BiasAdd]\n"
    )
    ran = run("convert", tmp_path / "cut.yaml", tmp_path / "model.pb", "-o", tmp_path / "out.uff")
    assert ran.code == 1 and "warning[G118]" in ran.err and "TRTEngineOp" in ran.err
    assert not (tmp_path / "out.uff").exists()


def test_a_graph_for_inference_has_no_remark(run, zoo_ssd) -> None:
    found = run("inspect", zoo_ssd("2018", height=96, width=96, depth_multiplier=0.125), "--json").json
    assert found["diagnostics"] == [] and "ssd" in [fit["recipe"] for fit in found["fits"]]


def test_a_training_graph_with_variables(tmp_path: Path) -> None:
    nodes = [
        Node("x", "Placeholder", attrs={"dtype": DType.FLOAT32}),
        Node("w", "VariableV2", attrs={"dtype": DType.FLOAT32}),
        Node("y", "Mul", (Ref("x"), Ref("w")), attrs={"T": DType.FLOAT32}),
        Node("train", "ApplyGradientDescent", (Ref("w"), Ref("x"), Ref("y")), attrs={"T": DType.FLOAT32}),
    ]
    save_graph(Graph(nodes), tmp_path / "graph.pb")
    with pytest.raises(SurgeonError) as caught:
        load_graph(tmp_path / "graph.pb")
    assert [each.code for each in caught.value.diagnostics] == ["G118", "G102"]
    assert "export the model for inference" in str(caught.value)


def test_a_saved_model_for_tensorflow_lite_is_refused(tmp_path: Path) -> None:
    tf = pytest.importorskip("tensorflow")

    @tf.function(experimental_implements='name: "TFLite_Detection_PostProcess"')
    def detections(boxes):
        return tf.zeros([1, 10, 4]) + 0.0 * tf.reduce_sum(boxes)

    class Model(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec([1, 8, 4], tf.float32, name="x")])
        def detect(self, x):
            return {"boxes": detections(x)}

    model = Model()
    tf.saved_model.save(model, str(tmp_path), signatures=model.detect)
    with pytest.raises(SurgeonError) as caught:
        load_graph(tmp_path)
    (found,) = caught.value.diagnostics
    assert found.code == "G118" and "exporter_main_v2.py" in " ".join(found.help)


def test_recipes_that_fit_can_be_planned(run, zoo_graph, tmp_path: Path) -> None:
    """Names alone are no fit: the same graph with a wrong number in its middle."""
    graph = zoo_graph()
    model = tmp_path / "model.pb"
    save_graph(graph, model)
    good = [fit.recipe for fit in surgeon.inspect(model).fits]
    assert "ssd" in good
    for name in good:
        assert surgeon.plan(name, model).result is not None
    taken = next(node for node in graph if node.op == "Conv2D" and node.name.startswith("BoxPredictor_0"))
    save_graph(
        graph.replace(replace(node, op="Mystery") if node.name == taken.name else node for node in graph),
        model,
    )
    left = [fit.recipe for fit in surgeon.inspect(model).fits]
    assert "ssd" not in left and len(left) < len(good)
    with pytest.raises(SurgeonError):
        surgeon.plan("ssd", model)
