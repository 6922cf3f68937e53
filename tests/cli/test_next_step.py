"""What a verb says comes next is a command that works, pasted into a shell; stages are shown where wanted."""

from __future__ import annotations

import io
import re
import shlex
import subprocess
import sys
import time
from pathlib import Path

import pytest

from surgeon.cli import main
from surgeon.cli.progress import showing_stages
from surgeon.stages import tell_stage
from surgeon.zoo import demo


def next_steps(err: str) -> list[list[str]]:
    """Return the commands after 'next:' and 'or:', as a shell splits them, without 'surgeon'."""
    lines = re.findall(r"^(?:next|  or): (.*)$", err, re.MULTILINE)
    assert all(line.startswith("surgeon ") for line in lines)
    return [shlex.split(line)[1:] for line in lines]


@pytest.fixture
def odd(work: Path) -> tuple[str, str]:
    """Give a recipe and a model whose paths a shell would split, and take for more than they are."""
    folder = work / "it's a $folder"
    folder.mkdir()
    recipe, model = folder / "my recipe.yaml", folder / "a 'quoted' model.pb"
    recipe.write_text((work / "small.yaml").read_text())
    model.write_bytes((work / "small.pb").read_bytes())
    return str(recipe.relative_to(work)), str(model.relative_to(work))


def test_the_path_leads_from_check_to_a_file(run, odd: tuple[str, str]) -> None:
    recipe, model = odd
    given = ["--set", "top=4.5", "--target", "uff@tensorrt-7.1"]
    (step,) = next_steps(run("check", recipe, *given).err)
    assert step == ["check", recipe, "MODEL", *given]
    (step,) = next_steps(run("check", recipe, model, *given).err)
    assert step == ["verify", recipe, model, *given]
    (step,) = next_steps(run("plan", recipe, model, *given).err)
    assert step == ["convert", recipe, model, *given, "-o", "my recipe.uff"]
    ran = run(*step)
    assert ran.code == 0 and Path("my recipe.uff").is_file()
    assert next_steps(ran.err) == [["build", recipe, model, *given, "-o", "my recipe.engine"]]


def test_a_plan_is_applied_next(run, odd: tuple[str, str]) -> None:
    recipe, model = odd
    (step,) = next_steps(run("plan", recipe, model, "-o", "my plan.json").err)
    assert step == ["apply", "my plan.json", model, "-o", "my recipe.uff"]
    ran = run(*step)
    assert ran.code == 0 and next_steps(ran.err) == [["build", "my recipe.uff", "-o", "my recipe.engine"]]


def test_every_target_has_its_next_step(run, work: Path) -> None:
    steps = next_steps(run("plan", "small.yaml", "small.pb").err)
    assert [step[-1] for step in steps] == ["small.uff", "small.onnx"]
    graph = run("convert", "small.yaml", "small.pb", "-o", "small.rewritten.pb")
    assert next_steps(graph.err) == [["inspect", "small.rewritten.pb"]]
    assert run(*next_steps(graph.err)[0]).code == 0


def test_an_onnx_file_is_run_or_built(run, work: Path) -> None:
    pytest.importorskip("tf2onnx")
    ran = run("convert", "small.yaml", "small.pb", "-o", "my file.onnx")
    assert next_steps(ran.err) == [
        ["run", "my file.onnx", "PICTURE"],
        ["build", "my file.onnx", "-o", "my file.engine"],
    ]


def test_a_model_is_looked_at_then_verified_or_described(run, work: Path) -> None:
    (work / "my demo.pb").write_bytes(Path(demo.model_path()).read_bytes())
    (step,) = next_steps(run("inspect", "my demo.pb").err)
    assert step[0] == "verify" and step[-1] == "my demo.pb" and run("check", *step[1:]).code == 0
    (step,) = next_steps(run("init", "my demo.pb", "-o", "my demo.yaml").err)
    assert step == ["verify", "my demo.yaml", "my demo.pb"] and run("check", *step[1:]).code == 0
    (step,) = next_steps(run("init", "my demo.pb").err)
    assert step == ["verify", "RECIPE", "my demo.pb"]


@pytest.mark.parametrize("extra", [["--json"], ["-q"], ["--quiet"]])
def test_nothing_is_said_beside_json_or_when_quiet(run, work: Path, extra: list[str]) -> None:
    for command in (
        ["check", "small.yaml", "small.pb"],
        ["convert", "small.yaml", "small.pb", "-o", "x.uff"],
    ):
        for words in ([*command, *extra], [*extra, *command]):
            ran = run(*words)
            assert ran.code == 0 and ran.err == ""


def test_errors_are_told_when_quiet(run, work: Path) -> None:
    ran = run("check", "-q", "smal")
    assert ran.code == 1 and "error[R112]" in ran.err
    assert run("-q", "convert").code == 2
    assert run("-q", "list", "recipes").out == run("list", "recipes").out
    ran = run("-q", "check", "-v", "small.yaml")
    assert ran.code == 2 and "--quiet and --verbose exclude each other" in ran.err


