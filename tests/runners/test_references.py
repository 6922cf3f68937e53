"""Runners: TensorFlow for ordinary operations, references for plugins, batch by batch and each part once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import surgeon
from surgeon import Graph, Ref, SurgeonError
from surgeon.catalog import Catalog, load_catalog
from surgeon.formats.graphdef import from_bytes
from surgeon.graph import parse_graph
from surgeon.runners.references import ReferenceRunner
from surgeon.runners.tensorflow import TensorFlowRunner
from surgeon.zoo import build_lenet

pytest.importorskip("tensorflow", reason="ordinary operations run in TensorFlow")

CHAIN = """\
graph v1
outputs: sum
x = Placeholder() {dtype: float32, shape: shape[1,4]}
two = Const() {dtype: float32, value: tensor<float32[]: 2.0>}
double = Mul(x, two) {T: float32}
low = CustomClipPlugin(double) {clipMin: -1.0, clipMax: 1.0}
mixed = Mul(low, double) {T: float32}
high = CustomClipPlugin(mixed) {clipMin: 0.0, clipMax: 5.0}
sum = Add(high, double) {T: float32}
aside = CustomClipPlugin(x) {clipMin: 0.0, clipMax: 1.0}
"""

TWICE = """\
title: Twice the input
summary: Multiplies by two.
library: own
inputs:
  - {name: input, summary: any tensor}
outputs:
  - {name: output, summary: the same shape}
fields: {}
sources: [own]
"""


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    """Give the plugins of the package."""
    return load_catalog()


def expected(x: np.ndarray) -> np.ndarray:
    double = x * np.float32(2)
    return np.clip(np.clip(double, -1, 1) * double, 0, 5) + double


@pytest.mark.parametrize("batch", [1, 5])
def test_a_graph_is_run_through_its_plugins(catalog: Catalog, batch: int) -> None:
    runner = ReferenceRunner(parse_graph(CHAIN), catalog)
    x = np.random.default_rng(0).normal(0, 3, (batch, 4)).astype(np.float32)
    found = runner.execute({Ref("x"): x})
    np.testing.assert_array_equal(found[Ref("sum")], expected(x))
    assert [node.name for node in runner.plugins] == ["low", "high"]
    assert list(runner.inputs) == ["x"] and str(runner.inputs["x"]) == "float32[1,4]"
    assert np.abs(found[Ref("sum")] - 2 * x).max() > 1


def test_no_operation_on_the_input_runs_twice(catalog: Catalog, monkeypatch: pytest.MonkeyPatch) -> None:
    runs: list[tuple[list[str], list[str]]] = []
    fetch = TensorFlowRunner.fetch

    def noted(self, fetches, feeds):
        runs.append(([str(ref) for ref in fetches], sorted(str(ref) for ref in feeds)))
        return fetch(self, fetches, feeds)

    monkeypatch.setattr(TensorFlowRunner, "fetch", noted)
    execution = ReferenceRunner(parse_graph(CHAIN), catalog).execute({Ref("x"): np.ones((1, 4), np.float32)})
    assert [fetches for fetches, _ in runs] == [["double"], ["mixed"], ["sum"]]
    assert all("double" in feeds for _, feeds in runs[1:])
    runs.clear()
    execution.changed({})
    assert runs == []


def test_a_changed_rule_reaches_what_depends_on_it(catalog: Catalog) -> None:
    text = """\
