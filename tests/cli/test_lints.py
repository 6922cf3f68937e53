"""What the target's runtime would refuse or compute wrongly stops a conversion, or is a warning beside it."""

from __future__ import annotations

from pathlib import Path

import pytest

REFUSED = """\
graph v1
x = Placeholder() {dtype: float32, shape: shape[1,1,1,2]}
least = Const() {dtype: float32, value: tensor<float32[1,4,4,2]: 0.5>}
body/clipped = Maximum(x, least) {T: float32}
result = Relu(body/clipped) {T: float32}
"""

DOUBTFUL = """\
graph v1
x = Placeholder() {dtype: float32, shape: shape[1,1,4,2]}
rows = Const() {dtype: float32, value: tensor<float32[4,1,1]: 0.5>}
result = Mul(x, rows) {T: float32}
"""

RECIPE = "recipe: 1\nname: plain\nsummary: A network as it is.\noutputs: [result]\n"


@pytest.fixture
def files(work: Path, graph_file) -> Path:
    graph_file(work / "refused.pb", REFUSED)
    graph_file(work / "doubtful.pb", DOUBTFUL)
    (work / "plain.yaml").write_text(RECIPE)
    return work


def test_an_error_is_found_by_the_check(run, files: Path) -> None:
    ran = run("check", "plain.yaml", "refused.pb")
    assert ran.code == 1 and "L107" in ran.err and "'body/clipped'" in ran.err
    found = run("check", "plain.yaml", "refused.pb", "--json").json["diagnostics"]
    assert [(d["code"], d["severity"]) for d in found] == [("L107", "error")]


def test_an_error_stops_the_conversion(run, files: Path) -> None:
    ran = run("convert", "plain.yaml", "refused.pb", "-o", "out.uff")
    assert ran.code == 1 and "L107" in ran.err and not (files / "out.uff").exists()


def test_an_error_of_another_target_does_not(run, files: Path) -> None:
    assert run("convert", "plain.yaml", "refused.pb", "-o", "out.pb").code == 0


def test_an_error_stops_a_plan_that_is_replayed(run, files: Path) -> None:
    assert run("plan", "plain.yaml", "refused.pb", "-o", "plan.json").code == 0
    ran = run("apply", "plan.json", "refused.pb", "-o", "out.uff")
    assert ran.code == 1 and "L107" in ran.err and not (files / "out.uff").exists()


def test_a_warning_is_printed_and_does_not_stop(run, files: Path) -> None:
    for ran in (
        run("check", "plain.yaml", "doubtful.pb"),
        run("convert", "plain.yaml", "doubtful.pb", "-o", "out.uff"),
    ):
        assert ran.code == 0 and "result: warning[L108]: " in ran.err
    assert (files / "out.uff").is_file()


def test_a_warning_is_in_the_json_twins(run, files: Path) -> None:
    check = run("check", "plain.yaml", "doubtful.pb", "--json").json
    assert [(d["code"], d["severity"]) for d in check["diagnostics"]] == [("L108", "warning")]
    convert = run("convert", "plain.yaml", "doubtful.pb", "-o", "out.uff", "--json").json
    assert [d["code"] for d in convert["diagnostics"]] == ["L108"]
    # The keys of earlier releases stand beside it for one release.
    assert (convert["warnings"], convert["remarks"], check["remarks"]) == (convert["diagnostics"], [], [])


def test_the_interface_for_python_gives_both() -> None:
    from surgeon import check, parse_recipe
    from surgeon.graph import parse_graph

    recipe = parse_recipe(RECIPE, "plain.yaml")
    refused = check(recipe, parse_graph(REFUSED))
    assert [d.code for d in refused.errors] == ["L107"] and refused.warnings == ()
    doubtful = check(recipe, parse_graph(DOUBTFUL))
    assert doubtful.errors == () and [d.code for d in doubtful.warnings] == ["L108"]


def test_lints_are_listed(run) -> None:
    from surgeon.lints import all_lints

    every = run("list", "lints", "--json").json
    assert [row["code"] for row in every] == list(all_lints()) and all(row["title"] for row in every)
    old = [row["code"] for row in run("list", "lints", "--target", "uff@tensorrt-5.0", "--json").json]
    new = [row["code"] for row in run("list", "lints", "--target", "uff@tensorrt-8.5", "--json").json]
    assert (set(old) - set(new), set(new) - set(old)) == ({"L110", "L112"}, {"L118"})
    assert "L107  Minimum or Maximum with a constant" in run("list", "lints").out
