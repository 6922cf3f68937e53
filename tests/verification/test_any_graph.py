"""Verifications of small graphs that detect nothing: what the original is fed, and what is noticed."""

from __future__ import annotations

import gc
import json
import textwrap
import weakref
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import surgeon
from surgeon import SurgeonError
from surgeon.graph import Ref, parse_graph
from surgeon.infer import infer
from surgeon.verification import read_records
from surgeon.verification.made_inputs import made_input
from surgeon.verification.original_runner import original_runner

pytest.importorskip("tensorflow", reason="ordinary operations run in TensorFlow")

TRAINED = """\
graph v1
x = Placeholder() {dtype: float32, shape: shape[1,4]}
phase_train = Placeholder() {dtype: bool, shape: shape[]}
axes = Const() {dtype: int32, value: tensor<int32[2]: 0, 1>}
mean = Mean(x, axes) {T: float32, Tidx: int32, keep_dims: true}
kept = Const() {dtype: float32, value: tensor<float32[1,1]: 0.25>}
switch = Identity(phase_train) {T: bool}
center = SelectV2(switch, mean, kept) {T: float32}
out = Sub(x, center) {T: float32}
"""

FIXED = """\
outputs: [out]
nodes: {{constant: {{op: Const, value: {value}, dtype: {dtype}, inputs: []}}}}
namespaces: {{{name}: constant}}
steps: [collapse, fold-constants, prune]
"""


def verified(recipe: str, text: str, **options) -> surgeon.Verification:
    parsed = surgeon.parse_recipe("recipe: 1\nname: small\n" + recipe)
    return surgeon.verify(parsed, parse_graph(text), **options)


def reasons(found: surgeon.Verification) -> list[str]:
    return [
        f"{c.subject}: {c.reason}" for v in found.verdicts for c in v.comparisons if c.outcome == "failed"
    ]


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_original_is_fed_what_the_recipe_fixes(seed: int) -> None:
    found = verified(FIXED.format(name="phase_train", value="false", dtype="bool"), TRAINED, seed=seed)
    assert found.passed
    behind = verified(FIXED.format(name="switch", value="false", dtype="bool"), TRAINED, seed=seed)
    assert behind.passed


def test_an_input_that_is_fixed_to_training_fails() -> None:
    found = verified(FIXED.format(name="phase_train", value="true", dtype="bool"), TRAINED)
    (reason,) = reasons(found)
    assert reason == (
        "'phase_train' fixed to True: a sample's outputs depend on the others of its batch, as in training; "
        "fix it to False for inference"
    )


def test_one_session_of_an_original_is_kept_and_no_longer_than_its_graph() -> None:
    gc.disable()
    try:
        graphs = [parse_graph(OPEN) for _ in range(3)]
        runners = [weakref.ref(original_runner(graph, [Ref("out")])) for graph in graphs]
        assert [each() is None for each in runners] == [True, True, False]
        assert original_runner(graphs[2], [Ref("out")]) is runners[2]()
        assert original_runner(graphs[2], [Ref("mean")]) is not runners[2]()
        last = weakref.ref(original_runner(graphs[2], [Ref("mean")]))
        graphs.clear()
        assert last() is None
    finally:
        gc.enable()


FIXED_TRUE = FIXED.format(name="phase_train", value="true", dtype="bool")


def test_training_is_recognised_beside_an_input_of_another_size() -> None:
    text = (
        TRAINED + "ids = Placeholder() {dtype: float32, shape: shape[3,2]}\nother = Tanh(ids) {T: float32}\n"
    )
    (reason,) = reasons(verified(FIXED_TRUE.replace("[out]", "[out, other]"), text))
    assert "depend on the others of its batch, as in training; fix it to False" in reason


def test_a_whole_number_that_switches_to_training() -> None:
    text = TRAINED.replace("{dtype: bool,", "{dtype: int32,")
    text = text.replace("Identity(phase_train) {T: bool}", "Cast(phase_train) {SrcT: int32, DstT: bool}")
    (reason,) = reasons(verified(FIXED.format(name="phase_train", value="1", dtype="int32"), text))
    assert "as in training; fix it to 0 for inference" in reason
    assert verified(FIXED.format(name="phase_train", value="0", dtype="int32"), text).passed


NOT_KNOWN = "it is not known whether that is training"


def notes(found: surgeon.Verification) -> list[str]:
    return [c.reason for c in found.verdicts[0].comparisons if c.outcome == "not compared"]


