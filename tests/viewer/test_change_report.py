"""The report: what became of each node, by which step and line."""

from __future__ import annotations

import pytest

import surgeon
from surgeon.formats.graphdef import load_graph
from surgeon.graph import Graph, parse_graph
from surgeon.language import parse_recipe
from surgeon.rewrite import Plan, plan_from_json, plan_to_json
from surgeon.viewer import ChangeReport, NodeStatus, report_difference, report_graph, report_plan
from surgeon.viewer.namespace_report import walk
from surgeon.zoo import demo


def statuses(report: ChangeReport) -> dict[str, str]:
    assert report.before is not None
    return {name: str(told.provenance.status) for name, told in report.before.nodes.items()}


def test_every_node_of_the_source_has_its_fate(report: ChangeReport) -> None:
    assert statuses(report) == {
        "picture": "collapsed",
        "pre/float": "collapsed",
        "pre/scale": "collapsed",
        "pre/scaled": "collapsed",
        "body/weights": "kept",
        "body/conv": "rewired",
        "body/passed": "forwarded",
        "body/clipped": "collapsed",
        "body/checked": "forwarded",
        "result": "dropped",
        "spare": "dropped",
    }


def test_every_node_of_the_result_says_where_it_comes_from(report: ChangeReport) -> None:
    assert {name: str(told.provenance.status) for name, told in report.after.nodes.items()} == {
        "Input": "added",
        "body/weights": "kept",
        "body/conv": "rewired",
        "clip": "added",
    }
    assert [told.node.name for told in report.added] == ["Input", "clip"]
    assert report.replaced == {"Input": {"picture": 1, "pre": 3}, "clip": {"body": 1}}


def test_a_fate_carries_what_the_step_says_and_the_recipes_line(report: ChangeReport) -> None:
    assert report.before is not None
    provenance = report.before.nodes["body/clipped"].provenance
    assert (provenance.reason, provenance.into, provenance.step, provenance.location) == (
        "collapsed into 'clip'",
        "clip",
        "collapse",
        "small.yaml:11",
    )
    assert report.before.nodes["body/passed"].provenance.reason == "forwarded to 'body/conv'"
    assert [change.what for change in report.before.nodes["body/conv"].changes] == ["inputs"]
    assert report.before.nodes["body/weights"].changes == ()


def test_a_namespace_adds_up_its_nodes(report: ChangeReport) -> None:
    told = {namespace.name: namespace for namespace in walk(report.namespaces)}
    assert (told["pre"].before, told["pre"].after, told["pre"].status) == (3, 0, NodeStatus.COLLAPSED)
    assert told["pre"].into == {"Input": 3} and [step for step, _ in told["pre"].places] == ["collapse"]
    assert (told["body"].before, told["body"].after, told["body"].status) == (5, 2, NodeStatus.PARTLY)
    assert told["body"].constant_bytes == 24 and told["result"].status is NodeStatus.DROPPED
    assert (told["clip"].before, told["clip"].after, told["clip"].status) == (0, 1, NodeStatus.ADDED)
    assert sum(namespace.before for namespace in report.namespaces) == 11
    assert sum(namespace.after for namespace in report.namespaces) == len(report.after.graph)


def test_steps_count_their_edits(report: ChangeReport) -> None:
    found = {step.label: step for step in report.steps}
    assert (
        found["forward-identities"].edits == {"taken out": 2, "rewired": 2}
        and found["forward-identities"].nodes == 9
    )
    assert found["collapse"].edits["put in"] == 2
    assert found["remove-asserts"].edits == {}


def test_the_story_knows_shapes_and_the_graphs_ends(report: ChangeReport) -> None:
    assert [(name, str(spec)) for name, spec in report.after.inputs] == [("Input", "float32[1,4,4,3]")]
    assert [(name, str(spec)) for name, spec in report.after.outputs] == [("clip", "float32[1,4,4,2]")]
    assert [node.name for node in report.after.plugins] == ["clip"]
    assert report.before is not None and report.before.plugins == ()
    assert report.before.ops["Identity"] == 3 and report.after.ops == {
        "CustomClipPlugin": 1,
        "Const": 1,
        "Conv2D": 1,
        "Placeholder": 1,
    }


