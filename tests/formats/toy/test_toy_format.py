"""A format, its target and a lint for it that come with another distribution: found by entry points."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

HERE = Path(__file__).parent
GRAPH = """\
graph v1
outputs: body/Relu6
picture = Placeholder() {dtype: float32, shape: shape[1,4,4,3]}
pre/scaled = Relu(picture) {T: float32}
body/Relu = Relu(pre/scaled) {T: float32}
body/Relu6 = Relu6(body/Relu) {T: float32}
"""
RECIPE = """\
recipe: 1
name: small
outputs: [clip]
nodes:
  Input: {op: Placeholder, like: pre/scaled}
  clip: {plugin: CustomClipPlugin, fields: {clipMin: 0.0, clipMax: 6.0}}
namespaces:
  pre: Input
  picture: Input
  body/Relu6: clip
"""
Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a folder with a frozen graph, a recipe, and the metadata of an installed distribution."""
    from surgeon.formats.graphdef import save_graph
    from surgeon.graph import parse_graph

    folder = tmp_path_factory.mktemp("toy")
    save_graph(parse_graph(GRAPH), folder / "small.pb")
    (folder / "small.yaml").write_text(RECIPE)
    _install(folder, "toy_format")
    return folder


def _install(folder: Path, module: str) -> None:
    metadata = folder / f"{module}-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {module}\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(
        f"[surgeon.formats]\ntoy = {module}\n\n[surgeon.targets]\ntoy = {module}\n\n"
        f"[surgeon.lints]\ntoy = {module}.lint\n"
    )


@pytest.fixture(scope="module")
def run(work: Path) -> Run:
    """Give a function that runs the command line with the toy installed."""

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "surgeon", *arguments],
            cwd=work,
            env={**os.environ, "PYTHONPATH": os.pathsep.join([str(work), str(HERE)])},
            capture_output=True,
            text=True,
        )

    return run


def test_its_target_is_listed(run: Run) -> None:
    listed = run("list", "targets")
    assert listed.returncode == 0 and "A toy, for no runtime" in listed.stdout, listed.stderr


@pytest.fixture(scope="module")
def converted(run: Run) -> None:
    """Write small.toy."""
    done = run("convert", "small.yaml", "small.pb", "-o", "small.toy")
    assert (done.returncode, "for toy" in done.stderr) == (0, True), done.stderr


@pytest.mark.usefixtures("converted")
def test_a_converted_model_is_read_back(run: Run) -> None:
    shown = run("inspect", "small.toy")
    assert shown.stdout.startswith("small.toy: toy file, 3 nodes"), shown.stderr
    assert "recipe" in shown.stdout and "small" in shown.stdout and "CustomClipPlugin" in shown.stdout
    differs = run("diff", "small.pb", "small.toy")
    assert "clip" in differs.stdout, differs.stderr


def test_a_recipe_is_checked_against_its_target_and_lint(run: Run) -> None:
    checked = run("check", "small.yaml", "small.pb", "--target", "toy")
    assert checked.returncode == 0, checked.stderr
    assert "body/Relu: warning[Z901]: the name is too long for a toy" in checked.stdout + checked.stderr
    other = run("check", "small.yaml", "small.pb", "--target", "graphdef")
    assert other.returncode == 0 and "Z901" not in other.stdout + other.stderr


@pytest.mark.usefixtures("converted")
@pytest.mark.parametrize(
    ("arguments", "code", "text"),
    [
        ("convert small.yaml small.pb -o small.toy --target onnx@onnxruntime", "X131", "such as 'toy'"),
        ("convert small.yaml small.pb -o small.toy --opset 13", "X152", "expected a '.onnx' file"),
        ("convert small.yaml small.toy -o small.uff", "E110", "'small.toy' is a toy file"),
        ("convert small.yaml small.pb -o small.toyy", "T102", "expected .toy, .uff, .onnx"),
    ],
)
def test_what_does_not_go_with_it_is_refused(run: Run, arguments: str, code: str, text: str) -> None:
    refused = run(*arguments.split())
    assert refused.returncode == 1 and f"error[{code}]" in refused.stderr
    assert text in refused.stderr, refused.stderr


def test_a_second_format_of_the_suffix_names_both_owners(run: Run, work: Path) -> None:
    (work / "second_toy.py").write_text(
        "import toy_format\n\n\nclass Second(toy_format.ToyFormat):\n    name = 'second'\n\n\n"
        "FORMAT = Second()\n"
    )
    _install(work, "second_toy")
    (work / "second_toy-1.0.dist-info" / "entry_points.txt").write_text(
        "[surgeon.formats]\nsecond = second_toy\n"
    )
    refused = run("convert", "small.yaml", "small.pb", "-o", "small.toy")
    assert refused.returncode == 1 and "E112" in refused.stderr
    assert "'second_toy'" in refused.stderr and "'toy_format'" in refused.stderr