def test_training_that_cannot_be_told_is_not_compared() -> None:
    static = TRAINED.replace("Mean(x,", "Mean(one,").replace("Sub(x,", "Sub(one,")
    sizes = "sizes = Const() {dtype: int32, value: tensor<int32[2]: 1, 4>}\n"
    static = static.replace("mean =", f"{sizes}one = Reshape(x, sizes) {{T: float32, Tshape: int32}}\nmean =")
    found = verified(FIXED_TRUE, static)
    assert found.passed and notes(found) == [f"{NOT_KNOWN}: no larger batch can be put in"]
    unused = static.replace("SelectV2(switch, mean, kept)", "SelectV2(switch, kept, kept)")
    assert notes(verified(FIXED_TRUE, unused)) == []


def test_a_factor_of_what_depends_on_the_batch_is_no_training() -> None:
    text = TRAINED.replace("{dtype: bool,", "{dtype: float32,").replace(
        "SelectV2(switch, mean, kept)", "Mul(mean, a)"
    )
    text = text.replace("phase_train", "a").replace("switch = Identity(a) {T: bool}\n", "")
    found = verified(FIXED.format(name="a", value="0.7", dtype="float32"), text)
    assert found.passed and notes(found) == [
        f"a sample's outputs depend on the others of its batch; {NOT_KNOWN}"
    ]


DROPOUT = """\
graph v1
x = Placeholder() {dtype: float32, shape: shape[?,64]}
keep_prob = Placeholder() {dtype: float32, shape: shape[]}
sizes = Shape(x) {T: float32, out_type: int32}
noise = RandomUniform(sizes) {T: int32, dtype: float32, seed: 0, seed2: 0}
sum = Add(noise, keep_prob) {T: float32}
mask = Floor(sum) {T: float32}
scaled = RealDiv(x, keep_prob) {T: float32}
out = Mul(scaled, mask) {T: float32}
"""


def test_a_dropout_rate_that_is_fixed() -> None:
    right = verified(FIXED.format(name="keep_prob", value="1.0", dtype="float32"), DROPOUT)
    assert right.passed
    wrong = verified(FIXED.format(name="keep_prob", value="0.5", dtype="float32"), DROPOUT)
    assert any(
        "two runs on the same input differ, as in training; fix it to 1.0" in each for each in reasons(wrong)
    )


def test_what_for_inference_fixes_is_fed_to_the_original() -> None:
    steps = "outputs: [out]\nsteps: [{{step: for-inference, constants: {{{name}: {value}}}}}]\n"
    for text, name, value in (
        (DROPOUT, "keep_prob", "1.0"),
        (TRAINED, "phase_train", "false"),
        (TRAINED, "phase_train", "true"),
    ):
        found = verified(steps.format(name=name, value=value), text)
        assert found.passed == (value != "true"), value


OPEN = """\
graph v1
x = Placeholder() {dtype: float32, shape: shape[?,?,?,3]}
axes = Const() {dtype: int32, value: tensor<int32[2]: 1, 2>}
mean = Mean(x, axes) {T: float32, Tidx: int32, keep_dims: true}
out = Sub(x, mean) {T: float32}
"""


def test_a_shape_that_the_recipe_gives_is_what_the_original_is_fed() -> None:
    found = verified("outputs: [out]\nsteps: [{step: set-shape, nodes: {x: [2, 6, 5, 3]}}, prune]\n", OPEN)
    assert found.passed and found.verdicts[0].comparisons[0].tensor == "float32[2,6,5,3]"
    other = OPEN.replace("shape[?,?,?,3]", "shape[1,9,9,3]")
    found = verified("outputs: [out]\nsteps: [{step: set-shape, nodes: {x: [1, 6, 5, 3]}}, prune]\n", other)
    assert found.passed and found.verdicts[0].comparisons[0].tensor == "float32[1,6,5,3]"


PIPELINE = """\
graph v1
record = Placeholder() {dtype: string, shape: shape[]}
flat = DecodeRaw(record) {out_type: float32, little_endian: true}
sizes = Const() {dtype: int32, value: tensor<int32[2]: 1, 4>}
decoded = Reshape(flat, sizes) {T: float32, Tshape: int32}
scale = Const() {dtype: float32, value: tensor<float32[]: 3.0>}
scaled = Mul(decoded, scale) {T: float32}
out = Tanh(scaled) {T: float32}
"""

CUT = """\
outputs: [out]
nodes: {Input: {op: Placeholder, dtype: float32, shape: [1, 4], like: decoded}}
namespaces: {decoded: Input}
steps: [collapse, prune]
"""


def test_where_an_input_pipeline_was_replaced_the_original_is_fed_at_the_cut() -> None:
    found = verified(CUT, PIPELINE)
    assert found.verdicts[0].outcome == "passed" and found.verdicts[2].outcome == "passed"
    assert found.verdicts[2].reason == (
        "both graphs start at 'decoded'; what the original does in front of that was not compared"
    )
    skipped = CUT.replace("{decoded: Input}", "{decoded: Input, scaled: Input}")
    skipped = skipped.replace("[collapse,", "[{step: collapse, outputs: {scaled: 'Input:output'}},")
    assert verified(skipped, PIPELINE).verdicts[0].outcome == "failed"