graph v1
outputs: joined
a = GridAnchor_TRT() {minSize: 0.2, maxSize: 0.9, aspectRatios: [1.0, 2.0, 0.33], featureMapShapes: [2, 1], variance: [0.1, 0.1, 0.2, 0.2], numLayers: 2}
axis = Const() {dtype: int32, value: tensor<int32[]: 2>}
joined = ConcatV2(a, a:1, axis) {N: 2, T: float32, Tidx: int32}
"""
    runner = ReferenceRunner(parse_graph(text), catalog)
    plain = runner.execute({})
    changed = plain.changed({"a": ("exact-ratios",)})
    assert plain[Ref("joined")].shape == changed[Ref("joined")].shape == (1, 2, 4 * (4 * 3 + 4), 1)
    assert 1e-4 < np.abs(plain[Ref("joined")] - changed[Ref("joined")]).max() < 0.01
    np.testing.assert_array_equal(changed.changed({})[Ref("joined")], plain[Ref("joined")])


def test_only_what_the_outputs_need_is_loaded(catalog: Catalog) -> None:
    graph = parse_graph(
        CHAIN.replace(
            "aside = CustomClipPlugin(x)",
            "bad = NoSuchOperation(x) {T: float32}\naside = CustomClipPlugin(bad)",
        )
    )
    assert ReferenceRunner(graph, catalog).execute({Ref("x"): np.ones((1, 4), np.float32)})[
        Ref("sum")
    ].shape == (
        1,
        4,
    )
    with pytest.raises(SurgeonError) as exc:
        ReferenceRunner(graph, catalog, [Ref("aside")])
    assert exc.value.diagnostics[0].code == "V106" and "NoSuchOperation" in exc.value.diagnostics[0].message


def test_what_tensorflow_cannot_compute_is_told() -> None:
    runner = TensorFlowRunner(parse_graph(CHAIN), [Ref("double")])
    for feeds in ({}, {"x": np.ones((1, 4, 4, 5, 5), np.float32)}, {"x": np.array([["a"]])}):
        with pytest.raises(SurgeonError) as exc:
            runner.run(feeds)
        assert exc.value.diagnostics[0].code == "V106"


def test_a_plugin_without_a_reference_is_named(tmp_path: Path) -> None:
    (tmp_path / "Twice").mkdir()
    (tmp_path / "Twice" / "plugin.yaml").write_text(TWICE)
    graph = parse_graph(
        CHAIN.replace("high = CustomClipPlugin(mixed) {clipMin: 0.0, clipMax: 5.0}", "high = Twice(mixed) {}")
    )
    with pytest.raises(SurgeonError) as exc:
        ReferenceRunner(graph, load_catalog([tmp_path]))
    (diagnostic,) = exc.value.diagnostics
    assert diagnostic.code == "V107" and "'high'" in diagnostic.message and "Twice" in diagnostic.message
    (tmp_path / "Other" / "Twice").mkdir(parents=True)
    (tmp_path / "Other" / "Twice" / "plugin.yaml").write_text(TWICE)
    (tmp_path / "Other" / "Twice" / "reference.py").write_text(
        "def run(fields, inputs, changes=frozenset()):\n    return [inputs[0] * 2]\n"
    )
    found = ReferenceRunner(graph, load_catalog([tmp_path / "Other"])).execute(
        {Ref("x"): np.ones((1, 4), np.float32)}
    )
    assert found[Ref("sum")].tolist() == [[6.0] * 4]


def test_a_plugin_inside_a_loop_is_refused(catalog: Catalog) -> None:
    text = """\
graph v1
outputs: out
x = Placeholder() {dtype: float32, shape: shape[1,4]}
enter = Enter(x) {T: float32, frame_name: "f"}
merge = Merge(enter, next) {N: 2, T: float32}
more = Const() {dtype: bool, value: tensor<bool[]: false>}
go = LoopCond(more)
switch = Switch(merge, go) {T: float32}
body = CustomClipPlugin(switch:1) {clipMin: 0.0, clipMax: 1.0}
next = NextIteration(body) {T: float32}
out = Exit(switch) {T: float32}
"""
    with pytest.raises(SurgeonError) as exc:
        ReferenceRunner(parse_graph(text), catalog, [Ref("out"), Ref("next")])
    assert exc.value.diagnostics[0].code == "V108"


def test_a_rewritten_classifier_computes_what_the_original_does(catalog: Catalog) -> None:
    graph = from_bytes(build_lenet())
    rewritten = surgeon.plan("lenet5_clip", graph).result
    assert isinstance(rewritten, Graph)
    x = np.random.default_rng(1).normal(0, 9, (3, 1, 28, 28)).astype(np.float32)
    output = Ref("OutputLayer/Softmax")
    original = TensorFlowRunner(graph, [output, Ref("ReLU6/Relu6")]).run({"InputLayer": x})
    assert original["ReLU6/Relu6"].max() == 6
    found = ReferenceRunner(rewritten, catalog).execute({Ref("InputLayer"): x})
    np.testing.assert_allclose(found[output], original[str(output)], rtol=0, atol=1e-6)
    other = surgeon.plan(
        surgeon.parse_recipe(
            "recipe: 1\nname: x\nextends: [lenet5_clip]\nnodes: {trt_relu6: {fields: {clipMax: 5.0}}}\n"
        ),
        graph,
    ).result
    assert isinstance(other, Graph)
    assert (
        np.abs(
            ReferenceRunner(other, catalog).execute({Ref("InputLayer"): x})[output] - original[str(output)]
        ).max()
        > 1e-3
    )


@pytest.mark.parametrize("date", [pytest.param("2017", marks=pytest.mark.exhaustive), "2018", "2019"])
def test_a_batch_gives_what_its_pictures_give_alone(
    zoo_ssd: Callable[..., Path], catalog: Catalog, date: str
) -> None:
    graph = surgeon.load_graph(zoo_ssd(date))
    rewritten = surgeon.plan("ssd", graph).result
    assert rewritten is not None
    runner = ReferenceRunner(rewritten, catalog)
    pictures = np.random.default_rng(2).uniform(-1, 1, (3, 300, 300, 3)).astype(np.float32)
    together = runner.execute({Ref("Input"): pictures})[Ref("NMS")]
    assert together.shape == (3, 1, 100, 7)
    for n, picture in enumerate(pictures):
        alone = runner.execute({Ref("Input"): picture[None]})[Ref("NMS")]
        assert (together[n, 0, :, 0] == n).all() and (alone[..., 0] == 0).all()
        np.testing.assert_allclose(together[n, 0, :50, 2], alone[0, 0, :50, 2], rtol=0, atol=1e-5)
    assert np.abs(together[0, 0, :50, 3:] - together[1, 0, :50, 3:]).max() > 0.01
