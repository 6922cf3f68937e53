"""Shapes and constants that a caller gives for inputs, and scalars that are fixed to inference by themselves."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

import surgeon
from surgeon.graph import DType, Ref, Shape, TensorSpec, parse_graph
from surgeon.language import parse_recipe
from surgeon.request import Request
from surgeon.rewrite import Plan
from surgeon.rewrite.given_inputs import steps_for_inputs
from surgeon.rewrite.input_specs import input_spec_of
from surgeon.steps.set_shape import SetShape

NETWORK = """\
graph v1
x = Placeholder() {dtype: float32, shape: shape[?,?,?,3]}
keep_prob = Placeholder() {dtype: float32, shape: shape[...]}
sizes = Shape(x) {T: float32, out_type: int32}
random = RandomUniform(sizes) {T: int32, dtype: float32, seed: 1, seed2: 2}
sum = Add(random, keep_prob) {T: float32}
mask = Floor(sum) {T: float32}
scaled = RealDiv(x, keep_prob) {T: float32}
out = Mul(scaled, mask) {T: float32}
"""
PIPELINE = """\
graph v1
iterator = IteratorV2() {output_types: [float32, int64], output_shapes: [shape[?,4,4,3], shape[?]], shared_name: "", container: ""}
next = IteratorGetNext(iterator) {output_types: [float32, int64], output_shapes: [shape[?,4,4,3], shape[?]]}
out = Relu(next) {T: float32}
label = Cast(next:1) {SrcT: int64, DstT: float32}
"""
PLAIN = "recipe: 1\nname: small\noutputs: [out]\nsteps: [prune]\n"


def planned(text: str = NETWORK, recipe: str = PLAIN, **options: Any) -> Plan:
    return surgeon.plan(parse_recipe(recipe), parse_graph(text), **options)


def shape_of(plan: Plan, name: str) -> Any:
    assert plan.result is not None
    return plan.result[name].attrs["shape"]


def refused(text: str = NETWORK, recipe: str = PLAIN, **options: Any) -> tuple[str, str]:
    with pytest.raises(surgeon.SurgeonError) as caught:
        planned(text, recipe, **options)
    first = next(each for each in caught.value.diagnostics if each.code != "G118")
    return first.code, first.render()


@pytest.mark.parametrize(
    ("given", "spec"),
    [
        ("1x224x224x3", ((1, 224, 224, 3), None)),
        ("[1, 224, 224, 3]:float32", ((1, 224, 224, 3), DType.FLOAT32)),
        ("1,?:int32", ((1, None), DType.INT32)),
        ("[]", ((), None)),
        ("[]:bool", ((), DType.BOOL)),
        (":int64", (None, DType.INT64)),
        ((1, None, 3), ((1, None, 3), None)),
        ([], ((), None)),
        (TensorSpec.of("float32", 2, 2), ((2, 2), DType.FLOAT32)),
    ],
)
def test_shapes_are_read(given: Any, spec: tuple[Any, Any]) -> None:
    found = input_spec_of("x", given)
    assert (found.shape, found.dtype) == spec


@pytest.mark.parametrize(
    "given",
    ["", "a", "1x", "-1", "1x2:floot32", "1x2:", "1.5", (1, -2), (True,), ("1",), "1x99999999999999999999"],
)
def test_what_is_no_shape_is_refused(given: Any) -> None:
    with pytest.raises(surgeon.SurgeonError) as caught:
        input_spec_of("x", given)
    assert [each.code for each in caught.value.diagnostics] == ["S226"]


def test_inputs_get_a_shape_and_constants_take_their_place() -> None:
    made = planned(input_specs={"x": "1x8x8x3"}, constants={"keep_prob": "0.5"})
    assert made.result is not None
    assert shape_of(made, "x") == Shape((1, 8, 8, 3))
    assert made.result["keep_prob"].attrs["value"].array() == np.float32(0.5)
    assert [step.step for step in made.steps] == ["set-shape", "fix-inputs", "prune"]
    assert not made.diagnostics
    replayed = surgeon.apply(made, parse_graph(NETWORK))
    assert replayed == made.result


def test_a_scalar_of_training_is_fixed_to_inference_with_a_note() -> None:
    made = planned()
    assert made.result is not None
    assert made.result["keep_prob"].op == "Const"
    assert made.result["keep_prob"].attrs["value"].array() == 1
    (note,) = made.diagnostics
    assert (note.code, note.severity) == ("S227", "note")
    assert "'keep_prob' (keep probability) is fixed to 1.0" in note.message and "'mask'" not in note.message


@pytest.mark.parametrize(
    ("recipe", "options"),
    [
        (PLAIN, {"input_specs": {"keep_prob": "[]"}}),
        (PLAIN.replace("[prune]", "[{step: set-shape, nodes: {keep_prob: []}}, prune]"), {}),
        (
            PLAIN + "nodes: {k: {op: Placeholder, like: keep_prob, shape: []}}\nnamespaces: {keep_prob: k}\n",
            {},
        ),
    ],
)
def test_a_scalar_that_is_mentioned_stays(recipe: str, options: Mapping[str, Any]) -> None:
    if "namespaces" in recipe:
        recipe = recipe.replace("[prune]", "[collapse, prune]")
    made = planned(recipe=recipe, **options)
    assert made.result is not None and not made.diagnostics
    assert [each.name for each in made.result if each.op == "Placeholder"][1] in ("keep_prob", "k")


def test_a_recipe_that_puts_in_another_input_mentions_no_scalar() -> None:
    recipe = PLAIN.replace("[prune]", "[collapse, prune]") + (
        "nodes: {Input: {op: Placeholder, like: x, shape: [1, 8, 8, 3]}}\nnamespaces: {x: Input}\n"
    )
    assert [note.code for note in planned(recipe=recipe).diagnostics] == ["S227"]


def test_a_recipe_fixes_it_without_a_note() -> None:
    recipe = PLAIN.replace("[prune]", "[{step: fix-inputs, values: {keep_prob: 0.7}}, prune]")
    made = planned(recipe=recipe)
    assert made.result is not None and not made.diagnostics
    assert made.result["keep_prob"].attrs["value"].array() == np.float32(0.7)
    other = planned(recipe=recipe, constants={"keep_prob": 0.9})
    assert other.result is not None and [step.step for step in other.steps] == ["fix-inputs", "prune"]
    assert other.result["keep_prob"].attrs["value"].array() == np.float32(0.9)


def test_for_inference_fixes_scalars_itself() -> None:
    recipe = PLAIN.replace("[prune]", "[for-inference, prune]")
    made = planned(recipe=recipe, input_specs={"x": "1x8x8x3"})
    assert made.result is not None and [each.name for each in made.result] == ["x", "out"]
    assert not any(note.code == "S227" for note in made.diagnostics)
    half = recipe.replace("for-inference", "{step: for-inference, constants: {keep_prob: 1.0}}")
    for text in (recipe, half):
        kept = planned(recipe=text, constants={"keep_prob": 0.5})
        assert kept.result is not None and "mask" in kept.result


def test_the_end_of_a_pipeline_becomes_an_input() -> None:
    made = planned(PIPELINE, input_specs={"next": "1x4x4x3"})
    assert made.result is not None
    assert [each.name for each in made.result] == ["next_0", "out"]
    assert shape_of(made, "next_0") == Shape((1, 4, 4, 3))
    lone = planned(PIPELINE[: PIPELINE.index("label")], input_specs={"next:0": "1x4x4x3"})
    assert lone.result is not None and [each.name for each in lone.result] == ["next", "out"]
    step = "{step: cut-at, tensors: [next], as: [image]}"
    cut = planned(PIPELINE, PLAIN.replace("[prune]", f"[{step}, prune]"), input_specs={"image": "2x4x4x3"})
    assert shape_of(cut, "image") == Shape((2, 4, 4, 3))
    plain = planned(PIPELINE, PLAIN.replace("[prune]", f"[{step}, prune]"))
    assert shape_of(plain, "image") == Shape((None, 4, 4, 3))
    code, message = refused(PIPELINE, input_specs={"next:7": "1:float32"})
    assert code == "S225" and "nothing reads output 7 of 'next'" in message
    second = planned(PIPELINE, PLAIN.replace("[out]", "[label]"), input_specs={"next:1": "3"})
    assert second.result is not None
    assert second.result["next_1"].attrs["dtype"] is DType.INT64 and shape_of(second, "next_1") == Shape((3,))


def test_placeholders_of_the_recipe_get_a_shape() -> None:
    recipe = PLAIN.replace("[prune]", "[collapse, prune]") + (
        "nodes: {Input: {op: Placeholder, like: x, shape: [1, 8, 8, 3]}}\nnamespaces: {x: Input}\n"
    )
    made = planned(recipe=recipe, input_specs={"Input": (2, 4, 4, 3)})
    assert shape_of(made, "Input") == Shape((2, 4, 4, 3))
    constant = PLAIN.replace("[prune]", "[collapse, prune]") + (
        "nodes: {k: {op: Const, value: 0.5, dtype: float32}}\nnamespaces: {keep_prob: k}\n"
    )
    fixed = planned(recipe=constant, constants={"k": 0.25})
    assert fixed.result is not None and fixed.result["k"].attrs["value"].array() == np.float32(0.25)
    code, text = refused(recipe=recipe, input_specs={"x": "1x4x4x3"})
    assert code == "S225" and "a shape for 'x' has no effect" in text
    code, text = refused(recipe=recipe, constants={"Input": 1.0})
    assert code == "S225" and "the recipe puts in 'Input' (Placeholder)" in text
    left = recipe.replace(", shape: [1, 8, 8, 3]", "")
    assert shape_of(planned(recipe=left, input_specs={"x": "1x4x4x3"}), "Input") == Shape((1, 4, 4, 3))
    code, text = refused(recipe=constant, constants={"keep_prob": 0.25})
    assert code == "S225" and "the recipe puts 'k' in the place of 'keep_prob'" in text


@pytest.mark.parametrize(
    ("options", "code", "part"),
    [
        ({"input_specs": {"X": "1x8x8x3"}}, "S225", "nearest: 'x'"),
        ({"constants": {"keep_prop": 1.0}}, "S225", "nearest: 'keep_prob'"),
        (
            {"input_specs": {"x": "1x8x8x4"}},
            "S226",
            "is float32[?,?,?,3] in the graph; ?[1,8,8,4] does not fit",
        ),
        ({"input_specs": {"x": "1x8x3"}}, "S226", "does not fit"),
        ({"input_specs": {"x": "1x8x8x3:int32"}}, "S226", "int32[1,8,8,3] does not fit"),
        ({"constants": {"keep_prob": "often"}}, "S208", "keep_prob"),
        ({"constants": {"keep_prob": True}}, "S208", "keep_prob"),
        ({"constants": {"x": [1.0, 2.0]}}, "S226", "the value has the shape [2]"),
        ({"constants": {"scaled": 1.0}}, "S225", "'scaled' is no placeholder, but RealDiv"),
        (
            {"constants": {"keep_prob": 1.0}, "input_specs": {"keep_prob": "[]"}},
            "S225",
            "both a shape and a constant",
        ),
    ],
)
def test_what_does_not_fit_is_refused(options: dict[str, Any], code: str, part: str) -> None:
    found, text = refused(**options)
    assert found == code and part in text, text


def test_the_batch_is_that_of_the_data() -> None:
    text = """\