ADDED = """\
graph v1
x = Placeholder() {dtype: float32, shape: shape[?,3]}
ids = Placeholder() {dtype: int32, shape: shape[2]}
table = Const() {dtype: float32, value: tensor<float32[4,3]: 0.5, 1.5, 2.5, 1.0, 2.0, 3.0, 4.0, 5.0, 7.0, 1.0, 0.0, 8.0>}
axis = Const() {dtype: int32, value: tensor<int32[]: 0>}
rows = GatherV2(table, ids, axis) {Tparams: float32, Tindices: int32, Taxis: int32, batch_dims: 0}
out = Add(x, rows) {T: float32}
"""
PRUNED = "outputs: [out]\nsteps: [prune]\n"


def test_arrays_that_are_given(tmp_path: Path) -> None:
    arrays = {"x": np.ones((2, 3)), "ids:0": np.array([3, 0])}
    np.savez(tmp_path / "inputs.npz", **arrays)
    for inputs in (arrays, tmp_path / "inputs.npz"):
        found = verified(PRUNED, ADDED, inputs=inputs)
        assert found.passed and not found.made
    assert found.pictures == ("inputs.npz",)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"x": None}, "no array is given for the input 'x'; expected float32[?,3]"),
        ({"y": np.ones(3)}, "the graph has no input 'y' to put an array into; expected 'x', 'ids'"),
        ({"ids": np.ones(2)}, "the array for 'ids' is float64[2], of another type; expected int32[2]"),
        ({"ids": np.ones(3, int)}, "the array for 'ids' is int64[3], of another shape; expected int32[2]"),
        ({"ids": np.array([0, 1 << 40])}, "is int64[2], with numbers that do not fit; expected int32[2]"),
        ({"x": np.ones((2, 4))}, "of another shape; expected float32[?,3]"),
        (
            {"x": np.full((2, 3), 1e300)},
            "is float64[2,3], with numbers that do not fit; expected float32[?,3]",
        ),
        (
            {"x": [[1.0], [1.0, 2.0]]},
            "the array for 'x' has rows of different lengths; expected float32[?,3]",
        ),
    ],
)
def test_arrays_that_do_not_fit(changes: dict[str, Any], message: str) -> None:
    arrays = {"x": np.ones((2, 3)), "ids": np.array([3, 0]), **changes}
    with pytest.raises(SurgeonError) as exc:
        verified(PRUNED, ADDED, inputs={name: each for name, each in arrays.items() if each is not None})
    assert [d.code for d in exc.value.diagnostics] == ["V127"] and message in exc.value.diagnostics[0].message


def test_a_file_of_arrays_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "text.npz").write_text("x")
    np.savez(tmp_path / "objects.npz", x=np.array([{}], object))
    for name in ("absent", "text", "objects"):
        with pytest.raises(SurgeonError, match="V126"):
            verified(PRUNED, ADDED, inputs=tmp_path / f"{name}.npz")


def test_a_fixed_input_that_is_given() -> None:
    recipe = FIXED.format(name="phase_train", value="true", dtype="bool")
    x = np.arange(4, dtype=np.float32)[None]
    assert verified(recipe, TRAINED, inputs={"x": x, "phase_train": np.array(False)}).outcome == "failed"
    assert verified(recipe, TRAINED, inputs={"x": x, "phase_train": np.array(True)}).passed


ATTENTION = """\
graph v1
x = Placeholder() {dtype: float32, shape: shape[1,4,4]}
mask = Placeholder() {dtype: float32, shape: shape[1,1,4]}
scores = BatchMatMulV2(x, x) {T: float32, adj_x: false, adj_y: true}
one = Const() {dtype: float32, value: tensor<float32[]: 1.0>}
masked = Sub(one, mask) {T: float32}
large = Const() {dtype: float32, value: tensor<float32[]: -10000.0>}
bias = Mul(masked, large) {T: float32}
sum = Add(scores, bias) {T: float32}
shares = Softmax(sum) {T: float32}
out = BatchMatMulV2(shares, x) {T: float32, adj_x: false, adj_y: false}
"""
WRONG_SCORES = "outputs: [out]\nsteps: [{step: set-attr, nodes: [scores], attrs: {adj_y: false}}, prune]\n"


def test_a_mask_does_not_hide_what_it_masks() -> None:
    found = verified(PRUNED, ATTENTION)
    assert found.passed and len(found.pictures) == 3 and found.exercise.hidden == ()
    assert verified(WRONG_SCORES, ATTENTION).outcome == "failed"


