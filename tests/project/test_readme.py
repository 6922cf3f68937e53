"""The ```console blocks of the README, the plugin guide and the page of Triton, run in a temporary folder; output that follows must match."""

from __future__ import annotations

import doctest
import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path

import pytest
from triton_server import FakeTriton, serving

from surgeon.zoo import demo

README = Path(__file__).resolve().parents[2] / "README.md"
NOT_RUN = ("make", "git", "pip", "python3 -m venv", "python -m pip", "source")
NEED_TENSORRT = ("surgeon build",)
LIMIT_S = 300

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("commands")]


@dataclass(frozen=True)
class Command:
    """One `$ ` line with the output that the README shows below it; an empty one promises nothing."""

    text: str
    expected: str
    line: int

    @property
    def is_run(self) -> bool:
        """Whether the command is of this package, not of the checkout or of an installer."""
        return not any(self.text == start or self.text.startswith(f"{start} ") for start in NOT_RUN)


def commands(markdown: str) -> list[Command]:
    """Return the commands of all fenced console blocks; a line that ends in a backslash goes on."""
    found: list[Command] = []
    inside, text, output, start = False, "", [], 0
    for number, line in enumerate([*markdown.splitlines(), "```"], 1):
        fence = line.lstrip().startswith("```")
        opens_command = inside and line.startswith("$ ")
        if text and (fence or opens_command):
            found.append(Command(text, "\n".join(output).strip("\n"), start))
            text, output = "", []
        if fence:
            inside = not inside and re.match(r"\s*```console\b", line) is not None
        elif opens_command:
            text, start = line[2:].strip(), number
        elif inside and text.endswith("\\") and not output:
            text = f"{text[:-1].rstrip()} {line.removeprefix('> ').strip()}"
        elif inside:
            output.append(line.rstrip())
    return found


def section(markdown: str, heading: str) -> str:
    """Return a section of the second level, on the lines where it stands."""
    (found,) = re.finditer(rf"^## {re.escape(heading)}\n(.*?)(?=^## |\Z)", markdown, re.S | re.M)
    return "\n" * markdown.count("\n", 0, found.start()) + found[0]


def matches(expected: str, shown: str) -> bool:
    """Return whether the output is as shown, `...` standing for anything and runs of blanks for one."""
    flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    return doctest.OutputChecker().check_output(f"{expected}\n", f"{shown}\n", flags)


