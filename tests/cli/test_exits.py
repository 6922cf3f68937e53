"""Every way to end: errors, wrong usage, bugs, interrupts, closed pipes; nothing half-written, no traceback."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest


def codes(ran) -> list[str]:
    return [d["code"] for d in ran.json["diagnostics"]]


def broken_commands(folder: Path) -> dict[str, tuple[str, list[str]]]:
    """Return, by name, the expected code and a command that earns it; write what the command needs."""
    (folder / "empty.pb").write_bytes(b"")
    (folder / "cut.pb").write_bytes((folder / "small.pb").read_bytes()[:-7])
    (folder / "pointer.pb").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n")
    (folder / "folder").mkdir()
    (folder / "typo.yaml").write_text((folder / "small.yaml").read_text().replace("summary:", "sumary:"))
    (folder / "absent.yaml").write_text((folder / "small.yaml").read_text().replace("  pre:", "  prae:"))
    (folder / "plugin.yaml").write_text(
        (folder / "small.yaml").read_text().replace("CustomClipPlugin", "CustomClip")
    )
    (folder / "field.yaml").write_text(
        (folder / "small.yaml").read_text().replace("clipMax: $top", "clipMax: $top, clipMiddle: 3.0")
    )
    convert = ["convert", "small.yaml", "small.pb", "-o"]
    long = "x" * 300
    return {
        "no such model": ("E101", ["convert", "small.yaml", "nothing.pb", "-o", "out.uff"]),
        "a folder that is not a SavedModel": ("E102", ["convert", "small.yaml", "folder", "-o", "out.uff"]),
        "an empty model": ("E103", ["convert", "small.yaml", "empty.pb", "-o", "out.uff"]),
        "a pointer": ("E104", ["convert", "small.yaml", "pointer.pb", "-o", "out.uff"]),
        "a truncated model": ("G101", ["convert", "small.yaml", "cut.pb", "-o", "out.uff"]),
        "no such recipe": ("R112", ["convert", "smal", "small.pb", "-o", "out.uff"]),
        "a misspelt key": ("R104", ["convert", "typo.yaml", "small.pb", "-o", "out.uff"]),
        "a namespace that is not there": ("R201", ["convert", "absent.yaml", "small.pb", "-o", "out.uff"]),
        "no such plugin": ("C101", ["check", "plugin.yaml"]),
        "no such field": ("C102", ["check", "field.yaml"]),
        "no such parameter": ("R110", [*convert, "out.uff", "--set", "bottom=1"]),
        "no such folder": ("E105", [*convert, "nowhere/out.uff"]),
        "an output that is a folder": ("E105", [*convert, "folder/../folder.pb/x.pb"]),
        "no such target": ("T101", [*convert, "out.uff", "--target", "uff@tensorrt-4"]),
        "an unknown suffix": ("T102", [*convert, "out.trt"]),
        "onnx for another format": ("X131", [*convert, "out.onnx", "--target", "uff@tensorrt-8.5"]),
        "uff for onnx": ("X131", [*convert, "out.uff", "--target", "onnx@onnxruntime"]),
        "an opset for uff": ("X152", [*convert, "out.uff", "--opset", "17"]),
        "uff for another format": ("X131", [*convert, "out.uff", "--target", "graphdef"]),
        "no plan": ("S408", ["apply", "small.yaml", "small.pb", "-o", "out.uff"]),
        "no such plan": ("E101", ["apply", "nothing.json", "small.pb", "-o", "out.uff"]),
        "no such recipe folder": ("E101", ["check", "ssd", "--recipe-path", "nowhere"]),
        "no such plugin folder": ("C113", [*convert, "out.uff", "--plugin-path", "nowhere"]),
        "nothing to explain": ("E111", ["explain", "nothing at all"]),
        "no such file to inspect": ("E101", ["inspect", "nothing.pb"]),
        "no such uff": ("E101", ["inspect", "nothing.uff"]),
        "no such file to compare": ("E101", ["diff", "small.pb", "nothing.pb"]),
        "a model whose name is too long": ("E101", ["inspect", f"{long}.pb"]),
        "a recipe whose name is too long": ("R112", ["check", f"{long}.yaml"]),
        "a shipped recipe whose name is too long": ("R112", ["check", long]),
        "an output whose name is too long": ("E105", [*convert, f"{long}.uff"]),
        "a plan to write whose name is too long": ("E105", ["plan", "small.yaml", "small.pb", "-o", long]),
        "a page whose name is too long": ("E105", ["view", "small.pb", "--html", long]),
        "a recipe folder whose name is too long": ("E101", ["check", "ssd", "--recipe-path", long]),
        "a plugin folder whose name is too long": ("C113", [*convert, "out.uff", "--plugin-path", long]),
        "pictures whose name is too long": ("V102", ["verify", "small.yaml", "small.pb", "--images", long]),
        "cases whose name is too long": ("R112", ["test", f"{long}.yaml"]),
        "a code whose name is too long": ("E111", ["explain", "X" * 300]),
        "a parameter that is not UTF-8": ("R101", [*convert, "out.uff", "--set", "top=\udcff"]),
    }


NAMES = [
    "no such model",
    "a folder that is not a SavedModel",
    "an empty model",
    "a pointer",
    "a truncated model",
    "no such recipe",
    "a misspelt key",
    "a namespace that is not there",
    "no such plugin",
    "no such field",
    "no such parameter",
    "no such folder",
    "an output that is a folder",
    "no such target",
    "an unknown suffix",
    "onnx for another format",
    "uff for onnx",
    "an opset for uff",
    "uff for another format",
    "no plan",
    "no such plan",
    "no such recipe folder",
    "no such plugin folder",
    "nothing to explain",
    "no such file to inspect",
    "no such uff",
    "no such file to compare",
    "a model whose name is too long",
    "a recipe whose name is too long",
    "a shipped recipe whose name is too long",
    "an output whose name is too long",
    "a plan to write whose name is too long",
    "a page whose name is too long",
    "a recipe folder whose name is too long",
    "a plugin folder whose name is too long",
    "pictures whose name is too long",
    "cases whose name is too long",
    "a code whose name is too long",
    "a parameter that is not UTF-8",
]


@pytest.mark.parametrize("name", NAMES)
def test_an_error_is_explained_and_leaves_nothing(run, work: Path, name: str) -> None:
    code, command = broken_commands(work)[name]
    before = sorted(work.rglob("*"))
    as_json, as_text = run(*command, "--json"), run(*command)
    assert as_json.code == as_text.code == 1
    assert codes(as_json) == [code]
    assert as_text.out == "" and f"error[{code}]" in as_text.err and f"surgeon explain {code}" in as_text.err
    assert "Traceback" not in as_text.err
    assert sorted(work.rglob("*")) == before


def test_all_broken_commands_are_run(work: Path) -> None:
    assert list(broken_commands(work)) == NAMES


def test_a_uff_file_is_no_graph(run, work: Path) -> None:
    run("convert", "small.yaml", "small.pb", "-o", "small.uff")
    for command in (
        ["convert", "small.yaml", "small.uff", "-o", "x.pb"],
        ["view", "small.uff", "small.yaml", "--html", "x.html"],
    ):
        assert codes(run(*command, "--json")) == ["E110"]


def test_a_failed_conversion_keeps_the_old_output(run, work: Path) -> None:
    run("convert", "small.yaml", "small.pb", "-o", "out.uff")
    old = (work / "out.uff").read_bytes()
    broken_commands(work)
    assert run("convert", "absent.yaml", "small.pb", "-o", "out.uff").code == 1
    assert (work / "out.uff").read_bytes() == old


def test_the_output_may_be_the_input(run, work: Path) -> None:
    run("convert", "small.yaml", "small.pb", "-o", "apart.pb")
    assert run("convert", "small.yaml", "small.pb", "-o", "small.pb").code == 0
    assert (work / "small.pb").read_bytes() == (work / "apart.pb").read_bytes()


@pytest.mark.parametrize(
    "arguments",
    [
        ["surgery"],
        ["convert", "a", "b"],
        ["convert"],
        ["inspect", "x", "--depth", "0"],
        ["inspect", "x", "--depth", "x"],
        ["check", "a", "--set", "top"],
        ["check", "a", "--set", "=1"],
        ["list", "models"],
        ["demo", "--date", "2016"],
        ["check", "a", "--targ", "b"],
        ["convert", "a", "b", "-o", "c.onnx", "--batch", "0"],
        ["convert", "a", "b", "-o", "c.onnx", "--plugins", "some"],
    ],
)
def test_wrong_usage(run, arguments: list[str]) -> None:
    ran = run(*arguments)
    assert ran.code == 2 and ran.out == "" and "usage: surgeon" in ran.err


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch) -> Callable[[BaseException], None]:
    """Give a function that lets ``surgeon doctor`` fail with an exception."""
    import surgeon.cli.doctor

    def fail(exception: BaseException) -> None:
        def run(args: object) -> int:
            raise exception

        monkeypatch.setattr(surgeon.cli.doctor, "run", run)

    return fail


def test_a_bug_is_ours(run, failing, monkeypatch) -> None:
    monkeypatch.delenv("SURGEON_TRACEBACK", raising=False)
    failing(ZeroDivisionError("division by zero"))
    ran = run("doctor")
    assert ran.code == 70 and ran.out == ""
    assert (
        "this is a bug of surgeon; please report it" in ran.err
        and "ZeroDivisionError: division by zero" in ran.err
    )
    assert "Traceback" not in ran.err
    assert run("doctor", "--json").json == {
        "diagnostics": [],
        "bug": {"type": "ZeroDivisionError", "message": "division by zero"},
    }


def test_a_bug_shows_its_place_on_demand(run, failing, monkeypatch) -> None:
    monkeypatch.setenv("SURGEON_TRACEBACK", "1")
    failing(KeyError("x"))
    assert "Traceback (most recent call last)" in run("doctor").err


@pytest.mark.parametrize("exception", [MemoryError(), RecursionError("maximum recursion depth exceeded")])
def test_too_large_or_too_deep_is_a_diagnostic(run, failing, exception: BaseException) -> None:
    failing(exception)
    ran = run("doctor", "--json")
    assert ran.code == 1 and codes(ran) == ["E109"]


def test_an_interrupt(run, failing) -> None:
    failing(KeyboardInterrupt())
    ran = run("doctor")
    assert (ran.code, ran.out, ran.err) == (130, "", "interrupted\n")


def surgeon(*arguments: str, **options) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run([sys.executable, "-m", "surgeon", *arguments], capture_output=True, **options)


def test_a_closed_pipe_is_quiet() -> None:
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(
        [sys.executable, "-m", "surgeon", "explain", "NMS_TRT"], stdout=write, stderr=subprocess.PIPE
    )
    os.close(write)
    assert (done.returncode, done.stderr) == (141, b"")


def test_a_terminal_without_the_letters(tmp_path: Path) -> None:
    from surgeon.formats.graphdef import save_graph
    from surgeon.graph import parse_graph

    save_graph(
        parse_graph('graph v1\n"K\u00f6rper/\u6f22" = Placeholder() {dtype: float32}\n'), tmp_path / "x.pb"
    )
    environment = {**os.environ, "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
    done = surgeon("inspect", str(tmp_path / "x.pb"), "--depth", "2", env=environment)
    assert done.returncode == 0 and b"K\\xf6rper/\\u6f22" in done.stdout


def test_names_cannot_steer_the_terminal(run, work: Path, graph_file: Callable[..., Path]) -> None:
    graph_file(
        work / "evil.pb", 'graph v1\n"a\\u001b[2J\\u001b[31mb\\u0007" = Placeholder() {dtype: float32}\n'
    )
    ran = run("inspect", "evil.pb")
    assert ran.code == 0 and "\x1b" not in ran.out and "\x07" not in ran.out and "\\x1b[2J" in ran.out


def test_colour_is_for_terminals_only(run, work: Path, monkeypatch) -> None:
    from surgeon.cli import console

    assert "\x1b" not in run("inspect", "small.pb").out
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    assert console.coloured(sys.stdout)
    monkeypatch.setenv("NO_COLOR", "1")
    assert not console.coloured(sys.stdout)


def test_paths_with_spaces_from_another_folder(run, work: Path, monkeypatch) -> None:
    there = work / "a folder" / "with \u00e4"
    there.mkdir(parents=True)
    os.rename("small.pb", there / "my model.pb")
    os.rename("small.yaml", there / "my recipe.yaml")
    elsewhere = work / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    ran = run("convert", there / "my recipe.yaml", there / "my model.pb", "-o", "../out put.uff")
    assert ran.code == 0 and (work / "out put.uff").is_file()
    assert str(there / "my recipe.yaml") in json.dumps(
        run("check", there / "my recipe.yaml", "--json").json, ensure_ascii=False
    )


def test_it_runs_as_a_module_and_starts_light() -> None:
    code = (
        "import sys; from surgeon.cli import main\ntry: main(['--version'])\nexcept SystemExit: pass\n"
        "print(sorted({'numpy', 'pydantic', 'yaml', 'google'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.splitlines()[1] == "[]"
    assert surgeon("--version").stdout.startswith(b"surgeon ")


def test_own_recipes_and_plugins(run, work: Path, own_plugins: Path, recipe_text: str) -> None:
    (work / "mine").mkdir()
    mine = recipe_text.replace("name: small", "name: mine").replace("CustomClipPlugin", "Twice")
    (work / "mine" / "mine.yaml").write_text(mine.replace("{clipMin: 0.0, clipMax: $top}", "{factor: 3}"))
    paths = ["--recipe-path", "mine", "--plugin-path", own_plugins]
    ran = run("convert", "mine", "small.pb", "-o", "out.uff", *paths)
    assert ran.code == 0, ran.err
    assert run("inspect", "out.uff", "--json").json["plugins"] == {"clip": "Twice"}
    assert "mine" in run("list", "recipes", "--recipe-path", "mine").out
    assert "Twice" in run("list", "plugins", "--plugin-path", own_plugins).out
    assert "what to multiply by" in run("explain", "Twice", "--plugin-path", own_plugins).out
    assert codes(run("convert", "mine", "small.pb", "-o", "x.uff", "--recipe-path", "mine", "--json")) == [
        "C101"
    ]


def test_a_duplicate_names_both_owners(run, work: Path, own_plugins: Path) -> None:
    os.rename(own_plugins / "Twice", own_plugins / "NMS_TRT")
    ran = run("list", "plugins", "--plugin-path", own_plugins, "--json")
    assert codes(ran) == ["C112"] and str(own_plugins) in ran.err and "NMS_TRT" in ran.err
    (work / "ssd.yaml").write_text("recipe: 1\n")
    assert codes(run("list", "recipes", "--recipe-path", ".", "--json")) == ["R111"]


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="this system has no /dev/full")
def test_a_full_disk_behind_standard_output() -> None:
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            [sys.executable, "-m", "surgeon", "schema"], stdout=full, stderr=subprocess.PIPE
        )
    assert (
        done.returncode == 1
        and done.stderr.startswith(b"error[E105]: standard output")
        and b"Traceback" not in done.stderr
    )


def test_a_full_disk_leaves_nothing(work: Path) -> None:
    import resource
    import signal

    def small() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (64, 64))

    done = surgeon(
        "convert",
        "small.yaml",
        "small.pb",
        "-o",
        "out.uff",
        preexec_fn=small,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
    )
    assert done.returncode == 1 and b"error[E105]" in done.stderr and b"nothing was changed" in done.stderr
    assert sorted(p.name for p in work.iterdir()) == ["small.pb", "small.yaml"]