def test_a_mask_may_be_one_whole_number() -> None:
    text = ATTENTION.replace("float32, shape: shape[1,1,4]", "int32, shape: shape[]")
    text = text.replace(
        "masked = Sub(one, mask)", "float = Cast(mask) {SrcT: int32, DstT: float32}\nmasked = Sub(one, float)"
    )
    assert verified(PRUNED, text).passed


def test_what_a_saturation_hides_is_listed() -> None:
    x = np.linspace(-1, 1, 16, dtype=np.float32).reshape(1, 4, 4)
    found = verified(WRONG_SCORES, ATTENTION, inputs={"x": x, "mask": np.array([[[1, 0, 0, 0]]], np.float32)})
    assert found.passed and "scores" in found.exercise.hidden
    assert found.not_exercised == ("scores.adj_y",)
    assert any("hidden, so that a mistake there is not noticed" in line for line in found.power_lines)
    assert found.to_json()["exercise"]["hidden"] == list(found.exercise.hidden)


def test_indices_stay_within_the_table_and_reach_its_last_row() -> None:
    graph = parse_graph(ADDED)
    made = made_input(graph, infer(graph), Ref("ids"), infer(graph).spec(Ref("ids")), None)
    rows = {int(row) for seed in range(20) for row in made.draw(0, np.random.default_rng(seed))}
    assert rows == {0, 1, 2, 3}
    assert verified(PRUNED, ADDED).passed


def test_lengths_reach_to_the_end_and_pictures_to_255() -> None:
    graph = parse_graph(
        "graph v1\nlengths = Placeholder() {dtype: int32, shape: shape[6]}\n"
        "x = Placeholder() {dtype: float32, shape: shape[1,4,4,3]}\n"
    )
    specs = infer(graph)
    lengths = made_input(graph, specs, Ref("lengths"), specs.spec(Ref("lengths")), 5)
    drawn = {int(each) for seed in range(20) for each in lengths.draw(0, np.random.default_rng(seed))}
    assert drawn == {1, 2, 3, 4, 5}
    picture = made_input(graph, specs, Ref("x"), specs.spec(Ref("x")), 5)
    largest = [float(picture.draw(number, np.random.default_rng(0)).max()) for number in range(3)]
    assert largest[0] <= 1 and largest[1] <= 1 and 200 < largest[2] <= 255


def test_numbers_that_the_original_cannot_take_are_left_out() -> None:
    text = "graph v1\nx = Placeholder() {dtype: float32, shape: shape[1,9]}\nout = Log(x) {T: float32}\n"
    found = verified(PRUNED, text)
    assert found.passed and len(found.pictures) == 2


def test_whole_numbers_are_neither_noticed_nor_hidden() -> None:
    text = (
        "graph v1\nx = Placeholder() {dtype: float32, shape: shape[2,8]}\n"
        "axis = Const() {dtype: int32, value: tensor<int32[]: 1>}\nscores = Tanh(x) {T: float32}\n"
        "out = ArgMax(scores, axis) {T: float32, Tidx: int32, output_type: int64}\n"
    )
    found = verified(PRUNED, text)
    assert (found.exercise.tried, found.exercise.hidden) == (1, ("scores",))


def test_texts_and_infinities_are_compared() -> None:
    text = (
        "graph v1\nx = Placeholder() {dtype: float32, shape: shape[1,9]}\n"
        "texts = AsString(x) {T: float32, precision: 3}\nzero = Const() {dtype: float32, value: tensor<float32[]: 0.5>}\n"
        "above = Greater(x, zero) {T: float32}\nkept = Cast(above) {SrcT: bool, DstT: float32}\nout = Log(kept) {T: float32}\n"
    )
    found = verified("outputs: [out, texts]\nsteps: [prune]\n", text)
    assert found.passed, reasons(found)
    json.dumps(found.to_json(), allow_nan=False)


PICTURE = """\
graph v1
ImageTensor = Placeholder() {dtype: uint8, shape: shape[1,?,?,3]}
checked = NoOp()
pre/cast = Cast(ImageTensor, ^checked) {SrcT: uint8, DstT: float32, Truncate: false}
pre/size = Const() {dtype: int32, value: tensor<int32[2]: 8, 8>}
pre/resize = ResizeBilinear(pre/cast, pre/size) {T: float32, align_corners: false, half_pixel_centers: false}
pre/scale = Const() {dtype: float32, value: tensor<float32[]: 0.5>}
pre/sub = Mul(pre/resize, pre/scale) {T: float32}
axes = Const() {dtype: int32, value: tensor<int32[2]: 1, 2>}
mean = Mean(pre/sub, axes) {T: float32, Tidx: int32, keep_dims: true}
out = Sub(pre/sub, mean) {T: float32}
"""
PREPARED = """\
outputs: [out]
nodes: {Input: {op: Placeholder, like: pre/sub, shape: [1, 8, 8, 3]}}
namespaces: {pre: Input, ImageTensor: Input}
image: {size: [8, 8], resize: stretch, interpolation: tf1-bilinear, color: RGB, steps: [{scale: 0.5}]}
"""
STATIC = PICTURE.replace("shape[1,?,?,3]", "shape[1,30,20,3]")


