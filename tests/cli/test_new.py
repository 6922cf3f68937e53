"""Skeletons: each works as it is written, and its own test passes and can fail."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import surgeon

NAMES = {"recipe": "my_detector", "plugin": "TimesPlus", "family": "MyFamily", "step": "my-step"}


def own_test(folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a skeleton's test as its author does."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(folder)]
    return subprocess.run(command, cwd=folder.parent, capture_output=True, text=True)


@pytest.mark.parametrize("kind", NAMES)
def test_a_skeleton_works_as_it_is_written(run, kind: str, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    name = NAMES[kind]
    ran = run("new", kind, name)
    assert ran.code == 0, ran.err
    files = [Path(line) for line in ran.out.splitlines()]
    assert files and all(file.is_file() and file.parts[0] == name for file in files)
    assert sorted(files) == sorted(p.relative_to(tmp_path) for p in tmp_path.rglob("*") if p.is_file())
    texts = [file.read_text(encoding="utf-8") for file in files if file.suffix != ".pb"]
    assert not any("scale" in text.lower() and kind != "plugin" for text in texts)
    assert not any("ScaleShift" in text or "scale_shift" in text for text in texts)
    passed = own_test(tmp_path / name)
    assert passed.returncode == 0, passed.stdout


def test_a_skeleton_s_test_can_fail(tmp_path: Path) -> None:
    from surgeon.authoring.skeleton import write_skeleton

    write_skeleton("plugin", "TimesPlus", tmp_path)
    reference = tmp_path / "my_plugins" / "TimesPlus" / "reference.py"
    reference.write_text(reference.read_text().replace("+ shifts", "- shifts"))
    assert "1 failed" in own_test(tmp_path).stdout


def test_nothing_is_overwritten(run, tmp_path: Path) -> None:
    assert run("new", "recipe", "mine", "-o", tmp_path).code == 0
    assert run("new", "recipe", "mine", "-o", tmp_path).code == 0  # the same content
    (tmp_path / "mine.yaml").write_text("# edited\n")
    (tmp_path / "model.pb").unlink()
    ran = run("new", "recipe", "mine", "-o", tmp_path)
    assert ran.code == 1 and "error[E120]" in ran.err
    assert (tmp_path / "mine.yaml").read_text() == "# edited\n" and not (tmp_path / "model.pb").exists()


@pytest.mark.parametrize("name", ["", "1st", "../x", "a/b", "class", "a b", "a" * 64, "ä", "a\n", "."])
def test_names_are_checked(run, tmp_path: Path, name: str, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    ran = run("new", "step", name)
    assert ran.code == 1 and "error[E135]" in ran.err
    assert list(tmp_path.iterdir()) == []


def test_a_plugin_has_no_hyphen(run, tmp_path: Path) -> None:
    assert "E135" in run("new", "plugin", "a-b", "-o", tmp_path).err


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    from surgeon.authoring.skeleton import write_skeleton

    (tmp_path / "kept").write_text("kept")
    (tmp_path / "mine.yaml").symlink_to("kept")
    with pytest.raises(surgeon.SurgeonError, match="E105"):
        write_skeleton("recipe", "mine", tmp_path)
    assert (tmp_path / "kept").read_text() == "kept"
