"""A model that another program writes in place while it is read: refused, and nothing written."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

import surgeon
from surgeon.formats import all_formats
from surgeon.graph import parse_graph
from surgeon.zoo import demo

SUFFIXES = tuple(suffix for form in all_formats().values() for suffix in form.suffixes)

RECIPE = (
    "recipe: 1\nname: n\nsummary: A clip.\noutputs: [c]\n"
    "nodes: {c: {plugin: CustomClipPlugin, fields: {clipMin: 0, clipMax: 6}}}\nnamespaces: {y: c}\n"
)


def model(path: Path, weight: float = 1.0, count: int = 2048) -> Path:
    """Write a graph with a constant that stays in the file; its size is the same for every weight."""
    values = ", ".join([str(weight)] * count)
    text = (
        f"graph v1\nx = Placeholder() {{dtype: float32, shape: shape[1,{count}]}}\n"
        f"w = Const() {{dtype: float32, value: tensor<float32[{count}]: {values}>}}\n"
        "s = Mul(x, w) {T: float32}\ny = Relu6(s) {T: float32}\n"
    )
    surgeon.save_graph(parse_graph(text), path)
    return path


def overwrite(path: Path, data: bytes) -> None:
    """Write other bytes of the same number into a file, and set the time of its last change back."""
    stat = path.stat()
    with path.open("r+b") as handle:
        handle.write(data)
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert path.stat().st_size == stat.st_size


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    model(tmp_path / "model.pb")
    other = model(tmp_path / "other.pb", weight=2.0)
    (tmp_path / "other").write_bytes(other.read_bytes())
    other.unlink()
    return tmp_path


def refused(action: Callable[[], object]) -> None:
    with pytest.raises(surgeon.SurgeonError) as exc:
        action()
    (diagnostic,) = exc.value.diagnostics
    assert diagnostic.code == "E107" and "model.pb" in diagnostic.message and diagnostic.help


def when_complete(monkeypatch: pytest.MonkeyPatch, action: Callable[[], None]) -> None:
    """Do something when an output is complete and has not taken its name yet."""
    give_permissions = os.fchmod

    def acting(number: int, mode: int) -> None:
        give_permissions(number, mode)
        action()

    monkeypatch.setattr(os, "fchmod", acting)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_no_format_is_written_from_a_model_that_changes(
    suffix: str, files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe, other = surgeon.parse_recipe(RECIPE), (files / "other").read_bytes()
    surgeon.convert(recipe, "model.pb", f"fine{suffix}")
    graph = surgeon.load_graph("model.pb")
    before = sorted(os.listdir())
    with monkeypatch.context() as patch:
        when_complete(patch, lambda: overwrite(files / "model.pb", other))
        refused(lambda: surgeon.convert(recipe, "model.pb", f"out{suffix}"))
    refused(lambda: surgeon.convert(recipe, graph, f"out{suffix}"))
    assert sorted(os.listdir()) == before


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_what_is_taken_out_may_have_decided_the_fields(
    suffix: str, files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = surgeon.parse_recipe(
        RECIPE.replace("namespaces: {y: c}", "namespaces: {y: c, s: i, w: i, x: i}").replace(
            "nodes: {", "nodes: {i: {op: Placeholder, like: s}, "
        )
    )
    other = (files / "other").read_bytes()
    when_complete(monkeypatch, lambda: overwrite(files / "model.pb", other))
    refused(lambda: surgeon.convert(recipe, "model.pb", f"out{suffix}"))
    assert not (files / f"out{suffix}").exists()


def test_a_model_that_is_replaced_renamed_or_removed_does_no_harm(files: Path) -> None:
    recipe = surgeon.parse_recipe(RECIPE)
    surgeon.convert(recipe, "model.pb", "first.uff")
    graphs = [surgeon.load_graph("model.pb")]
    os.replace("other", "model.pb")
    graphs.append(surgeon.load_graph("model.pb"))
    os.rename("model.pb", "moved.pb")
    graphs.append(surgeon.load_graph("moved.pb"))
    os.link("moved.pb", "linked.pb")
    os.unlink("moved.pb")
    written = []
    for number, graph in enumerate(graphs):
        surgeon.convert(recipe, graph, f"{number}.uff")
        written.append(Path(f"{number}.uff").read_bytes())
    assert written[0] == Path("first.uff").read_bytes() != written[1] == written[2]
    surgeon.convert(recipe, "linked.pb", "linked.pb")
    assert Path("linked.pb").read_bytes() != b""


def test_one_that_is_written_and_then_removed_does(files: Path) -> None:
    graph = surgeon.load_graph("model.pb")
    with open("model.pb", "ab") as handle:
        handle.write(b"\0" * 8)
    os.unlink("model.pb")
    refused(lambda: surgeon.convert(surgeon.parse_recipe(RECIPE), graph, "out.uff"))


def test_a_plan_and_a_recipe_are_not_made_of_it_either(files: Path) -> None:
    graph = surgeon.load_graph("model.pb")
    overwrite(files / "model.pb", (files / "other").read_bytes())
    refused(lambda: surgeon.plan(surgeon.parse_recipe(RECIPE), graph))
    refused(lambda: surgeon.check(surgeon.parse_recipe(RECIPE), graph))


_CUT = """
import os, tempfile
import surgeon
make = tempfile.mkstemp
def cutting(*args, **named):
    os.truncate("model.pb", 0)
    return make(*args, **named)
