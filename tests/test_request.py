"""Requests: what the command line, Python and other machines send, resolved once."""

from __future__ import annotations

import inspect
import json
from pathlib import Path

import pytest

import surgeon
from surgeon.diagnostics import SurgeonError
from surgeon.request import Options, Request
from surgeon.targets import load_target
from surgeon.zoo import build_lenet

VERBS = {
    "plan": ("lenet5_clip", "model.pb"),
    "convert": ("lenet5_clip", "model.pb", "out.uff"),
    "check": ("lenet5_clip", "model.pb"),
    "verify": ("lenet5_clip", "model.pb"),
    "detect": ("lenet5_clip", "picture.png"),
    "build_engine": ("lenet5_clip", "model.pb", "out.engine"),
    "view": ("model.pb", "lenet5_clip"),
}


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """Give a small frozen graph, for which there is a shipped recipe."""
    (tmp_path / "lenet.pb").write_bytes(build_lenet())
    return tmp_path / "lenet.pb"


@pytest.mark.parametrize("verb", VERBS)
def test_a_signature_names_every_option(verb: str) -> None:
    parameters = inspect.signature(getattr(surgeon, verb)).parameters
    assert set(Options.__annotations__) <= set(parameters)
    assert all(each.kind is not inspect.Parameter.VAR_KEYWORD for each in parameters.values())


@pytest.mark.parametrize("verb", VERBS)
def test_an_unknown_option_is_refused(verb: str) -> None:
    with pytest.raises(TypeError, match="tagret"):
        getattr(surgeon, verb)(*VERBS[verb], tagret="graphdef")


def test_a_request_is_sent_as_json_and_gives_the_same_plan(model: Path) -> None:
    request = Request.of("lenet5_clip", model, target=load_target("uff@tensorrt-7.0"))
    sent = Request.from_json(json.loads(json.dumps(request.to_json())))
    assert sent.to_json() == request.to_json() and sent.target == "uff@tensorrt-7.0"
    one, other = request.resolve().plan, sent.resolve().plan
    assert one.result is not None and other.result is not None
    assert (one.digest, one.target, one.result.digest()) == (
        other.digest,
        other.target,
        other.result.digest(),
    )


def test_a_request_of_names_only_is_equal_after_sending() -> None:
    request = Request.of("ssd", "m.pb", target="graphdef", parameters={"num_classes": 2}, anchors="constant")
    assert Request.from_json(request.to_json()) == request


def test_what_is_in_memory_cannot_be_sent(model: Path) -> None:
    graph, recipe = surgeon.load_graph(model), surgeon.load_recipe("lenet5_clip")
    with pytest.raises(TypeError, match="the model of this request is in memory"):
        Request.of("lenet5_clip", graph).to_json()
    with pytest.raises(TypeError, match="the recipe of this request is in memory"):
        Request.of(recipe, model).to_json()
    with pytest.raises(TypeError, match="a request has no 'modle'"):
        Request.from_json({"modle": "m.pb"})


def test_each_part_is_read_once(model: Path) -> None:
    work = Request.of("lenet5_clip", model).resolve()
    assert work.graph is work.graph and work.plan.source is work.graph and work.recipe is work.recipe
    assert work.target.name == "uff@tensorrt-8.5"
    other = work.for_target(load_target("graphdef"))
    assert other.graph is work.graph and other.plan.target == "graphdef" and work.plan.target != "graphdef"


def test_parameters_go_with_a_name_or_a_path() -> None:
    with pytest.raises(TypeError, match="'parameters' go with a recipe's name or path"):
        Request.of(surgeon.load_recipe("ssd"), None, parameters={"num_classes": 2})


def test_a_file_made_from_a_graph_is_refused(tmp_path: Path) -> None:
    (tmp_path / "m.uff").write_bytes(b"x")
    with pytest.raises(SurgeonError) as raised:
        _ = Request.of("ssd", tmp_path / "m.uff").resolve().graph
    assert raised.value.diagnostics[0].code == "E110"