@pytest.mark.parametrize("text", [PICTURE, STATIC], ids=["open", "static"])
def test_image_is_compared_where_the_original_can_read_a_picture(text: str) -> None:
    found = verified(PREPARED, text)
    assert found.passed and [v.outcome for v in found.verdicts] == ["passed"] * 3
    for wrong in (PREPARED.replace("scale: 0.5", "scale: 0.51"), PREPARED.replace("RGB", "BGR")):
        found = verified(wrong, text)
        assert [v.outcome for v in found.verdicts] == ["passed", "failed", "failed"]


def test_image_is_compared_beside_another_input() -> None:
    text = PICTURE.replace("Sub(pre/sub, mean)", "Sub(pre/sub, bias)").replace(
        "mean = Mean", "bias = Placeholder() {dtype: float32, shape: shape[3]}\nmean = Mean"
    )
    assert verified(PREPARED, text).passed
    assert verified(PREPARED.replace("scale: 0.5", "scale: 0.6"), text).verdicts[2].outcome == "failed"
    several = {"ImageTensor": np.zeros((2, 9, 9, 3), np.uint8), "bias": np.ones(3)}
    with pytest.raises(SurgeonError, match=r"V127.*expected one picture beside other arrays"):
        verified(PREPARED, text.replace("shape[1,?", "shape[?,?"), inputs=several)


def test_a_picture_that_the_original_does_not_resize_has_the_size_of_the_input() -> None:
    text = PICTURE.replace("Mul(pre/resize,", "Mul(pre/cast,")
    assert verified(PREPARED, text).passed
    assert verified(PREPARED.replace("scale: 0.5", "scale: 0.6"), text).verdicts[2].outcome == "failed"


KEPT = """\
graph v1
x = Placeholder() {dtype: float32, shape: shape[?,6,6,1]}
half = Const() {dtype: float32, value: tensor<float32[]: 0.5>}
out = Mul(x, half) {T: float32}
"""
OWN = "image: {size: [6, 6], resize: stretch, color: GRAY}\n" + PRUNED


def test_arrays_of_any_numbers_go_into_a_network_that_keeps_its_input() -> None:
    for x in (np.linspace(-1, 1, 36).reshape(1, 6, 6, 1), np.arange(72.0).reshape(2, 6, 6, 1)):
        found = verified(OWN, KEPT, inputs={"x": x})
        assert found.passed and not found.made and found.pictures == ("given arrays",)
        assert found.verdicts[0].comparisons[0].tensor == f"float32[{len(x)},6,6,1]"


def test_an_array_that_image_prepares_is_pictures() -> None:
    open_batch = PICTURE.replace("shape[1,?,?,3]", "shape[?,?,?,3]")
    pixels = np.random.default_rng(0).integers(0, 256, (2, 16, 12, 3), np.uint8)
    found = verified(PREPARED, open_batch, inputs={"ImageTensor:0": pixels})
    assert found.passed and not found.made
    assert found.pictures == ("given arrays, picture 1", "given arrays, picture 2")
    one_channel = open_batch.replace("shape[?,?,?,3]", "shape[?,?,?,1]")
    grey = PREPARED.replace("[1, 8, 8, 3]", "[1, 8, 8, 1]").replace("color: RGB", "color: GRAY")
    found = verified(grey, one_channel, inputs={"ImageTensor": pixels[:1, ..., :1]})
    assert found.passed and found.pictures == ("given arrays",)
    with pytest.raises(SurgeonError, match=r"V127.*expected a picture, \[1, H, W, 3\] of whole numbers"):
        verified(
            PREPARED, PICTURE.replace("uint8", "float32"), inputs={"ImageTensor": np.full((1, 9, 9, 3), 0.5)}
        )


def test_a_picture_is_given_once() -> None:
    pixels = np.zeros((1, 8, 8, 3), np.uint8)
    with pytest.raises(SurgeonError, match=r"V127.*'ImageTensor' is given as an array and by pictures"):
        verified(PREPARED, PICTURE, inputs={"ImageTensor:0": pixels}, images=[pixels[0]])


def test_an_input_is_given_by_one_name() -> None:
    arrays = {"x": np.ones((2, 3)), "x:0": np.zeros((2, 3)), "ids": np.array([3, 0])}
    with pytest.raises(SurgeonError, match=r"V127.*'x' and 'x:0' are arrays for one input"):
        verified(PRUNED, ADDED, inputs=arrays)