def execute(command: Command, folder: Path, *programs: Path) -> tuple[int, str]:
    """Run a command by the shell; return its status and all of its output.

    Programs are those of the folders ``programs``, then this interpreter's.
    """
    path = os.pathsep.join([*map(str, programs), sysconfig.get_path("scripts"), os.environ["PATH"]])
    environment = {**os.environ, "PATH": path, "COLUMNS": "100"}
    done = subprocess.run(
        ["bash", "-c", command.text],
        cwd=folder,
        env=environment,
        text=True,
        timeout=LIMIT_S,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    return done.returncode, done.stdout.strip("\n")


def expects_failure(command: Command) -> bool:
    """Return whether the README shows an error as the command's output."""
    return re.search(r"\berror\[[A-Z]\d+\]", command.expected) is not None


def failure_of(command: Command, folder: Path, *programs: Path) -> str | None:
    """Run one command; return what differs from the page, or None."""
    status, shown = execute(command, folder, *programs)
    if (status != 0) != expects_failure(command):
        return f"line {command.line}: '{command.text}' ended with status {status}:\n{shown}"
    if command.expected and not matches(command.expected, shown):
        return (
            f"line {command.line}: '{command.text}' shows\n{shown}\nwhere the page shows\n{command.expected}"
        )
    return None


def test_the_readme_shows_the_program() -> None:
    shown = [command for command in commands(README.read_text(encoding="utf-8")) if command.is_run]
    assert any(command.text.startswith("surgeon ") for command in shown), (
        "README.md shows no surgeon command to run"
    )


@pytest.mark.parametrize("heading", ["Your own model", "A tour of five minutes"])
def test_the_commands_of_the_readme_work(tmp_path: Path, warm_surgeon: Path, heading: str) -> None:
    model = demo.demo_model(tmp_path / "own")
    shutil.copy(model.model, tmp_path / "model.pb")
    shutil.copytree(model.pictures, tmp_path / "pictures")
    first, *others = commands(section(README.read_text(encoding="utf-8"), heading))
    assert failure_of(first, tmp_path) is None  # the program as it is installed
    for command in others:
        if command.text.startswith(NEED_TENSORRT) and find_spec("tensorrt") is None:
            status, shown = execute(command, tmp_path, warm_surgeon)
            assert status == 1 and "error[E108]" in shown
        else:
            assert failure_of(command, tmp_path, warm_surgeon) is None


def test_every_command_of_the_readme_is_run() -> None:
    text = README.read_text(encoding="utf-8")
    run = section(text, "Your own model") + section(text, "A tour of five minutes")
    assert not [command.text for command in commands(text) if command.is_run and command.text not in run]


def files_of(markdown: str) -> dict[str, str]:
    """Return the fenced blocks that stand below a line with nothing but a file's name."""
    return dict(re.findall(r"^`([\w./-]+)`:\n\n```\w+\n(.*?)^```", markdown, re.S | re.M))


def test_the_plugin_guide_works_as_it_stands(tmp_path: Path, warm_surgeon: Path) -> None:
    guide = (README.parent / "docs" / "plugin-guide.md").read_text(encoding="utf-8")
    files = files_of(guide)
    assert sorted(Path(name).name for name in files) == [
        "cases.yaml",
        "onnx.py",
        "plugin.yaml",
        "reference.py",
        "scale_shift.yaml",
        "shape.py",
    ]
    shown = commands(guide)
    verbs = {command.text.split()[1] for command in shown}
    assert verbs == {"new", "explain", "test", "check", "verify", "convert"}
    assert list(tmp_path.iterdir()) == []
    first, *others = shown
    assert failure_of(first, tmp_path) is None  # the program as it is installed
    for command in others:
        assert failure_of(command, tmp_path, warm_surgeon) is None
    for name, text in files.items():
        assert (tmp_path / name).read_text(encoding="utf-8") == text
    wrong = tmp_path / "my_plugins" / "ScaleShift" / "reference.py"
    wrong.write_text(wrong.read_text(encoding="utf-8").replace("+ shifts", "- shifts"), encoding="utf-8")
    (tried,) = (command for command in shown if command.text.split()[1] == "test")
    assert failure_of(tried, tmp_path, warm_surgeon) is not None


def test_the_page_of_triton_works(tmp_path: Path, warm_surgeon: Path) -> None:
    page = (README.parent / "docs" / "triton.md").read_text(encoding="utf-8")
    shown = commands(page)
    asking = [command for command in shown if "client.py" in command.text]
    first = shown.index(asking[0])
    for command in shown[:first]:
        assert failure_of(command, tmp_path, warm_surgeon) is None
    with serving(FakeTriton(tmp_path / "served" / "models")) as triton:
        for command in shown[first:]:
            text = command.text.replace("http://localhost:8000", triton.url)
            assert failure_of(replace(command, text=text), tmp_path, warm_surgeon) is None
    assert [name for name, _ in triton.seen] == ["ssd"] * 2 + ["ssd_pictures"] * 4


def test_the_guide_to_fleets_works_as_it_stands(tmp_path: Path, warm_surgeon: Path) -> None:
    pytest.importorskip("ray", reason="Ray is not installed (extra 'fleet')")
    guide = (README.parent / "docs" / "fleet.md").read_text(encoding="utf-8")
    for name, text in files_of(guide).items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    shown = commands(guide)
    assert [command.text.split()[0] for command in shown] == ["python", "surgeon", "surgeon", "surgeon"]
    for command in shown:
        assert failure_of(command, tmp_path, warm_surgeon) is None
    report = json.loads((tmp_path / "fleet" / "report.json").read_text(encoding="utf-8"))
    assert report["passed"] and [cell["verdict"] for cell in report["cells"]] == ["passed", "passed"]
    assert sorted(path.name for path in (tmp_path / "fleet").glob("report.*")) == [
        "report.html",
        "report.json",
        "report.md",
    ]


EXAMPLE = """\
Text with `$ not a command`.

```console
$ make demo
$ printf 'one\\ntwo\\nthree\\n'
one
...
three
$ printf '%s ' a \\
>   b
a b
```

```yaml
$ not: a command
```
"""


def test_blocks_are_read_as_they_are_shown() -> None:
    make, lines, continued = commands(EXAMPLE)
    assert (make.text, make.is_run, make.expected) == ("make demo", False, "")
    assert (lines.expected, lines.line, lines.is_run) == ("one\n...\nthree", 5, True)
    assert (continued.text, continued.expected) == ("printf '%s ' a b", "a b")


def test_a_wrong_output_a_failure_and_a_missing_error_are_seen(tmp_path: Path) -> None:
    good = commands(EXAMPLE)[1]
    assert failure_of(good, tmp_path) is None
    assert failure_of(Command(good.text, "one\n...\nfour", 1), tmp_path) is not None
    assert failure_of(Command("exit 3", "", 1), tmp_path) is not None
    assert failure_of(Command("echo fine", "error[R201]: ...", 1), tmp_path) is not None
    assert failure_of(Command("echo 'error[R201]: x'; exit 1", "error[R201]: ...", 1), tmp_path) is None


def test_a_warm_program_does_what_the_installed_one_does(tmp_path: Path, warm_surgeon: Path) -> None:
    (tmp_path / "here.yaml").write_text("recipe: 1\nname: here\nextends: [sdd]\n", encoding="utf-8")
    for text in ("surgeon check here.yaml", "echo Xy | surgeon explain --log -", "surgeon nothing"):
        command = Command(text, "", 1)
        status, shown = execute(command, tmp_path)
        assert shown and execute(command, tmp_path, warm_surgeon) == (status, shown)


def test_the_interpreter_of_the_tests_is_used(tmp_path: Path) -> None:
    status, shown = execute(Command("python -c 'import sys; print(sys.prefix)'", "", 1), tmp_path)
    assert (status, shown) == (0, sys.prefix)
