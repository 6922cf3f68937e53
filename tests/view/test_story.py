"""The story: what became of each node, by which step and line."""

from __future__ import annotations

import pytest

from surgeon import api
from surgeon.graph import Graph, parse_graph
from surgeon.language import parse_recipe
from surgeon.rewrite import Plan, plan_from_json, plan_to_json
from surgeon.view import Fate, Story, tell, tell_difference, tell_graph
from surgeon.view.story import place, walk


def fates(story: Story) -> dict[str, str]:
    assert story.before is not None
    return {name: str(told.mark.fate) for name, told in story.before.nodes.items()}


def test_every_node_of_the_source_has_its_fate(story: Story) -> None:
    assert fates(story) == {
        "picture": "collapsed", "pre/float": "collapsed", "pre/scale": "collapsed", "pre/scaled": "collapsed",
        "body/weights": "kept", "body/conv": "rewired", "body/passed": "forwarded", "body/clipped": "collapsed",
        "body/checked": "forwarded", "result": "dropped", "spare": "dropped",
    }  # fmt: skip


def test_every_node_of_the_result_says_where_it_comes_from(story: Story) -> None:
    assert {name: str(told.mark.fate) for name, told in story.after.nodes.items()} == {
        "Input": "added", "body/weights": "kept", "body/conv": "rewired", "clip": "added"}  # fmt: skip
    assert [told.node.name for told in story.put_in] == ["Input", "clip"]
    assert story.replaced == {"Input": {"picture": 1, "pre": 3}, "clip": {"body": 1}}


def test_a_fate_carries_what_the_step_says_and_the_recipes_line(story: Story) -> None:
    assert story.before is not None
    mark = story.before.nodes["body/clipped"].mark
    assert (mark.reason, mark.into, mark.step, place(mark.span)) == ("collapsed into 'clip'", "clip", "collapse", "small.yaml:11")
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
    assert found["forward-identities"].edits == {"taken out": 2, "rewired": 2} and found["forward-identities"].nodes == 9
    assert found["collapse"].edits["put in"] == 2
    assert found["remove-asserts"].edits == {}


def test_the_story_knows_shapes_and_the_graphs_ends(story: Story) -> None:
    assert [(name, str(spec)) for name, spec in story.after.inputs] == [("Input", "float32[1,4,4,3]")]
    assert [(name, str(spec)) for name, spec in story.after.outputs] == [("clip", "float32[1,4,4,2]")]
    assert [node.name for node in story.after.plugins] == ["clip"]
    assert story.before is not None and story.before.plugins == ()
    assert story.before.ops["Identity"] == 3 and story.after.ops == {"CustomClipPlugin": 1, "Const": 1, "Conv2D": 1, "Placeholder": 1}


RENAMED = """\
graph v1
x = Placeholder() {dtype: float32, shape: shape[1,4]}
old/neg = Neg(x) {T: float32}
y = Relu(old/neg) {T: float32}
"""


def test_a_renamed_node_keeps_its_story() -> None:
    recipe = parse_recipe("recipe: 1\nname: r\noutputs: [y]\nsteps: [{step: rename, nodes: {old: new}}, {step: replace-op, from: Neg, to: Abs}]\n")
    story = tell(api.plan(recipe, parse_graph(RENAMED)))
    assert story.before is not None
    mark = story.before.nodes["old/neg"].mark
    assert (mark.fate, mark.into) == (Fate.RENAMED, "new/neg")
    assert (story.after.nodes["new/neg"].mark.fate, story.after.nodes["new/neg"].mark.into) == (Fate.RENAMED, "old/neg")
    told = {namespace.name: namespace for namespace in story.namespaces}
    assert (told["old"].before, told["old"].after, told["new"].before, told["new"].after) == (1, 0, 0, 1)


def test_a_plan_without_graphs_has_no_story(plan: Plan) -> None:
    with pytest.raises(ValueError, match="read from a file"):
        tell(plan_from_json(plan_to_json(plan)))


def test_one_graph_is_kept_as_it_is(graph: Graph) -> None:
    story = tell_graph(graph, title="small.pb")
    assert story.before is None and {str(told.mark.fate) for told in story.after.nodes.values()} == {"kept"}
    assert [(n.name, n.before, n.after) for n in story.namespaces] == [("picture", 0, 1), ("pre", 0, 3), ("body", 0, 5), ("result", 0, 1), ("spare", 0, 1)]


def test_two_graphs_tell_what_only_one_has_and_what_changed(plan: Plan) -> None:
    assert plan.source is not None and plan.result is not None
    story = tell_difference(plan.source, plan.result)
    found = fates(story)
    assert found["pre/scaled"] == "dropped" and found["body/conv"] == "rewired" and found["body/weights"] == "kept"
    assert str(story.after.nodes["clip"].mark.fate) == "added" and story.steps == ()
    same = tell_difference(plan.source, plan.source)
    assert set(fates(same).values()) == {"kept"}


def test_the_demo_detectors_namespaces_end_where_the_recipe_says() -> None:
    from surgeon.zoo import demo

    story = tell(api.plan("ssd", demo.model_path()))
    told = {namespace.name: namespace for namespace in story.namespaces}
    assert told["Postprocessor"].fate is Fate.COLLAPSED and next(iter(told["Postprocessor"].into)) == "NMS"
    assert told["MultipleGridAnchorGenerator"].fate is Fate.COLLAPSED and told["FeatureExtractor"].fate is Fate.PARTLY
    assert next(iter(told["Postprocessor"].places))[1].startswith("recipes/ssd.yaml:")
    assert sum(n.before for n in story.namespaces) == len(story.before.graph)  # type: ignore[union-attr]
    assert sum(n.after for n in story.namespaces) == len(story.after.graph)
