"""The story: what became of each node, by which step and line."""

from __future__ import annotations

import pytest

import surgeon
from surgeon.formats.graphdef import load_graph
from surgeon.graph import Graph, parse_graph
from surgeon.language import parse_recipe
from surgeon.rewrite import Plan, plan_from_json, plan_to_json
from surgeon.viewer import Fate, Story, tell, tell_difference, tell_graph
from surgeon.viewer.change_report import place, walk
from surgeon.zoo import demo


def fates(story: Story) -> dict[str, str]:
    assert story.before is not None
    return {name: str(told.mark.fate) for name, told in story.before.nodes.items()}


def test_every_node_of_the_source_has_its_fate(story: Story) -> None:
    assert fates(story) == {
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


def test_every_node_of_the_result_says_where_it_comes_from(story: Story) -> None:
    assert {name: str(told.mark.fate) for name, told in story.after.nodes.items()} == {
        "Input": "added",
        "body/weights": "kept",
        "body/conv": "rewired",
        "clip": "added",
    }
    assert [told.node.name for told in story.put_in] == ["Input", "clip"]
    assert story.replaced == {"Input": {"picture": 1, "pre": 3}, "clip": {"body": 1}}


def test_a_fate_carries_what_the_step_says_and_the_recipes_line(story: Story) -> None:
    assert story.before is not None
    mark = story.before.nodes["body/clipped"].mark
    assert (mark.reason, mark.into, mark.step, place(mark.span)) == (
        "collapsed into 'clip'",
        "clip",
        "collapse",
        "small.yaml:11",
    )
    assert story.before.nodes["body/passed"].mark.reason == "forwarded to 'body/conv'"
    assert [change.what for change in story.before.nodes["body/conv"].changes] == ["inputs"]
    assert story.before.nodes["body/weights"].changes == ()


def test_a_namespace_adds_up_its_nodes(story: Story) -> None:
    told = {namespace.name: namespace for namespace in walk(story.namespaces)}
    assert (told["pre"].before, told["pre"].after, told["pre"].fate) == (3, 0, Fate.COLLAPSED)
    assert told["pre"].into == {"Input": 3} and [step for step, _ in told["pre"].places] == ["collapse"]
    assert (told["body"].before, told["body"].after, told["body"].fate) == (5, 2, Fate.PARTLY)
    assert told["body"].constant_bytes == 24 and told["result"].fate is Fate.DROPPED
    assert (told["clip"].before, told["clip"].after, told["clip"].fate) == (0, 1, Fate.ADDED)
    assert sum(namespace.before for namespace in story.namespaces) == 11
    assert sum(namespace.after for namespace in story.namespaces) == len(story.after.graph)


def test_steps_count_their_edits(story: Story) -> None:
    found = {step.label: step for step in story.steps}
    assert (
        found["forward-identities"].edits == {"taken out": 2, "rewired": 2}
        and found["forward-identities"].nodes == 9
    )
    assert found["collapse"].edits["put in"] == 2
    assert found["remove-asserts"].edits == {}


def test_the_story_knows_shapes_and_the_graphs_ends(story: Story) -> None:
    assert [(name, str(spec)) for name, spec in story.after.inputs] == [("Input", "float32[1,4,4,3]")]
    assert [(name, str(spec)) for name, spec in story.after.outputs] == [("clip", "float32[1,4,4,2]")]
    assert [node.name for node in story.after.plugins] == ["clip"]
    assert story.before is not None and story.before.plugins == ()
    assert story.before.ops["Identity"] == 3 and story.after.ops == {
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
    story = tell(surgeon.plan(recipe, parse_graph(RENAMED)))
    assert story.before is not None
    mark = story.before.nodes["old/neg"].mark
    assert (mark.fate, mark.into) == (Fate.RENAMED, "new/neg")
    assert (story.after.nodes["new/neg"].mark.fate, story.after.nodes["new/neg"].mark.into) == (
        Fate.RENAMED,
        "old/neg",
    )
    told = {namespace.name: namespace for namespace in story.namespaces}
    assert (told["old"].before, told["old"].after, told["new"].before, told["new"].after) == (1, 0, 0, 1)


def test_a_plan_without_graphs_has_no_story(plan: Plan) -> None:
    with pytest.raises(ValueError, match="read from a file"):
        tell(plan_from_json(plan_to_json(plan)))


def test_one_graph_is_kept_as_it_is(graph: Graph) -> None:
    story = tell_graph(graph, title="small.pb")
    assert story.before is None and {str(told.mark.fate) for told in story.after.nodes.values()} == {"kept"}
    assert [(n.name, n.before, n.after) for n in story.namespaces] == [
        ("picture", 0, 1),
        ("pre", 0, 3),
        ("body", 0, 5),
        ("result", 0, 1),
        ("spare", 0, 1),
    ]


def test_two_graphs_tell_what_only_one_has_and_what_changed(plan: Plan) -> None:
    assert plan.source is not None and plan.result is not None
    story = tell_difference(plan.source, plan.result)
    found = fates(story)
    assert (
        found["pre/scaled"] == "dropped"
        and found["body/conv"] == "rewired"
        and found["body/weights"] == "kept"
    )
    assert str(story.after.nodes["clip"].mark.fate) == "added" and story.steps == ()
    same = tell_difference(plan.source, plan.source)
    assert set(fates(same).values()) == {"kept"}


def test_the_demo_detectors_namespaces_end_where_the_recipe_says() -> None:
    from surgeon.zoo import demo

    story = tell(surgeon.plan("ssd", demo.model_path()))
    told = {namespace.name: namespace for namespace in story.namespaces}
    assert told["Postprocessor"].fate is Fate.COLLAPSED and next(iter(told["Postprocessor"].into)) == "NMS"
    assert (
        told["MultipleGridAnchorGenerator"].fate is Fate.COLLAPSED
        and told["FeatureExtractor"].fate is Fate.PARTLY
    )
    assert next(iter(told["Postprocessor"].places))[1].startswith("recipes/ssd.yaml:")
    assert sum(n.before for n in story.namespaces) == len(story.before.graph)  # type: ignore[union-attr]
    assert sum(n.after for n in story.namespaces) == len(story.after.graph)


CHAIN = """\
graph v1
a = Placeholder() {dtype: float32, shape: shape[1,2]}
ns/b = Neg(a) {T: float32}
d = Exp(ns/b) {T: float32}
e = Neg(d) {T: float32}
"""


def renamed(steps: str, outputs: str = "e", extra: str = "") -> Story:
    recipe = parse_recipe(f"recipe: 1\nname: r\noutputs: [{outputs}]\n{extra}steps:\n{steps}", "r.yaml")
    return tell(surgeon.plan(recipe, parse_graph(CHAIN)))


def marks(story: Story) -> tuple[dict[str, tuple[str, str | None]], dict[str, tuple[str, str | None]]]:
    assert story.before is not None
    before, after = (
        {name: (str(told.mark.fate), told.mark.into) for name, told in side.nodes.items()}
        for side in (story.before, story.after)
    )
    return before, after


def counted(story: Story) -> dict[str, tuple[int, int]]:
    return {one.name: (one.before, one.after) for one in story.namespaces}


def test_names_that_are_exchanged() -> None:
    story = renamed("  - {step: rename, nodes: {d: e, e: d}}\n", "d")
    before, after = marks(story)
    assert (
        before["d"] == ("renamed", "e")
        and before["e"] == ("renamed", "d")
        and after["d"] == ("renamed", "e")
        and after["e"] == ("renamed", "d")
    )
    assert counted(story) == {"a": (1, 1), "ns": (1, 1), "d": (1, 1), "e": (1, 1)} and story.put_in == ()


def test_a_name_that_comes_back_is_kept() -> None:
    story = renamed("  - {step: rename, nodes: {d: x}}\n  - {step: rename, nodes: {x: d}, id: again}\n")
    assert (
        marks(story)[0]["d"] == ("kept", None) and counted(story)["d"] == (1, 1) and "x" not in counted(story)
    )


def test_what_changes_after_a_rename_is_told() -> None:
    story = renamed(
        "  - {step: rename, nodes: {d: x}}\n  - {step: set-attr, nodes: [x], attrs: {T: {dtype: float64}}}\n"
    )
    assert story.before is not None
    for told in (story.before.nodes["d"], story.after.nodes["x"]):
        assert told.mark.fate is Fate.RENAMED and [(change.what, change.key) for change in told.changes] == [
            ("attr", "T")
        ]
    assert (
        story.after.nodes["x"].mark.reason == "was 'd'"
        and counted(story)["d"] == (1, 0)
        and counted(story)["x"] == (0, 1)
    )
    unchanged = renamed("  - {step: rename, nodes: {d: x}}\n")
    assert unchanged.after.nodes["x"].changes == ()


def test_what_was_put_in_is_followed_through_its_rename() -> None:
    story = renamed(
        "  - {step: collapse}\n  - {step: rename, nodes: {P: Q}}\n",
        extra="nodes: {P: {op: Relu, inputs: [a]}}\nnamespaces: {ns: P, d: P}\n",
    )
    before, after = marks(story)
    assert (
        before["ns/b"] == before["d"] == ("collapsed", "Q")
        and after["Q"] == ("added", None)
        and before["e"] == ("rewired", None)
    )
    assert story.replaced == {"Q": {"ns": 1, "d": 1}} and [told.node.name for told in story.put_in] == ["Q"]


def test_derived_values_follow_the_rename_of_their_node() -> None:
    recipe = parse_recipe(
        "recipe: 1\nname: r\nextends: [ssd]\nsteps: {append: [{step: rename, nodes: {GridAnchor: anchors}}]}\n",
        "r.yaml",
    )
    story = tell(surgeon.plan(recipe, load_graph(demo.model_path())))
    nodes = {one.node for one in story.derivations}
    assert (
        "anchors" in nodes
        and "GridAnchor" not in nodes
        and "anchors" in story.replaced
        and "GridAnchor" not in story.replaced
    )
    assert story.before is not None
    assert all(
        told.mark.into in story.after.nodes
        for told in story.before.nodes.values()
        if told.mark.into is not None
    )


def test_a_long_chain_of_forwarded_nodes_costs_little() -> None:
    count = 20_000
    lines = ["graph v1", "outputs: out", "n0 = Placeholder() {dtype: float32, shape: shape[1]}"]
    lines += [f"n{i} = Identity(n{i - 1}) {{T: float32}}" for i in range(1, count)] + [
        f"out = Neg(n{count - 1}) {{T: float32}}"
    ]
    story = tell(
        surgeon.plan(
            parse_recipe("recipe: 1\nname: r\noutputs: [out]\n"), parse_graph("\n".join(lines) + "\n")
        )
    )
    assert story.before is not None and {
        told.mark.into for told in story.before.nodes.values() if told.mark.fate is Fate.FORWARDED
    } == {"n0"}