def test_verbose_says_what_is_read_and_how_long_it_takes(run, work: Path) -> None:
    for words in (["-v", "convert"], ["convert", "--verbose"]):
        ran = run(*words, "small.yaml", "small.pb", "-o", "out.uff")
        stages = re.findall(r"^ +\d+\.\d\d s  (.*)$", ran.err, re.MULTILINE)
        assert stages == [
            "starting",
            "reading the model: small.pb",
            "reading the recipe: small.yaml",
            "planning the surgery",
            "looking for what the target refuses: uff@tensorrt-8.5",
            "writing: out.uff",
            "in all",
        ]
    assert "in all" not in run("check", "small.yaml", "small.pb").err
    ran = run("check", "-v", "--json", "small.yaml", "small.pb")
    assert ran.json["recipe"] == "small" and "reading the model" in ran.err


MUTED = """
from surgeon.cli.progress import showing_stages
from surgeon.optional import no_stderr
from surgeon.stages import tell_stage
import os
with showing_stages(line=False, verbose=True):
    with no_stderr():
        tell_stage("planning")
        tell_stage("loading")
        os.write(2, b"noise")
"""


def test_stages_are_told_while_the_talk_of_libraries_is_kept_off() -> None:
    done = subprocess.run([sys.executable, "-c", MUTED], capture_output=True, text=True)
    assert re.findall(r"s  (.*)", done.stderr) == ["starting", "planning", "loading", "in all"]
    assert "noise" not in done.stderr


class Terminal(io.StringIO):
    """What is written to a terminal."""

    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


def on_terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """Let standard error be a terminal, on which progress is shown at once."""
    err = Terminal()
    monkeypatch.setattr("sys.stderr", err)
    monkeypatch.setattr("surgeon.cli.progress._SILENT", 0.01)
    monkeypatch.setattr("surgeon.cli.progress._EVERY", 0.01)
    return err


def wait_for(err: Terminal, text: str) -> None:
    ends = time.monotonic() + 20
    while text not in err.getvalue():
        assert time.monotonic() < ends, err.getvalue()
        time.sleep(0.01)


def left(text: str) -> str:
    """Return what is left of a terminal's last line, as carriage returns leave it."""
    line: list[str] = []
    for part in text.rpartition("\n")[2].split("\r"):
        line[: len(part)] = part
    return "".join(line).rstrip()


@pytest.mark.parametrize("columns", [20, 60, 200])
def test_progress_is_one_line_that_goes(monkeypatch: pytest.MonkeyPatch, columns: int) -> None:
    from surgeon.cli import console

    terminal = on_terminal(monkeypatch)
    monkeypatch.setenv("COLUMNS", str(columns))
    with showing_stages(line=True, verbose=False):
        tell_stage("comparing", "漢字漢字漢字 photo.jpg", 3, 10)
        wait_for(terminal, "s  compar")
        assert left(terminal.getvalue())
        console.say("a line of talk")
        assert "\na line" not in terminal.getvalue() and "\ra line of talk\n" in terminal.getvalue()
        tell_stage("comparing", "other.jpg", 4, 10)
        wait_for(terminal, "s  compar")
    assert left(terminal.getvalue()) == ""
    shown = terminal.getvalue().replace("\n", "\r").split("\r")
    assert all(len(part) < columns for part in shown)
    assert ("3/10  漢字漢字漢字 photo.jpg" in terminal.getvalue()) == (columns > 20)
    assert ("..." in terminal.getvalue()) == (columns == 20)


def test_progress_is_for_terminals_only(work: Path, capsys, monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = on_terminal(monkeypatch)
    monkeypatch.setattr("surgeon.api.convert.apply", slow(monkeypatch))
    for extra in (["-q"], ["--json"]):
        assert main(["convert", "small.yaml", "small.pb", "-o", "x.uff", *extra]) == 0
        assert terminal.getvalue() == ""
    assert main(["convert", "small.yaml", "small.pb", "-o", "x.uff"]) == 0
    assert "planning the surgery" in terminal.getvalue()
    assert terminal.getvalue().count("\n") == 2 and "\rx.uff: " in terminal.getvalue()
    plain = io.StringIO()
    monkeypatch.setattr("sys.stderr", plain)
    assert main(["convert", "small.yaml", "small.pb", "-o", "x.uff"]) == 0
    assert "planning" not in plain.getvalue() and "\r" not in plain.getvalue()


def slow(monkeypatch: pytest.MonkeyPatch):
    """Return ``rewrite.apply``, slowed down until the line of progress has been drawn."""
    from surgeon.rewrite import apply

    def applied(*args):
        time.sleep(0.3)
        return apply(*args)

    return applied
