"""Files that people write: no verb replaces one by a slip, and none that it would lose without --force."""

from __future__ import annotations

from pathlib import Path

import pytest

import surgeon
from surgeon.zoo import demo

EDITED = "# the work of a week\n"

GENERATED = {
    "plan": ("plan", "small.yaml", "small.pb", "-o"),
    "schema": ("schema", "-o"),
    "view": ("view", "small.pb", "--html"),
    "diff": ("diff", "small.pb", "small.pb", "--html"),
    "verify": ("verify", "small.yaml", "small.pb", "--store"),
    "build": ("build", "small.yaml", "small.pb", "-o", "small.engine", "--layers"),
    "build with a cache": ("build", "small.yaml", "small.pb", "-o", "small.engine", "--timing-cache"),
}


@pytest.mark.parametrize("name", ["mine.yaml", "mine.yml", "surgeon.toml", "model.py"])
@pytest.mark.parametrize("verb", GENERATED)
def test_a_generated_file_replaces_nothing_that_people_write(run, work: Path, verb: str, name: str) -> None:
    (work / name).write_text(EDITED)
    before = sorted(work.iterdir())
    ran = run(*GENERATED[verb], name)
    assert ran.code == 1 and f"error[E120]: '{name}' is there already" in ran.err
    assert (work / name).read_text() == EDITED and sorted(work.iterdir()) == before


@pytest.mark.parametrize("verb", ["plan", "schema", "view", "diff"])
def test_a_generated_file_is_written_anew(run, work: Path, verb: str) -> None:
    for _ in range(2):
        assert run(*GENERATED[verb], "product.json").code == 0


@pytest.mark.parametrize("name", ["ssd.pb", "labels.pbtxt", "pictures/shapes_7_3.jpg"])
def test_the_demo_keeps_what_it_did_not_write(tmp_path: Path, name: str) -> None:
    surgeon.demo_model(tmp_path)
    (tmp_path / name).write_text(EDITED)
    kept = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    with pytest.raises(surgeon.SurgeonError, match="E120"):
        surgeon.demo_model(tmp_path)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == kept
    made = surgeon.demo_model(tmp_path, force=True)
    assert made.model.read_bytes() == demo.model_path().read_bytes()
    assert (tmp_path / name).read_bytes() != EDITED.encode()


def test_the_verb_demo_keeps_an_edited_recipe(run, tmp_path: Path) -> None:
    (tmp_path / "ssd.yaml").write_text(EDITED)
    ran = run("demo", "-o", tmp_path)
    assert ran.code == 1 and "ssd.yaml' is there already" in ran.err
    assert (tmp_path / "ssd.yaml").read_text() == EDITED and not (tmp_path / "ssd.uff").exists()