def test_image_that_cannot_be_compared_does_not_pass(tmp_path: Path) -> None:
    text = PIPELINE.replace("int32[2]: 1, 4", "int32[4]: 1, 8, 8, 3")
    recipe = PREPARED.replace("pre/sub", "decoded").replace("0.5", "0.001")
    recipe = recipe.replace("{pre: Input, ImageTensor: Input}", "{decoded: Input}")
    found = verified(recipe, text, store=tmp_path / "original.npz")
    info, _ = read_records(tmp_path / "original.npz")
    assert info.computed == ("decoded",) and not info.prepared
    assert [v.outcome for v in found.verdicts] == ["passed", "not compared", "not compared"]
    assert found.verdicts[2].reason == (
        "both graphs start at 'decoded'; 'image' was not compared with what the original does in front of that"
    )
    assert found.verdicts[1].comparisons[0].reason == "the original is fed there"


TWO_READERS = """\
graph v1
x = Placeholder() {dtype: float32, shape: shape[1,4]}
two = Const() {dtype: float32, value: tensor<float32[]: 2.0>}
a = Mul(x, two) {T: float32}
one = Const() {dtype: float32, value: tensor<float32[]: 1.0>}
b = Add(x, one) {T: float32}
out = Mul(a, b) {T: float32}
"""
CONNECTED = """\
outputs: [out]
nodes: {k: {op: Const, value: [[1.0, 2.0, 3.0, 4.0]], dtype: float32}}
steps:
  - {step: add-node, node: k}
  - {step: disconnect, from: x, to: b}
  - {step: connect, from: k, to: b, at: 0}
"""


def test_a_constant_that_one_of_two_readers_reads_fixes_no_input() -> None:
    found = verified(CONNECTED, TWO_READERS)
    assert found.outcome == "failed" and found.pictures[0] == "made numbers, seed 0"
    both = "  - {step: disconnect, from: x, to: a}\n  - {step: connect, from: k, to: a, at: 0}\n"
    assert verified(CONNECTED + both, TWO_READERS).passed


SOFTMAX = """\
graph v1
x = Placeholder() {dtype: float32, shape: shape[8,99]}
axis = Const() {dtype: int32, value: tensor<int32[1]: 1>}
soft/exp = Exp(x) {T: float32}
soft/sum = Sum(soft/exp, axis) {T: float32, Tidx: int32, keep_dims: true}
soft/div = RealDiv(soft/exp, soft/sum) {T: float32}
out = Square(soft/div) {T: float32}
"""
ONE_SOFTMAX = (
    "outputs: [out]\nnodes: {s: {op: Softmax, dtype: float32, inputs: [x]}}\nnamespaces: {soft: s}\n"
    "steps: [collapse, prune]\n"
)


def test_what_overflows_ten_times_as_large_is_not_held_against_a_node() -> None:
    found = verified(ONE_SOFTMAX, SOFTMAX)
    assert found.passed and len(found.pictures) == 3, reasons(found)
    (wrong,) = {
        each.split(":")[0]
        for each in reasons(verified(ONE_SOFTMAX.replace("Softmax", "LogSoftmax"), SOFTMAX))
        if "soft" in each
    }
    assert wrong == "soft -> s"


def test_nan_that_reaches_no_output_proves_nothing_about_a_node() -> None:
    text = (
        "graph v1\nx = Placeholder() {dtype: float32, shape: shape[2,9]}\nlog/log = Log(x) {T: float32}\n"
        "zero = Const() {dtype: float32, value: tensor<float32[]: 0.0>}\nabove = Greater(x, zero) {T: float32}\n"
        "out = SelectV2(above, log/log, zero) {T: float32}\n"
    )
    recipe = (
        "outputs: [out]\nnodes: {{l: {{op: {op}, dtype: float32, inputs: [x]}}}}\nnamespaces: {{log: l}}\n"
        "steps: [collapse, prune]\n"
    )
    found = verified(recipe.format(op="Log"), text)
    assert found.passed and len(found.pictures) == 3, reasons(found)
    assert verified(recipe.format(op="Log1p"), text).outcome == "failed"


DEFAULT = """\
graph v1
zeros = Const() {dtype: float32, value: tensor<float32[1,4]: 0.0>}
x = PlaceholderWithDefault(zeros) {dtype: float32, shape: shape[?,4]}
weights = Const() {dtype: float32, value: tensor<float32[4,2]: 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0>}
out = MatMul(x, weights) {T: float32, transpose_a: false, transpose_b: false}
shift = Const() {dtype: float32, value: tensor<float32[2]: 1.0, 2.0>}
sum = Add(out, shift) {T: float32}
"""
SUM = PRUNED.replace("out]", "sum]")