graph v1
x = Placeholder() {dtype: float32, shape: shape[?,4]}
n = Placeholder() {dtype: int32, shape: shape[]}
four = Const() {dtype: int32, value: tensor<int32[]: 4>}
shape = Pack(n, four) {N: 2, T: int32, axis: 0}
out = Reshape(x, shape) {T: float32, Tshape: int32}
"""
    for options, batch in (({}, 1), ({"input_specs": {"x": "3x4"}}, 3)):
        made = planned(text, **options)
        assert made.result is not None and made.result["n"].attrs["value"].array() == batch
        assert f"'n' (batch size) is fixed to {batch}" in made.diagnostics[0].message
        assert shape_of(made, "x") == Shape((batch, 4))
        assert [note.code for note in made.diagnostics] == ["S227", *(["S228"] if not options else [])]


def test_inputs_of_open_batch_follow_the_one_that_is_given() -> None:
    text = """\
graph v1
words = Placeholder() {dtype: float32, shape: shape[?,6]}
lengths = Placeholder() {dtype: float32, shape: shape[?,1]}
table = Placeholder() {dtype: float32, shape: shape[6]}
sum = Add(words, lengths) {T: float32}
out = Mul(sum, table) {T: float32}
"""
    made = planned(text, input_specs={"words": "2x6"})
    assert shape_of(made, "lengths") == Shape((2, 1)) and shape_of(made, "table") == Shape((6,))
    (note,) = made.diagnostics
    assert note.code == "S228" and "'lengths' gets the batch 2, as 'words' has it" in note.message
    both = planned(text, input_specs={"words": "2x6", "lengths": "1x1"})
    assert shape_of(both, "lengths") == Shape((1, 1)) and not both.diagnostics
    one = planned(text, input_specs={"words": "1x6"})
    assert shape_of(one, "lengths") == Shape((None, 1)) and not one.diagnostics
    (step,) = steps_for_inputs(parse_graph(text), {"words": "2x6"}, {})
    assert isinstance(step, SetShape) and set(step.nodes) == {"words", "lengths"}


def test_a_default_of_training_is_replaced() -> None:
    text = NETWORK.replace(
        "keep_prob = Placeholder() {dtype: float32, shape: shape[...]}",
        "half = Const() {dtype: float32, value: tensor<float32[]: 0.5>}\n"
        "keep_prob = PlaceholderWithDefault(half) {dtype: float32, shape: shape[]}",
    )
    made = planned(text)
    assert made.result is not None and made.result["keep_prob"].op == "Const"
    assert "in place of its default 0.5" in made.diagnostics[0].message
    right = planned(text.replace("0.5", "1.0"))
    assert right.result is not None and right.result["keep_prob"].op == "PlaceholderWithDefault"


def test_cut_at_takes_a_type_that_the_graph_does_not_tell() -> None:
    text = "graph v1\nq = Mystery()\nout = Relu(q) {T: float32}\n"
    recipe = PLAIN.replace("[prune]", "[{step: cut-at, tensors: [q], shapes: {q: %s}}, prune]")
    made = planned(text, recipe % "{shape: [1, 4], dtype: float32}")
    assert made.result is not None and made.inference is not None
    assert made.inference.spec(Ref("q")) == TensorSpec.of("float32", 1, 4)
    code, message = refused(text, recipe % "[1, 4]")
    assert code == "S215" and "shapes: {q:" in message
    assert planned(text, input_specs={"q": "1x4:float32"}).result == made.result
    code, message = refused(PIPELINE, recipe.replace("q", "next") % "[1, 5, 4, 3]")
    assert code == "S226" and "cannot become" in message


def test_a_request_keeps_what_is_given() -> None:
    specs = {"x": TensorSpec.of("float32", 1, None, 3), "y": [2, None], "z": "[]:bool"}
    request = Request.of("r", "m.pb", input_specs=specs, constants={"k": np.float32(0.5), "n": [1, 2]})
    sent = json.loads(json.dumps(request.to_json()))
    assert sent["input_specs"] == {"x": "[1,?,3]:float32", "y": "[2,?]", "z": "[]:bool"}
    assert sent["constants"] == {"k": 0.5, "n": [1, 2]}
    assert Request.from_json(sent).to_json() == request.to_json()


CLASSIFIER = """\
graph v1
x = Placeholder() {dtype: float32, shape: shape[?,8]}
out = Relu(x) {T: float32}
"""


def with_steps(steps: str) -> str:
    return PLAIN.replace("[prune]", f"[{steps}, prune]")


def test_a_step_for_another_target_says_nothing_of_an_input() -> None:
    target = "onnx@onnxruntime"
    uff = "when: {target: uff}"
    shaped = with_steps(f"{{step: set-shape, {uff}, nodes: {{x: [1, 8]}}}}")
    assert shape_of(planned(CLASSIFIER, shaped, input_specs={"x": "4x8"}, target=target), "x") == Shape(
        (4, 8)
    )
    fixed = with_steps(f"{{step: fix-inputs, {uff}, values: {{keep_prob: 0.5}}}}")
    made = planned(recipe=fixed, target=target)
    assert [note.code for note in made.diagnostics] == ["S227"]
    given = planned(recipe=fixed, constants={"keep_prob": 0.25}, target=target)
    assert given.result is not None and given.result["keep_prob"].attrs["value"].array() == 0.25


def test_what_is_given_replaces_what_each_step_says() -> None:
    first, second = (f"{{step: set-shape, nodes: {{x: [{batch}, 8]}}}}" for batch in (1, 2))
    twice = with_steps(f"{first}, {second}")
    assert shape_of(planned(CLASSIFIER, twice, input_specs={"x": "4x8"}), "x") == Shape((4, 8))
    fixed = with_steps("{step: fix-inputs, values: {keep_prob: 0.5}}")
    kept = planned(recipe=fixed, input_specs={"keep_prob": "[]"})
    assert kept.result is not None and kept.result["keep_prob"].op == "Placeholder"
    shaped = with_steps("{step: set-shape, nodes: {keep_prob: []}}")
    given = planned(recipe=shaped, constants={"keep_prob": 0.25})
    assert given.result is not None and given.result["keep_prob"].attrs["value"].array() == 0.25
    later = with_steps("{step: set-attr, nodes: [x], attrs: {shape: [1, 8]}}")
    code, text = refused(CLASSIFIER, later, input_specs={"x": "4x8"})
    assert code == "S225" and "steps override what is given for the input 'x'" in text
    renamed = "{step: rename, nodes: {x: data}}, {step: set-shape, nodes: {data: [1, 8]}}"
    code, text = refused(CLASSIFIER, with_steps(renamed), input_specs={"x": "4x8"})
    assert code == "S225" and "steps override what is given for the input 'x'" in text


def test_a_type_alone_leaves_the_shape_of_the_recipe() -> None:
    shaped = with_steps("{step: set-shape, nodes: {x: [1, 8]}}")
    assert shape_of(planned(CLASSIFIER, shaped, input_specs={"x": ":float32"}), "x") == Shape((1, 8))
    cut = with_steps("{step: cut-at, tensors: [q], shapes: {q: {shape: [1, 4], dtype: float32}}}")
    text = "graph v1\nq = Mystery()\nout = Relu(q) {T: float32}\n"
    assert shape_of(planned(text, cut, input_specs={"q": ":float32"}), "q") == Shape((1, 4))
    assert shape_of(planned(text, cut, input_specs={"q": "2x4"}), "q") == Shape((2, 4))


def test_inputs_of_cut_at_have_their_default_names() -> None:
    recipe = PLAIN.replace("[out]", "[out, label]").replace(
        "[prune]", '[{step: cut-at, tensors: [next, "next:1"]}, prune]'
    )
    for names in (("next", "next:1"), ("next:0", "next_1")):
        made = planned(PIPELINE, recipe, input_specs=dict(zip(names, ("2x4x4x3", "2"), strict=True)))
        assert shape_of(made, "next") == Shape((2, 4, 4, 3)) and shape_of(made, "next_1") == Shape((2,))
    code, text = refused(PIPELINE, recipe, input_specs={"next:1": "2", "next_1": "3"})
    assert code == "S225" and "the input 'next_1' is given twice" in text
    later = PLAIN.replace(
        "[prune]",
        "[{step: cut-at, tensors: [next], as: [image]}, {step: set-shape, nodes: {image: [1, 4, 4, 3]}}, prune]",
    )
    assert shape_of(planned(PIPELINE, later, input_specs={"image": "2x4x4x3"}), "image") == Shape(
        (2, 4, 4, 3)
    )


def test_an_input_that_is_kept_open_stays_in_for_inference() -> None:
    for steps in ("for-inference", "{step: for-inference, constants: {keep_prob: 1.0}}"):
        made = planned(recipe=with_steps(steps), input_specs={"keep_prob": "[]"})
        assert made.result is not None and made.result["keep_prob"].op == "Placeholder"
        assert "mask" in made.result and [note.code for note in made.diagnostics] == ["S421"]
    code, text = refused(recipe=with_steps("{step: for-inference, keep: [keep_prop]}"))
    assert code == "S225" and "nearest: 'keep_prob'" in text
    with pytest.raises(surgeon.SurgeonError, match="in 'constants' and in 'keep'"):
        parse_recipe(with_steps("{step: for-inference, keep: [k], constants: {k: 1}}"))
    drafted = surgeon.init(parse_graph(NETWORK), input_specs={"keep_prob": "[]"})
    made = surgeon.plan(drafted.recipe, parse_graph(NETWORK))
    assert made.result is not None and made.result["keep_prob"].op == "Placeholder"


@pytest.mark.parametrize("name", ["batch", "prune", "values", "end", "shape"])
def test_words_of_the_language_are_no_names(name: str) -> None:
    recipe = with_steps(
        "{step: pin-batch, batch: 1, id: values}, {step: set-attr, nodes: [x], attrs: {shape: [1, 4, 4, 3]}}"
    )
    made = planned(NETWORK.replace("keep_prob", name), recipe)
    assert "S227" in [note.code for note in made.diagnostics]
    assert made.result is not None and made.result[name].op == "Const"


def test_names_that_are_no_tensors_are_refused() -> None:
    for name in ("^x", "x:", "x:y", ":0", ""):
        for options in ({"input_specs": {name: "1x8"}}, {"constants": {name: 1.0}}):
            assert refused(CLASSIFIER, **options)[0] == "S225"
    text = NETWORK.replace("dtype: float32, shape: shape[...]", "dtype: bool, shape: shape[]")
    code, message = refused(text, constants={"keep_prob": "no"})
    assert code == "S208" and "expected true or false" in message
    code, message = refused(CLASSIFIER, input_specs={"x": "1x8", "x:0": "2x8"})
    assert code == "S225" and "'x' is given twice, as 'x' and as 'x:0'" in message


BATCHED = """\
graph v1
x = Placeholder() {dtype: float32, shape: shape[?,8]}
bs = Placeholder() {dtype: int32, shape: shape[]}
rest = Const() {dtype: int32, value: tensor<int32[]: -1>}
shape = Pack(bs, rest) {N: 2, T: int32, axis: 0}
out = Reshape(x, shape) {T: float32, Tshape: int32}
"""
SET_4 = "{step: set-shape, nodes: {x: [4, 8]}}"
INIT = "{step: for-inference, constants: {bs: 1}}, {step: pin-batch, batch: 1}"


@pytest.mark.parametrize(
    ("steps", "options", "batch"),
    [
        (SET_4, {}, 4),
        (f"{SET_4}, for-inference", {}, 4),
        (SET_4, {"input_specs": {"x": "2x8"}}, 2),
        ("{step: pin-batch, batch: 4}", {}, 4),
        ("{step: set-attr, nodes: [x], attrs: {shape: [4, 8]}}", {}, 4),
        ("{step: fix-inputs, values: {bs: 4}}", {}, 4),
        ("prune", {"constants": {"bs": "4"}}, 4),
        ("for-inference", {"constants": {"bs": 4}}, 4),
        (INIT, {}, 1),
        (INIT, {"constants": {"bs": 4}}, 4),
        (INIT, {"constants": {"bs": 4}, "input_specs": {"x": "4x8"}}, 4),
    ],
)
def test_a_scalar_and_the_data_have_one_batch(steps: str, options: dict[str, Any], batch: int) -> None:
    made = planned(BATCHED, with_steps(steps), **options)
    assert made.result is not None and made.inference is not None
    assert shape_of(made, "x") == Shape((batch, 8))
    assert made.inference.spec(Ref("out")).shape == Shape((batch, 8))
    assert "S229" not in [note.code for note in made.diagnostics]


def test_a_scalar_has_the_batch_of_the_placeholder_that_the_recipe_puts_in() -> None:
    recipe = with_steps("collapse") + (
        "nodes: {Input: {op: Placeholder, like: x, shape: [%s, 8]}}\nnamespaces: {x: Input}\n"
    )
    for batch, options in (
        ("4", {}),
        ("1", {"input_specs": {"Input": "4x8"}}),
        ("null", {"input_specs": {"x": "4x8"}}),
    ):
        made = planned(BATCHED, recipe.replace("%s", batch), **options)
        assert made.inference is not None and made.inference.spec(Ref("out")).shape == Shape((4, 8))
        assert "S229" not in [note.code for note in made.diagnostics]
    made = planned(BATCHED, recipe.replace("%s", "4"), constants={"bs": 2})
    assert [note.code for note in made.diagnostics] == ["S229"]


@pytest.mark.parametrize(
    ("steps", "options", "sizes"),
    [
        (INIT, {"input_specs": {"x": "4x8"}}, (4, 1)),
        ("prune", {"input_specs": {"x": "4x8"}, "constants": {"bs": 2}}, (4, 2)),
        (f"{SET_4}, {{step: fix-inputs, values: {{bs: 2}}}}", {}, (4, 2)),
        (SET_4, {"constants": {"bs": 1}}, (4, 1)),
    ],
)
def test_batches_that_differ_are_a_warning(
    steps: str, options: dict[str, Any], sizes: tuple[int, int]
) -> None:
    made = planned(BATCHED, with_steps(steps), **options)
    (warning,) = [each for each in made.diagnostics if each.code == "S229"]
    assert warning.severity == "warning"
    assert warning.message == (
        f"the input 'x' has the batch {sizes[0]}, but 'bs' (batch size) is fixed to {sizes[1]}"
    )


def test_an_axis_that_the_graph_fixes_is_no_batch() -> None:
    table = "table = Placeholder() {dtype: float32, shape: shape[300,8]}\n"
    sum_of_rows = "rows = Sum(table, axis) {T: float32, Tidx: int32, keep_dims: false}\n"
    axis = "axis = Const() {dtype: int32, value: tensor<int32[]: 0>}\n"
    last = "out = Add(moved, rows) {T: float32}\n"
    text = BATCHED.replace("bs =", f"{table}{axis}{sum_of_rows}bs =").replace("out =", "moved =") + last
    made = planned(text)
    assert made.result is not None and made.result["bs"].attrs["value"].array() == 1
    drafted = surgeon.init(parse_graph(text), input_specs={"x": "7x8"})
    again = surgeon.plan(drafted.recipe, parse_graph(text))
    assert again.inference is not None and again.inference.spec(Ref("moved")).shape == Shape((7, 8))
    fixed = planned(text.replace("[?,8]", "[7,8]"))
    assert fixed.result is not None and fixed.result["bs"].attrs["value"].array() == 7
    third = planned(text.replace("[?,8]", "[150,8]"))
    assert third.result is not None and third.result["bs"].attrs["value"].array() == 150
    apart = text.replace("Add(moved, rows) {T: float32}", "IdentityN(moved, rows) {T: [float32, float32]}")
    unknown = planned(apart.replace("[?,8]", "[600,8]"))
    assert unknown.result is not None and unknown.result["bs"].op == "Placeholder"
    assert [(note.code, note.severity) for note in unknown.diagnostics] == [("S229", "warning")]


def test_a_batch_is_followed_where_shapes_must_agree() -> None:
    text = """\
