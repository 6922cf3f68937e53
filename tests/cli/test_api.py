"""The functions behind the verbs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

import surgeon


def code_of(exc: pytest.ExceptionInfo[surgeon.SurgeonError]) -> str:
    return exc.value.diagnostics[0].code


def test_convert_takes_loaded_things(work: Path) -> None:
    graph, recipe = surgeon.load_graph("small.pb"), surgeon.load_recipe("small.yaml")
    done = surgeon.convert(recipe, graph, work / "a.uff")
    assert (done.output, done.target, done.nodes_before, done.nodes_after) == (
        work / "a.uff",
        "uff@tensorrt-8.5",
        9,
        4,
    )
    assert done.bytes_written == (work / "a.uff").stat().st_size
    assert done.plan.result is not None and "clip" in done.plan.result
    surgeon.convert("small.yaml", "small.pb", work / "b.uff")
    assert (work / "a.uff").read_bytes() == (work / "b.uff").read_bytes()


def test_parameters_are_values_or_text(work: Path) -> None:
    for value in (4.5, "4.5"):
        made = surgeon.plan("small.yaml", "small.pb", parameters={"top": value})
        assert made.result is not None and made.result["clip"].attrs["clipMax"] == 4.5
    with pytest.raises(TypeError, match="load_recipe"):
        surgeon.convert(surgeon.load_recipe("small.yaml"), "small.pb", "x.uff", parameters={"top": 1})


def test_plan_and_apply(work: Path) -> None:
    graph = surgeon.load_graph("small.pb")
    made = surgeon.plan("small.yaml", graph, target=surgeon.load_target("uff@tensorrt-7.1"))
    assert made.target == "uff@tensorrt-7.1" and len(graph) == 9
    assert surgeon.apply(made, graph) == surgeon.apply(made, surgeon.load_graph("small.pb"))


def test_check_returns_what_the_exporter_says(work: Path) -> None:
    assert surgeon.check("small.yaml").plan is None
    fine = surgeon.check("small.yaml", "small.pb")
    assert fine.errors == () and fine.plan is not None
    onnx = surgeon.check("small.yaml", "small.pb", target="onnx@tensorrt-8.6")
    assert onnx.errors == () and onnx.plan is not None


def test_check_finds_every_wrong_field(work: Path, recipe_text: str) -> None:
    bad = recipe_text.replace("clipMin: 0.0, clipMax: $top", "clipMin: zero, clip: 1")
    with pytest.raises(surgeon.SurgeonError) as exc:
        surgeon.check(surgeon.parse_recipe(bad))
    assert sorted(d.code for d in exc.value.diagnostics) == ["C102", "C103", "C104"]
    assert all(str(d.where).startswith("<recipe>:") for d in exc.value.diagnostics)


def test_an_auto_field_is_not_missing(work: Path) -> None:
    assert surgeon.check("ssd").errors == ()


def test_an_input_that_changed_meanwhile_is_refused(work: Path, graph_file: Callable[..., Path]) -> None:
    from surgeon.formats.graphdef import save_graph
    from surgeon.graph import parse_graph

    values = ", ".join(["1.0"] * 2048)
    text = (
        f"graph v1\nx = Placeholder() {{dtype: float32, shape: shape[1,2048]}}\n"
        f"w = Const() {{dtype: float32, value: tensor<float32[2048]: {values}>}}\n"
        "s = Mul(x, w) {T: float32}\ny = Relu6(s) {T: float32}\n"
    )
    save_graph(parse_graph(text), "large.pb")
    recipe = surgeon.parse_recipe(
        "recipe: 1\nname: n\noutputs: [c]\nnodes: {c: {plugin: CustomClipPlugin, fields: {clipMin: 0, clipMax: 6}}}\n"
        "namespaces: {y: c}\n"
    )
    graph = surgeon.load_graph("large.pb")
    with open("large.pb", "ab") as handle:
        handle.write(b"\0" * 8)
    for name in ("out.uff", "out.pb"):
        with pytest.raises(surgeon.SurgeonError) as exc:
            surgeon.convert(recipe, graph, name)
        assert code_of(exc) == "E107" and not Path(name).exists()


def test_inspect_depth_and_sizes(work: Path) -> None:
    graph = surgeon.load_graph("small.pb")
    found = surgeon.inspect(graph, depth=2)
    assert [(n.name, n.depth, n.nodes, n.constant_bytes) for n in found.namespaces] == [
        ("picture", 1, 1, 0),
        ("pre", 1, 3, 4),
        ("body", 1, 4, 24),
        ("result", 1, 1, 0),
    ]
    assert sum(n.nodes for n in found.namespaces if n.depth == 1) == len(graph)


def test_a_very_deep_name_costs_little(work: Path, graph_file: Callable[..., Path]) -> None:
    name = "/".join(["a"] * 5000)
    found = surgeon.inspect(
        graph_file(work / "deep.pb", f"graph v1\n{name} = Placeholder() {{dtype: float32}}\n"), depth=64
    )
    assert found.nodes == 1 and [n.depth for n in found.namespaces] == list(range(1, 64))


def test_diff(work: Path) -> None:
    surgeon.convert("small.yaml", "small.pb", "out.pb")
    assert not surgeon.diff("small.pb", "small.pb")
    assert [n.name for n in surgeon.diff("small.pb", "out.pb").added] == ["Input", "clip"]