def test_an_input_with_a_default_is_fed() -> None:
    wrong = "nodes: {w: {op: Const, value: [[1, 2], [3, 4], [5, 6], [7, 9]], dtype: float32}}\nnamespaces: {weights: w}\n"
    found = verified(SUM, DEFAULT)
    assert found.passed and len(found.pictures) == 3 and "out" not in found.exercise.hidden
    assert verified("outputs: [sum]\n" + wrong, DEFAULT).outcome == "failed"
    given = verified(SUM, DEFAULT, inputs={"x": np.ones((2, 4))})
    assert given.passed and given.verdicts[0].comparisons[0].tensor == "float32[2,2]"


def test_a_default_is_kept_where_other_arrays_are_given_or_its_size_is_not_known() -> None:
    text = DEFAULT.replace(
        "sum = Add(out, shift)", "y = Placeholder() {dtype: float32, shape: shape[2]}\nsum = Add(out, y)"
    )
    found = verified(SUM, text, inputs={"y": np.array([1, 2], np.float32)})
    assert found.passed and found.verdicts[0].comparisons[0].tensor == "float32[1,2]"
    open_size = DEFAULT.replace(
        "zeros = Const() {dtype: float32, value: tensor<float32[1,4]: 0.0>}",
        (
            "sizes = Placeholder() {dtype: int32, shape: shape[2]}\n"
            "zero = Const() {dtype: float32, value: tensor<float32[]: 0.5>}\n"
            "zeros = Fill(sizes, zero) {T: float32, index_type: int32}"
        ),
    ).replace("shape[?,4]", "shape[?,?]")
    found = verified(SUM, open_size, inputs={"sizes": np.array([3, 4], np.int32)})
    assert found.passed and found.verdicts[0].comparisons[0].tensor == "float32[3,2]"


PLAIN_NETWORK = """\
graph v1
x = Placeholder() {dtype: float32, shape: shape[1,4,4,3]}
y = Placeholder() {dtype: float32, shape: shape[4]}
w = Const() {dtype: float32, value: tensor<float32[1,1,1,3]: 0.5, -0.25, 2>}
scaled = Mul(x, w) {T: float32}
out = Sigmoid(scaled) {T: float32}
"""
IMAGE = "image: {size: [4, 4], steps: [{scale: 0.01}]}\n"


def written(folder: Path, **arrays: np.ndarray) -> Path:
    folder.mkdir()
    for name, array in arrays.items():
        np.save(folder / f"{name}.npy", array)
    return folder


def test_an_input_where_both_graphs_start_passes_with_a_remark() -> None:
    recipe = PRUNED.replace("prune", "{step: cut-at, tensors: [scaled], as: [start]}, prune")
    found = verified(recipe, PLAIN_NETWORK.replace("[1,4,4,3]", "[4,3]").replace("[1,1,1,3]", "[1,3]"))
    assert found.passed and "both graphs start at 'scaled'" in found.verdicts[2].reason
    text = PLAIN_NETWORK.replace("Sigmoid(scaled)", "Mul(scaled, keep)") + (
        "keep = Placeholder() {dtype: float32, shape: shape[]}\n"
    )
    assert not verified(PRUNED, text).diagnostics


def test_notes_of_the_plan_are_part_of_a_verification() -> None:
    text = PLAIN_NETWORK.replace("Sigmoid(scaled)", "Mul(scaled, kept)") + (
        "keep_prob = Placeholder() {dtype: float32, shape: shape[]}\n"
        "sizes = Shape(scaled) {T: float32, out_type: int32}\n"
        "random = RandomUniform(sizes) {T: int32, dtype: float32, seed: 0, seed2: 0}\n"
        "sum = AddV2(random, keep_prob) {T: float32}\n"
        "kept = Floor(sum) {T: float32}\n"
    )
    found = verified(PRUNED, text)
    assert found.passed and [note.code for note in found.diagnostics] == ["S227"]
    assert found.to_json()["diagnostics"][0]["code"] == "S227"


def test_a_folder_of_arrays_is_put_in_one_after_the_other(tmp_path: Path) -> None:
    ones = np.ones((1, 4, 4, 3), np.float32)
    folder = written(tmp_path / "several", first=ones * np.arange(3, dtype=np.float32), second=ones)
    np.savez(folder / "third.npz", x=ones * 2 * np.arange(3, dtype=np.float32))
    (folder / ".hidden").write_text("no array")
    found = verified(PRUNED, PLAIN_NETWORK, inputs=folder)
    assert found.pictures == ("first.npy", "second.npy", "third.npz") and not found.made and found.passed
    wrong = PRUNED.replace("prune", "{step: set-attr, nodes: [out], attrs: {T: float32}}, prune")
    assert verified(wrong, PLAIN_NETWORK, inputs=folder / "third.npz").passed
    alone = verified(PRUNED, PLAIN_NETWORK, inputs=folder / "first.npy")
    assert alone.pictures == ("first.npy",)


