"""Links in folders that a command writes into: what they lead to stays as it is."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

import surgeon
from surgeon.atomic import check_writable, write_bytes, write_text
from surgeon.formats.onnx.writer import write_onnx
from surgeon.graph import parse_graph
from surgeon.zoo import demo

GRAPH = "graph v1\nx = Placeholder() {dtype: float32, shape: shape[1,4]}\ny = Relu6(x) {T: float32}\n"
RECIPE = (
    "recipe: 1\nname: n\nsummary: A clip.\noutputs: [c]\n"
    "nodes: {c: {plugin: CustomClipPlugin, fields: {clipMin: 0, clipMax: 6}}}\nnamespaces: {y: c}\n"
)


@pytest.fixture
def victim(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file elsewhere that a link leads to; the working folder has a model and a recipe."""
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    surgeon.save_graph(parse_graph(GRAPH), "m.pb")
    Path("r.yaml").write_text(RECIPE)
    victim = tmp_path / "victim"
    victim.write_text("precious")
    return victim


def link_refused(ran: object, name: str) -> None:
    code, err = ran.code, ran.err  # type: ignore[attr-defined]
    assert code == 1 and "error[E105]" in err and name in err and "is a link to" in err


@pytest.mark.parametrize("name", ["before.json", "after.json", "colours.json", "sync.json"])
@pytest.mark.parametrize("dangling", [False, True])
def test_an_export_goes_through_no_link(run, victim: Path, name: str, dangling: bool) -> None:
    folder = Path("out")
    folder.mkdir()
    if dangling:
        victim.unlink()
    (folder / name).symlink_to(victim)
    link_refused(run("view", "m.pb", "r.yaml", "--export", "out"), name)
    assert os.listdir(folder) == [name] and (folder / name).is_symlink()
    assert not victim.exists() if dangling else victim.read_text() == "precious"
    (folder / name).unlink()
    # The folder itself is what the user named: it may be a link.
    Path("other").symlink_to(folder)
    assert run("view", "m.pb", "r.yaml", "--export", "other").code == 0 and len(os.listdir(folder)) == 4


@pytest.mark.parametrize("name", ["detections.json", "shapes_7_3.jpg.png", "shapes_7_3.jpg.npz"])
def test_a_run_goes_through_none(run, victim: Path, name: str) -> None:
    pytest.importorskip("tensorflow", reason="ordinary operations run in TensorFlow")
    Path("out").mkdir()
    (Path("out") / name).symlink_to(victim)
    picture = next(path for path in demo.picture_paths() if path.stem == "shapes_7_3")
    ran = run("run", "ssd", demo.model_path(), picture, "-o", "out", "--tensors")
    link_refused(ran, name)
    assert victim.read_text() == "precious"


@pytest.mark.parametrize("name", ["ssd.pb", "labels.pbtxt", "pictures/shapes_7_3.jpg"])
def test_the_demo_model_goes_through_none(victim: Path, name: str) -> None:
    path = Path("out") / name
    path.parent.mkdir(parents=True)
    path.symlink_to(victim)
    with pytest.raises(surgeon.SurgeonError, match="E105"):
        surgeon.demo_model("out")
    assert victim.read_text() == "precious"


def test_weights_beside_a_file_go_through_none(victim: Path) -> None:
    onnx = pytest.importorskip("onnx")
    weights = onnx.helper.make_tensor("w", 1, [600], bytes(2400), raw=True)
    graph = onnx.helper.make_graph([], "g", [], [], [weights])
    model = onnx.helper.make_model(graph)
    Path("m.onnx.data").symlink_to(victim)
    with pytest.raises(surgeon.SurgeonError, match="E105"):
        write_onnx(model, "m.onnx", limit=2000)
    assert victim.read_text() == "precious" and not Path("m.onnx").exists()


def test_a_link_that_was_named_is_followed(run, victim: Path) -> None:
    Path("link.uff").symlink_to(victim)
    assert run("convert", "r.yaml", "m.pb", "-o", "link.uff").code == 0
    assert Path("link.uff").is_symlink() and victim.read_bytes() != b"precious"


def test_a_link_that_appears_meanwhile_is_replaced(victim: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    replace: Callable[..., None] = os.replace

    def linking(source: Path, target: Path) -> None:
        Path("name.json").symlink_to(victim)
        replace(source, target)

    monkeypatch.setattr(os, "replace", linking)
    write_text("name.json", "{}", follow_links=False)
    assert victim.read_text() == "precious" and Path("name.json").read_text() == "{}"
    assert not Path("name.json").is_symlink()


def test_an_ordinary_file_is_overwritten(victim: Path) -> None:
    Path("name").write_bytes(b"old")
    check_writable("name", follow_links=False)
    write_bytes("name", b"new", follow_links=False)
    assert Path("name").read_bytes() == b"new"