tempfile.mkstemp = cutting
try:
    surgeon.convert("recipe.yaml", "model.pb", "out.uff")
except surgeon.SurgeonError as exc:
    print(exc)
"""


def test_a_model_that_is_cut_off_is_not_blamed_on_the_output(tmp_path: Path) -> None:
    model(tmp_path / "model.pb", count=100_000)
    (tmp_path / "recipe.yaml").write_text(RECIPE)
    done = subprocess.run(
        [sys.executable, "-c", _CUT], cwd=tmp_path, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert "error[E107]" in done.stdout and "model.pb" in done.stdout and "out.uff" not in done.stdout
    assert sorted(os.listdir(tmp_path)) == ["model.pb", "recipe.yaml"]


def test_a_model_that_changes_while_it_is_read(files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = (files / "other").read_bytes()
    duplicate = os.dup

    def changing(number: int) -> int:
        overwrite(files / "model.pb", other)
        return duplicate(number)

    monkeypatch.setattr(os, "dup", changing)
    refused(lambda: surgeon.load_graph("model.pb"))


@pytest.fixture
def detector(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "model.pb"
    path.write_bytes(demo.model_path().read_bytes())
    return path


def append(path: Path) -> None:
    with path.open("ab") as handle:
        handle.write(b"\0")


def test_no_recipe_is_made_of_it(detector: Path) -> None:
    graph = surgeon.load_graph(detector)
    append(detector)
    refused(lambda: surgeon.init(graph, "made.yaml", unchecked=True))
    assert os.listdir() == ["model.pb"]


def test_no_verdict_is_reached_on_it(detector: Path) -> None:
    pytest.importorskip("tensorflow", reason="ordinary operations run in TensorFlow")

    def pictures() -> Iterator[np.ndarray]:
        yield np.zeros((300, 300, 3), np.uint8)
        append(detector)

    refused(lambda: surgeon.verify("ssd", detector, images=pictures(), store="store.npz"))
    assert os.listdir() == ["model.pb"]


def test_no_detections_are_made_with_it(detector: Path) -> None:
    pytest.importorskip("tensorflow", reason="ordinary operations run in TensorFlow")
    picture = np.zeros((300, 300, 3), np.uint8)
    found = []
    refused(
        lambda: found.append(
            surgeon.detect("ssd", [picture], model=detector, output="out", watch=lambda *_: append(detector))
        )
    )
    assert found == [] and "detections.json" not in os.listdir("out")