RENAMED = """\
graph v1
x = Placeholder() {dtype: float32, shape: shape[1,4]}
old/neg = Neg(x) {T: float32}
y = Relu(old/neg) {T: float32}
"""


def test_a_renamed_node_keeps_its_story() -> None:
    recipe = parse_recipe(
        "recipe: 1\nname: r\noutputs: [y]\nsteps: [{step: rename, nodes: {old: new}}, {step: replace-op, from: Neg, to: Abs}]\n"
    )
    report = report_plan(surgeon.plan(recipe, parse_graph(RENAMED)))
    assert report.before is not None
    provenance = report.before.nodes["old/neg"].provenance
    assert (provenance.status, provenance.into) == (NodeStatus.RENAMED, "new/neg")
    assert (
        report.after.nodes["new/neg"].provenance.status,
        report.after.nodes["new/neg"].provenance.into,
    ) == (
        NodeStatus.RENAMED,
        "old/neg",
    )
    told = {namespace.name: namespace for namespace in report.namespaces}
    assert (told["old"].before, told["old"].after, told["new"].before, told["new"].after) == (1, 0, 0, 1)


def test_a_plan_without_graphs_has_no_story(plan: Plan) -> None:
    with pytest.raises(ValueError, match="read from a file"):
        report_plan(plan_from_json(plan_to_json(plan)))


def test_one_graph_is_kept_as_it_is(graph: Graph) -> None:
    report = report_graph(graph, title="small.pb")
    assert report.before is None and {
        str(told.provenance.status) for told in report.after.nodes.values()
    } == {"kept"}
    assert [(n.name, n.before, n.after) for n in report.namespaces] == [
        ("picture", 0, 1),
        ("pre", 0, 3),
        ("body", 0, 5),
        ("result", 0, 1),
        ("spare", 0, 1),
    ]


def test_two_graphs_tell_what_only_one_has_and_what_changed(plan: Plan) -> None:
    assert plan.source is not None and plan.result is not None
    report = report_difference(plan.source, plan.result)
    found = statuses(report)
    assert (
        found["pre/scaled"] == "dropped"
        and found["body/conv"] == "rewired"
        and found["body/weights"] == "kept"
    )
    assert str(report.after.nodes["clip"].provenance.status) == "added" and report.steps == ()
    same = report_difference(plan.source, plan.source)
    assert set(statuses(same).values()) == {"kept"}


def test_the_demo_detectors_namespaces_end_where_the_recipe_says() -> None:
    from surgeon.zoo import demo

    report = report_plan(surgeon.plan("ssd", demo.model_path()))
    told = {namespace.name: namespace for namespace in report.namespaces}
    assert (
        told["Postprocessor"].status is NodeStatus.COLLAPSED
        and next(iter(told["Postprocessor"].into)) == "NMS"
    )
    assert (
        told["MultipleGridAnchorGenerator"].status is NodeStatus.COLLAPSED
        and told["FeatureExtractor"].status is NodeStatus.PARTLY
    )
    assert next(iter(told["Postprocessor"].places))[1].startswith("recipes/ssd.yaml:")
    assert sum(n.before for n in report.namespaces) == len(report.before.graph)  # type: ignore[union-attr]
    assert sum(n.after for n in report.namespaces) == len(report.after.graph)


CHAIN = """\
graph v1
a = Placeholder() {dtype: float32, shape: shape[1,2]}
ns/b = Neg(a) {T: float32}
d = Exp(ns/b) {T: float32}
e = Neg(d) {T: float32}
"""


def renamed(steps: str, outputs: str = "e", extra: str = "") -> ChangeReport:
    recipe = parse_recipe(f"recipe: 1\nname: r\noutputs: [{outputs}]\n{extra}steps:\n{steps}", "r.yaml")
    return report_plan(surgeon.plan(recipe, parse_graph(CHAIN)))


def marks(
    report: ChangeReport,
) -> tuple[dict[str, tuple[str, str | None]], dict[str, tuple[str, str | None]]]:
    assert report.before is not None
    before, after = (
        {name: (str(told.provenance.status), told.provenance.into) for name, told in side.nodes.items()}
        for side in (report.before, report.after)
    )
    return before, after