def test_arrays_named_as_inputs_belong_together(tmp_path: Path) -> None:
    two = PLAIN_NETWORK.replace("Sigmoid(scaled)", "Mul(scaled, x)").replace("out =", "both =") + (
        "out = AddV2(both, z) {T: float32}\n"
    )
    two = two.replace("w = Const", "z = Placeholder() {dtype: float32, shape: shape[1,1,1,3]}\nw = Const")
    x, z = np.random.default_rng(0).random((1, 4, 4, 3), np.float32), np.ones((1, 1, 1, 3), np.float32)
    found = verified(PRUNED, two, inputs=written(tmp_path / "set", x=x, z=z))
    assert found.pictures == ("set",) and found.passed
    folder = written(tmp_path / "shared", z=z)
    for name in ("a", "b"):
        np.savez(folder / f"{name}.npz", x=x)
    assert verified(PRUNED, two, inputs=folder).pictures == ("a.npz", "b.npz")
    lone = written(tmp_path / "lone", other=x)
    assert "named" not in code_and_message(PRUNED, two, inputs=lone)[1]
    assert code_and_message(PRUNED, two, inputs=lone)[0] == "V127"


def code_and_message(recipe: str, text: str, **options: Any) -> tuple[str, str]:
    with pytest.raises(SurgeonError) as caught:
        verified(recipe, text, **options)
    return caught.value.diagnostics[0].code, caught.value.diagnostics[0].message


def test_pictures_among_inputs_are_prepared(tmp_path: Path) -> None:
    pillow = pytest.importorskip("PIL.Image", reason="Pillow reads and writes pictures")
    folder = tmp_path / "pictures"
    folder.mkdir()
    pixels = np.random.default_rng(0).integers(0, 255, (8, 8, 3), np.uint8)
    for name in ("a", "b"):
        pillow.fromarray(pixels).save(folder / f"{name}.png")
    queue = "FIFOQueueV2() {component_types: [float32], shapes: [shape[4,4,3]], capacity: 1}\n"
    one = "one = Const() {dtype: int32, value: tensor<int32[]: 1>}\n"
    taken = "x = QueueDequeueManyV2(queue, one) {component_types: [float32], timeout_ms: -1}"
    text = PLAIN_NETWORK.replace(
        "x = Placeholder() {dtype: float32, shape: shape[1,4,4,3]}", f"queue = {queue}{one}{taken}"
    )
    recipe = PRUNED.replace("prune", "{step: cut-at, tensors: [x]}, prune")
    assert verified(PRUNED + IMAGE, PLAIN_NETWORK, inputs=folder).pictures == ("a.png", "b.png")
    cut = verified(recipe + IMAGE, text, inputs=folder)
    assert len(cut.pictures) == 2 and cut.verdicts[0].outcome == "passed"
    code, message = code_and_message(PRUNED, PLAIN_NETWORK, inputs=folder)
    assert code == "V127" and "the recipe has no 'image'" in message
    code, message = code_and_message(PRUNED, PLAIN_NETWORK, images=folder)
    assert code == "V128" and "--images has no effect" in message


@pytest.mark.parametrize("kind", ["empty", "text", "objects", "missing", "nested"])
def test_a_folder_without_arrays_is_refused(tmp_path: Path, kind: str) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    if kind == "text":
        (folder / "notes.txt").write_text("no array")
    elif kind == "objects":
        np.save(folder / "x.npy", np.array([{}], dtype=object), allow_pickle=True)
    elif kind == "nested":
        (folder / "inside").mkdir()
    place = folder / "none.npy" if kind == "missing" else folder
    assert code_and_message(PRUNED, PLAIN_NETWORK, inputs=place)[0] == "V126"


def test_anchors_that_a_step_makes_are_taken_as_given() -> None:
    """Both graphs are fed the step's anchors, so that wrong ones give the same; they are listed."""
    text = """
    graph v1
    outputs: y
    anchors = Placeholder() {dtype: float32, shape: shape[?,?,4]}
    keep = Placeholder() {dtype: float32, shape: shape[]}
    x = Placeholder() {dtype: float32, shape: shape[1,1,4]}
    kept = Mul(x, keep) {T: float32}
    y = Add(anchors, kept) {T: float32}
    """
    steps = (
        "{step: anchor-input, node: anchors, size: [33, 33], strides: [64], scales: [320], ratios: [1]}, "
        "{step: fix-inputs, values: {keep: 1}}"
    )
    recipe = surgeon.parse_recipe(f"recipe: 1\nname: q\noutputs: [y]\nsteps: [{steps}]\n")
    found = surgeon.verify(recipe, parse_graph(textwrap.dedent(text)))
    assert found.passed and found.given["anchor-input.scales"] == [320.0]
    assert found.given["fix-inputs.values"] == {"keep": 1}
    assert "size [33, 33], strides [64], scales [320], ratios [1]" in found.given_lines[1]
