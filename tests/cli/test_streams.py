"""``-`` is standard input in the place of a file that is read, and standard output in that of one that is written."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from surgeon.cli import main

SURGEON = [sys.executable, "-m", "surgeon"]


@dataclass
class Piped:
    """What a command in a pipe did."""

    code: int
    out: bytes
    err: str


@pytest.fixture
def pipe(monkeypatch: pytest.MonkeyPatch):
    """Give ``pipe(*arguments, data=b"", terminal=False) -> Piped``, run in this process."""

    class Output(io.TextIOWrapper):
        terminal = False

        def isatty(self) -> bool:
            return self.terminal

    def run(*arguments: str, data: bytes = b"", terminal: bool = False) -> Piped:
        out, err = Output(io.BytesIO(), "utf-8"), io.StringIO()
        out.terminal = terminal
        with monkeypatch.context() as patched:
            patched.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(data), "utf-8"))
            patched.setattr("sys.stdout", out)
            patched.setattr("sys.stderr", err)
            try:
                code = main([*arguments])
            except SystemExit as exc:
                code = int(exc.code or 0)
            out.flush()
        return Piped(code, out.buffer.getvalue(), err.getvalue())

    return run


@pytest.fixture
def files(pipe, work: Path) -> Path:
    """Give the working folder with ``small.uff`` and ``small.json``, and see that nothing else appears."""
    assert pipe("convert", "small.yaml", "small.pb", "-o", "small.uff").code == 0
    assert pipe("plan", "small.yaml", "small.pb", "-o", "small.json").code == 0
    return work


def content(name: str) -> bytes:
    return Path(name).read_bytes()


def test_a_model_and_a_recipe_come_from_standard_input(pipe, files: Path) -> None:
    before = sorted(os.listdir())
    for arguments, name in (
        (["small.yaml", "-"], "small.pb"),
        (["-", "small.pb"], "small.yaml"),
    ):
        ran = pipe("convert", *arguments, "-o", "-", data=content(name))
        assert (ran.code, ran.out) == (0, content("small.uff"))
        assert "standard output: " in ran.err and "next:" not in ran.err
    assert sorted(os.listdir()) == before


def test_a_model_is_what_its_content_is(pipe, files: Path) -> None:
    assert pipe("convert", "small.yaml", "small.pb", "-o", "small.pbtxt").code == 0
    for name, kind in (
        ("small.pb", "frozen graph"),
        ("small.uff", "UFF file"),
        ("small.pbtxt", "frozen graph"),
    ):
        ran = pipe("inspect", "-", data=content(name))
        assert ran.code == 0 and ran.out.startswith(f"standard input: {kind}, ".encode())


def test_an_onnx_file_goes_through_a_pipe(pipe, files: Path) -> None:
    pytest.importorskip("tf2onnx")
    ran = pipe("convert", "small.yaml", "small.pb", "-o", "-", "--target", "onnx@onnxruntime")
    assert ran.code == 0
    seen = pipe("inspect", "-", data=ran.out)
    assert seen.code == 0 and seen.out.startswith(b"standard input: ONNX file")


def test_every_text_goes_to_standard_output(pipe, files: Path) -> None:
    assert json.loads(pipe("plan", "small.yaml", "small.pb", "-o", "-").out) == json.loads(
        content("small.json")
    )
    ran = pipe("apply", "-", "small.pb", "-o", "-", data=content("small.json"))
    assert (ran.code, ran.out) == (0, content("small.uff"))
    assert pipe("schema", "-o", "-").out == pipe("schema").out
    assert pipe("view", "small.yaml", "small.pb", "--html", "page.html").code == 0
    assert pipe("view", "small.yaml", "small.pb", "--html", "-").out == content("page.html")
    assert b"<html" in pipe("diff", "-", "small.uff", "--html", "-", data=content("small.pb")).out
    assert pipe("diff", "small.uff", "-", data=content("small.uff")).out == b"the graphs are equal\n"


def test_parameters_and_relative_bases_of_a_recipe_from_standard_input(pipe, files: Path) -> None:
    data = b"recipe: 1\nname: mine\nsummary: More.\nextends: [./small.yaml]\n"
    ran = pipe("check", "-", "small.pb", "--set", "top=4.5", data=data)
    assert ran.code == 0 and b"recipe 'mine'" in ran.out and b"top=4.5" in ran.out
    assert "next: surgeon verify RECIPE small.pb --set top=4.5\n" in ran.err


@pytest.mark.parametrize(
    ("command", "says"),
    [
        ("convert - - -o x.uff", "RECIPE and MODEL cannot both be '-'; standard input is read once"),
        (
            "convert small.yaml small.pb -o - --json",
            "--json and an output of '-' both write to standard output",
        ),
        ("build small.yaml small.pb -o -", "-o cannot be '-'; expected a path"),
        ("demo -o -", "-o cannot be '-'"),
        ("verify small.yaml small.pb --images -", "--images cannot be '-'"),
        ("verify small.yaml small.pb --store -", "--store cannot be '-'"),
        ("test -", "RECIPE cannot be '-'"),
    ],
)
def test_what_is_no_stream_is_refused(pipe, work: Path, command: str, says: str) -> None:
    before = sorted(os.listdir())
    ran = pipe(*command.split())
    assert (ran.code, ran.out) == (2, b"") and says in ran.err
    assert sorted(os.listdir()) == before


def test_a_binary_file_is_not_written_to_a_terminal(pipe, work: Path) -> None:
    ran = pipe("convert", "small.yaml", "small.pb", "-o", "-", terminal=True)
    assert (ran.code, ran.out) == (2, b"") and "redirect standard output, or name a file" in ran.err
    assert pipe("schema", "-o", "-", terminal=True).code == 0


@pytest.mark.parametrize(
    ("command", "data", "code"),
    [
        ("inspect -", b"", "E103"),
        ("inspect -", b"no graph at all", "G101"),
        ("check - small.pb", b"\xff\xfe\x00", "E101"),
        ("check - small.pb", b"recipe: [", "R101"),
        ("apply - small.pb -o x.uff", b"{}", "S408"),
    ],
)
def test_a_wrong_input_is_explained(pipe, work: Path, command: str, data: bytes, code: str) -> None:
    ran = pipe(*command.split(), data=data)
    assert ran.code == 1 and f"error[{code}]" in ran.err and not Path("x.uff").exists()


def test_a_closed_standard_input_is_an_error(work: Path) -> None:
    done = subprocess.run([*SURGEON, "inspect", "-"], preexec_fn=lambda: os.close(0), capture_output=True)
    assert done.returncode == 1 and b"error[E10" in done.stderr and b"Traceback" not in done.stderr


def test_a_reader_that_goes_away_ends_the_pipe(work: Path) -> None:
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(
        [*SURGEON, "convert", "small.yaml", "small.pb", "-o", "-"], stdout=write, stderr=subprocess.PIPE
    )
    os.close(write)
    assert done.returncode == 141 and b"Traceback" not in done.stderr
    assert sorted(os.listdir()) == ["small.pb", "small.yaml"]


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="this system has no /dev/full")
def test_a_full_disk_behind_standard_output_is_an_error(work: Path) -> None:
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            [*SURGEON, "convert", "small.yaml", "small.pb", "-o", "-"], stdout=full, stderr=subprocess.PIPE
        )
    assert done.returncode == 1 and b"error[E105]: standard output cannot be written" in done.stderr