def counted(report: ChangeReport) -> dict[str, tuple[int, int]]:
    return {one.name: (one.before, one.after) for one in report.namespaces}


def test_names_that_are_exchanged() -> None:
    report = renamed("  - {step: rename, nodes: {d: e, e: d}}\n", "d")
    before, after = marks(report)
    assert (
        before["d"] == ("renamed", "e")
        and before["e"] == ("renamed", "d")
        and after["d"] == ("renamed", "e")
        and after["e"] == ("renamed", "d")
    )
    assert counted(report) == {"a": (1, 1), "ns": (1, 1), "d": (1, 1), "e": (1, 1)} and report.added == ()


def test_a_name_that_comes_back_is_kept() -> None:
    report = renamed("  - {step: rename, nodes: {d: x}}\n  - {step: rename, nodes: {x: d}, id: again}\n")
    assert (
        marks(report)[0]["d"] == ("kept", None)
        and counted(report)["d"] == (1, 1)
        and "x" not in counted(report)
    )


def test_what_changes_after_a_rename_is_told() -> None:
    report = renamed(
        "  - {step: rename, nodes: {d: x}}\n  - {step: set-attr, nodes: [x], attrs: {T: {dtype: float64}}}\n"
    )
    assert report.before is not None
    for told in (report.before.nodes["d"], report.after.nodes["x"]):
        assert told.provenance.status is NodeStatus.RENAMED and [
            (change.what, change.key) for change in told.changes
        ] == [("attr", "T")]
    assert (
        report.after.nodes["x"].provenance.reason == "was 'd'"
        and counted(report)["d"] == (1, 0)
        and counted(report)["x"] == (0, 1)
    )
    unchanged = renamed("  - {step: rename, nodes: {d: x}}\n")
    assert unchanged.after.nodes["x"].changes == ()


def test_what_was_put_in_is_followed_through_its_rename() -> None:
    report = renamed(
        "  - {step: collapse}\n  - {step: rename, nodes: {P: Q}}\n",
        extra="nodes: {P: {op: Relu, inputs: [a]}}\nnamespaces: {ns: P, d: P}\n",
    )
    before, after = marks(report)
    assert (
        before["ns/b"] == before["d"] == ("collapsed", "Q")
        and after["Q"] == ("added", None)
        and before["e"] == ("rewired", None)
    )
    assert report.replaced == {"Q": {"ns": 1, "d": 1}} and [told.node.name for told in report.added] == ["Q"]


def test_derived_values_follow_the_rename_of_their_node() -> None:
    recipe = parse_recipe(
        "recipe: 1\nname: r\nextends: [ssd]\nsteps: {append: [{step: rename, nodes: {GridAnchor: anchors}}]}\n",
        "r.yaml",
    )
    report = report_plan(surgeon.plan(recipe, load_graph(demo.model_path())))
    nodes = {one.node for one in report.derivations}
    assert (
        "anchors" in nodes
        and "GridAnchor" not in nodes
        and "anchors" in report.replaced
        and "GridAnchor" not in report.replaced
    )
    assert report.before is not None
    assert all(
        told.provenance.into in report.after.nodes
        for told in report.before.nodes.values()
        if told.provenance.into is not None
    )


def test_a_long_chain_of_forwarded_nodes_costs_little() -> None:
    count = 5_000
    lines = ["graph v1", "outputs: out", "n0 = Placeholder() {dtype: float32, shape: shape[1]}"]
    lines += [f"n{i} = Identity(n{i - 1}) {{T: float32}}" for i in range(1, count)] + [
        f"out = Neg(n{count - 1}) {{T: float32}}"
    ]
    report = report_plan(
        surgeon.plan(
            parse_recipe("recipe: 1\nname: r\noutputs: [out]\n"), parse_graph("\n".join(lines) + "\n")
        )
    )
    assert report.before is not None and {
        told.provenance.into
        for told in report.before.nodes.values()
        if told.provenance.status is NodeStatus.FORWARDED
    } == {"n0"}
