"""What a shell is offered where a command line ends."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest


def offered(line: str, folder: Path) -> list[str]:
    """Return what completes a line, as a shell asks for it."""
    pytest.importorskip("argcomplete", reason="argcomplete is not installed")
    answer = folder / "answer"
    environment = {
        **os.environ,
        "_ARGCOMPLETE": "1",
        "_ARGCOMPLETE_IFS": "\n",
        "_ARGCOMPLETE_SHELL": "bash",
        "_ARGCOMPLETE_SUPPRESS_SPACE": "1",
        "_ARGCOMPLETE_STDOUT_FILENAME": str(answer),
        "XDG_CONFIG_HOME": str(folder / "none"),
        "COMP_LINE": line,
        "COMP_POINT": str(len(line)),
        "COMP_TYPE": "9",
    }
    code = "import sys; sys.argv[0] = 'surgeon'; from surgeon.cli import main; sys.exit(main())"
    ran = subprocess.run(
        [sys.executable, "-c", code], env=environment, cwd=folder, capture_output=True, text=True
    )
    assert answer.exists(), ran.stderr
    return [word.strip() for word in answer.read_text().split("\n")]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("surgeon con", ["config", "convert"]),
        ("surgeon convert --anch", ["--anchors"]),
        ("surgeon check ssd_mob", ["ssd_mobilenet_v2_coco"]),
        ("surgeon check ssd --target onnx@tensorrt-1", ["onnx@tensorrt-10"]),
        ("surgeon explain NMS_", ["NMS_TRT"]),
        ("surgeon explain R20", ["R201"]),
        ("surgeon explain clip-", ["clip-first"]),
        ("surgeon test my", ["my.yaml", "my_folder/"]),
        ("surgeon test FlattenC", ["FlattenConcat_TRT"]),
    ],
)
def test_names_are_completed(tmp_path: Path, line: str, words: list[str]) -> None:
    (tmp_path / "my.yaml").touch()
    (tmp_path / "my_folder").mkdir()
    assert set(words) <= set(offered(line, tmp_path))


def test_a_hostile_project_runs_nothing_and_a_damaged_one_leaves_the_rest(tmp_path: Path) -> None:
    (tmp_path / "surgeon.toml").write_text('plugin-path = ["."]\n')
    assert "config" in offered("surgeon con", tmp_path)
    assert "onnx@tensorrt-10" in offered("surgeon check ssd --target onnx@tensorrt-1", tmp_path)


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_shell_s_own_code(run, shell: str) -> None:
    pytest.importorskip("argcomplete", reason="argcomplete is not installed")
    ran = run("completion", shell)
    assert ran.code == 0 and "_ARGCOMPLETE" in ran.out and "surgeon" in ran.out


def test_another_shell_is_refused(run) -> None:
    assert run("completion", "csh").code == 2