graph v1
image = Placeholder() {dtype: float32, shape: shape[?,8,8,3]}
boxes = Placeholder() {dtype: float32, shape: shape[?,4]}
ind = Placeholder() {dtype: int32, shape: shape[?]}
size = Const() {dtype: int32, value: tensor<int32[2]: 4, 4>}
crops = CropAndResize(image, boxes, ind, size) {T: float32, extrapolation_value: 0.0, method: "bilinear"}
scale = Placeholder() {dtype: float32, shape: shape[?,8,8,3]}
scaled = Mul(image, scale) {T: float32}
out = IdentityN(crops, scaled) {T: [float32, float32]}
"""
    made = planned(text, input_specs={"image": "2x8x8x3"})
    assert shape_of(made, "boxes") == Shape((None, 4)) and shape_of(made, "ind") == Shape((None,))
    assert shape_of(made, "scale") == Shape((2, 8, 8, 3))
    assert [note.code for note in made.diagnostics] == ["S228", "S229", "S229"]
    assert "the batch of the input 'boxes' stays open" in made.diagnostics[1].message
    steps = steps_for_inputs(parse_graph(text), {"image": "2x8x8x3"}, {})
    assert isinstance(steps[0], SetShape) and set(steps[0].nodes) == {"image", "scale"}


def test_inputs_of_a_pipeline_follow_one_another() -> None:
    text = PIPELINE.replace("[?,4,4,3], shape[?]", "[?,4], shape[?,4]").replace("int64", "float32") + (
        "both = Add(out, next:1) {T: float32}\n"
    )
    recipe = PLAIN.replace("[out]", "[both]").replace(
        "[prune]", '[{step: cut-at, tensors: [next, "next:1"]}, prune]'
    )
    made = planned(
        text.replace("label = Cast(next:1) {SrcT: float32, DstT: float32}\n", ""),
        recipe,
        input_specs={"next": "2x4"},
    )
    assert shape_of(made, "next_1") == Shape((2, 4))
    assert [note.code for note in made.diagnostics] == ["S228"]


def test_data_of_batches_that_contradict_are_a_warning() -> None:
    text = """\
graph v1
x = Placeholder() {dtype: float32, shape: shape[?,8]}
y = Placeholder() {dtype: float32, shape: shape[?,8]}
n = Placeholder() {dtype: int32, shape: shape[]}
eight = Const() {dtype: int32, value: tensor<int32[]: 8>}
dims = Pack(n, eight) {N: 2, T: int32, axis: 0}
zero = Const() {dtype: float32, value: tensor<float32[]: 0.0>}
state = Fill(dims, zero) {T: float32, index_type: int32}
sum = Add(x, y) {T: float32}
out = Add(sum, state) {T: float32}
"""
    made = planned(text, input_specs={"x": "3x8", "y": "2x8"}, constants={"n": 3})
    warnings = [each.message for each in made.diagnostics if each.severity == "warning"]
    assert warnings == [
        "the input 'y' has the batch 2, but 'x' has 3; their shapes must agree",
        "the input 'y' has the batch 2, but 'n' (batch size) is fixed to 3",
    ]
    fitting = planned(text, input_specs={"x": "3x8", "y": "1x8"}, constants={"n": 3})
    assert [each.message for each in fitting.diagnostics] == [
        "the input 'y' has the batch 1, but 'n' (batch size) is fixed to 3"
    ]
