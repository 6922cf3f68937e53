"""--input and --constant on the verbs that take a recipe and a model."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

NETWORK = """\
graph v1
x = Placeholder() {dtype: float32, shape: shape[?,?,?,3]}
keep_prob = Placeholder() {dtype: float32, shape: shape[]}
sizes = Shape(x) {T: float32, out_type: int32}
random = RandomUniform(sizes) {T: int32, dtype: float32, seed: 1, seed2: 2}
sum = Add(random, keep_prob) {T: float32}
mask = Floor(sum) {T: float32}
scaled = RealDiv(x, keep_prob) {T: float32}
out = Mul(scaled, mask) {T: float32}
"""
SHAPE = ("--input", "x=1x4x4x3")


@pytest.fixture
def network(graph_file, work: Path) -> tuple[str, str]:
    """Give a recipe and a model with an input of open size and one of training."""
    graph_file(work / "net.pb", NETWORK)
    (work / "net.yaml").write_text("recipe: 1\nname: net\noutputs: [out]\nsteps: [for-inference, prune]\n")
    return "net.yaml", "net.pb"


def test_shapes_and_constants_are_given(run, network: tuple[str, str]) -> None:
    refused = run("convert", *network, "-o", "net.uff")
    assert refused.code == 1 and "X106" in refused.err and "--input x=1x300x300x3" in refused.err
    done = run("convert", *network, "-o", "net.uff", *SHAPE)
    assert done.code == 0 and Path("net.uff").is_file(), done.err
    assert f"surgeon build net.yaml net.pb {' '.join(SHAPE)} -o net.engine" in done.err
    planned = run("plan", *network, *SHAPE, "--constant", "keep_prob=0.5", "--json").json
    assert [step["step"] for step in planned["steps"]][:2] == ["set-shape", "fix-inputs"]
    applied = run("plan", *network, *SHAPE, "-o", "plan.json")
    assert applied.code == 0 and run("apply", "plan.json", "net.pb", "-o", "applied.pb").code == 0
    checked = run("check", *network, *SHAPE, "--json")
    assert checked.code == 0 and json.loads(checked.out)["nodes"]["after"] == 2


@pytest.mark.parametrize(
    ("given", "part"),
    [
        (("--input", "X=1x4x4x3"), "S225"),
        (("--constant", "keep_prop=1"), "nearest: 'keep_prob'"),
        (("--input", "x=1x4x4x1"), "S226"),
        (("--input", "x=many"), "'many' is no shape"),
        (("--input", "x=1x4x4x3:float23"), "nearest: 'float32'"),
        (("--constant", "keep_prob=[1"), "R101"),
        (("--constant", "x=1:2"), "S208"),
        (("--input", "^x=1x4x4x3"), "S225"),
        ((*SHAPE, "--input", "x=2x4x4x3"), "the input 'x' is given twice; expected each input once"),
        (("--constant", "keep_prob=1", "--constant", "keep_prob:0=0.5"), "is given twice"),
    ],
)
def test_what_is_wrong_is_said_and_nothing_is_written(
    run, network: tuple[str, str], given: tuple[str, str], part: str
) -> None:
    ran = run("convert", *network, "-o", "net.uff", *given)
    assert ran.code == 1 and part in ran.err
    assert not Path("net.uff").exists()


@pytest.mark.parametrize(
    "arguments",
    [
        ("check", "net.yaml", *SHAPE),
        ("convert", "net.yaml", "net.pb", "-o", "net.uff", "--input", "x"),
        ("view", "net.pb", "--html", "page.html", "--constant", "keep_prob=1"),
        ("verify", "--engine", "e.engine", "--original", "o.npz", *SHAPE),
        ("build", "net.uff", "-o", "e.engine", *SHAPE),
    ],
)
def test_where_they_mean_nothing_is_wrong_usage(
    run, network: tuple[str, str], arguments: tuple[str, ...]
) -> None:
    assert run(*arguments).code == 2


def test_init_refuses_an_input_that_is_given_twice(run, network: tuple[str, str]) -> None:
    ran = run("init", network[1], *SHAPE, *SHAPE)
    assert ran.code == 1 and "S225" in ran.err


def test_a_warning_of_batches_is_shown_once(run, graph_file, work: Path) -> None:
    text = """\
graph v1
x = Placeholder() {dtype: float32, shape: shape[?,8]}
bs = Placeholder() {dtype: int32, shape: shape[]}
rest = Const() {dtype: int32, value: tensor<int32[]: -1>}
shape = Pack(bs, rest) {N: 2, T: int32, axis: 0}
out = Reshape(x, shape) {T: float32, Tshape: int32}
"""
    graph_file(work / "net.pb", text)
    (work / "net.yaml").write_text("recipe: 1\nname: net\noutputs: [out]\nsteps: [prune]\n")
    given = ("--input", "x=4x8", "--constant", "bs=2")
    for verb in (("plan", "net.yaml", "net.pb"), ("convert", "net.yaml", "net.pb", "-o", "net.pb.out.pb")):
        ran = run(*verb, *given)
        assert ran.code == 0 and ran.err.count("warning[S229]") + ran.out.count("warning[S229]") == 1, (
            ran.err + ran.out
        )
