"""Names from files of others on the terminal: what would steer it, or pass for a line of ours, is escaped."""

from __future__ import annotations

import io
import json
import os
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest

from surgeon.cli import main
from surgeon.display import columns_of, cut, folded, printable
from surgeon.formats.graphdef import save_graph
from surgeon.graph import DType, Graph, Node, Ref, Shape, TensorValue

EVIL = {
    "escape": "a\x1b[31mred",
    "title": "b\x1b]0;title\x07",
    "csi": "c\x9b31m",
    "bidi": "d\u202etxt.exe\u2066",
    "mark": "e\u200f\u061c",
    "line": "f\nrecipe 'x' for uff: fine",
    "return": "g\rgone",
    "separator": "h\u2028\u2029\x85\x0b\x0ci",
    "tab": "j\tk",
    "hidden": "l\u200b\u00ad\ufeff\U000e0041",
    "delete": "m\x7f\x08\x00n",
    "hide": "o\x1b[8mp",
}
HEADING = re.compile("\x1b\\[(1|0|31|34)m")


def evil_graph(path: Path) -> Path:
    """Write a graph whose names, operations and attributes hold all of these characters."""
    nodes = [Node("in", "Placeholder", (), (), {"dtype": DType.FLOAT32, "shape": Shape((1, 2))})]
    for name in EVIL.values():
        value = TensorValue(DType.FLOAT32, (2,), b"\0" * 8)
        nodes += [
            Node(f"{name}/w", "Const", (), (), {"dtype": DType.FLOAT32, "value": value}),
            Node(f"{name}/sum", "Add", (Ref("in"), Ref("in")), (), {"T": DType.FLOAT32}),
            # A line feed in the name of a tensor is refused when the graph is read.
            Node(
                f"{name}/x", f"Op{name}", (Ref("in" if "\n" in name else f"{name}/w"),), (), {name: b"\x1b"}
            ),
        ]
    save_graph(Graph(nodes), path)
    return path


def quoted(text: str) -> str:
    """Return a text as YAML in double quotes."""
    return printable(json.dumps(text, ensure_ascii=False))


def wrong(text: str) -> list[str]:
    """Return the lines with characters that cannot be seen."""
    return [
        ascii(line) for line in text.split("\n") if printable(HEADING.sub("", line)) != HEADING.sub("", line)
    ]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    evil_graph(tmp_path / "evil.pb")
    keys = ", ".join(f"{quoted(name)}: i" for name in EVIL.values())
    (tmp_path / "r.yaml").write_text(
        f"recipe: 1\nname: {quoted(EVIL['line'])}\nsummary: {quoted(EVIL['escape'])}\n"
        f"outputs: [i]\nnodes: {{i: {{op: Placeholder, like: in}}}}\nnamespaces: {{in: i, {keys}}}\n"
    )
    unmatched = f"{EVIL['bidi']}{EVIL['escape']}{EVIL['line']}"
    text = (tmp_path / "r.yaml").read_text().replace("{in: i", f"{{{quoted(unmatched)}: i, in: i")
    (tmp_path / "unmatched.yaml").write_text(text)
    (tmp_path / "raw.yaml").write_text("recipe: 1\nname: n\nsummary: s\nnodes: {}\n'\u202e\u200f': 1\n")
    (tmp_path / "log.txt").write_text("".join(f"[E] error {name}\n" for name in EVIL.values()))
    return tmp_path


COMMANDS = {
    "inspect": ["inspect", "evil.pb", "--ops", "--depth", "3"],
    "inspect a target": ["inspect", "evil.pb", "--target", "uff@tensorrt-8.5"],
    "init": ["init", "evil.pb"],
    "check": ["check", "r.yaml", "evil.pb"],
    "a namespace that is not there": ["check", "unmatched.yaml", "evil.pb"],
    "a key that is not known": ["check", "raw.yaml"],
    "plan": ["plan", "r.yaml", "evil.pb"],
    "convert": ["convert", "r.yaml", "evil.pb", "-o", "out.pb"],
    "uff": ["convert", "r.yaml", "evil.pb", "-o", "out.uff"],
    "diff": ["diff", "evil.pb", "out.pb"],
    "export": ["view", "evil.pb", "r.yaml", "--export", "folder"],
    "a path": ["inspect", f"none{EVIL['escape']}{EVIL['line']}{EVIL['bidi']}.pb"],
    "log": ["explain", "--log", "log.txt"],
    "explain": ["explain", EVIL["bidi"] + EVIL["line"]],
}


class Terminal(io.StringIO):
    """What is written to a terminal."""

    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("name", COMMANDS)
def test_nothing_that_cannot_be_seen_reaches_a_terminal_or_a_file(
    name: str, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    save_graph(Graph([Node("in", "Placeholder", (), (), {"dtype": DType.FLOAT32})]), folder / "out.pb")
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr("surgeon.cli.progress._SILENT", 1000)
    written = []
    for terminal in (False, True):
        if terminal:
            out, err = Terminal(), Terminal()
            monkeypatch.setattr("sys.stdout", out)
            monkeypatch.setattr("sys.stderr", err)
            main(COMMANDS[name])
            written += [out.getvalue(), err.getvalue()]
        else:
            main(COMMANDS[name])
            written += capsys.readouterr()
    assert [wrong(text) for text in written] == [[], [], [], []]
    assert any(written)
    # A line that a name holds must not pass for one of the program.
    assert not any(
        line.startswith("recipe 'x' for uff: fine") for text in written for line in text.split("\n")
    )


@pytest.mark.parametrize(
    "command", [["inspect", "evil.pb", "--json"], ["plan", "r.yaml", "evil.pb", "--json"]]
)
def test_json_keeps_the_names(
    command: Sequence[str], folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(command)
    text = capsys.readouterr().out
    assert text.isascii() and not wrong(text)
    plain = json.dumps(json.loads(text), ensure_ascii=False)
    assert json.dumps(EVIL["bidi"], ensure_ascii=False)[1:-1] in plain


def test_headings_are_bold_on_a_terminal_and_names_cannot_make_them(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    out = Terminal()
    monkeypatch.setattr("sys.stdout", out)
    assert main(["inspect", "evil.pb", "--depth", "3"]) == 0
    text = out.getvalue()
    assert "\x1b[1m" in text and text.count("\x1b[1m") == text.count("\x1b[0m")
    assert "\\x1b[31mred" in text and "\x1b[31m" not in text and "\x1b[8m" not in text


def test_every_character_of_the_planes_is_seen_or_escaped() -> None:
    for start in range(0, 0x110000, 256):
        chars = "".join(map(chr, range(start, start + 256)))
        shown = printable(chars)
        # A space of any width stays as it is.
        assert all(char.isprintable() or (char in chars and char.isspace()) for char in shown)
        assert "\n" not in shown and len(shown.splitlines()) == 1
    assert printable("größe 漢字 — ok\u00a0!") == "größe 漢字 — ok\u00a0!"
    assert printable("a\tb\nc\x1b", keep="\t\n") == "a\tb\nc\\x1b"
    assert os.linesep == "\n" or printable("\r\n") == "\\r\\n"


WIDE = "漢字" * 30
ROWS = [
    ("name", "12", "what it is"),
    ("FeatureExtractor/MobilenetV1/MobilenetV1/Conv2d_13_pointwise/weights", "1,234,567", "some words" * 12),
    (WIDE, "3", f"e\u0301 {WIDE} wide words"),
    ("  > indented", "4", ""),
]


def shown_table(monkeypatch: pytest.MonkeyPatch, columns: int | None) -> list[str]:
    from surgeon.cli import console

    out = io.StringIO() if columns is None else Terminal()
    with monkeypatch.context() as patched:
        patched.setenv("COLUMNS", str(columns or 40))
        patched.setattr("sys.stdout", out)
        console.table(ROWS, right=(1,))
    return out.getvalue().splitlines()


@pytest.mark.parametrize("columns", [60, 80, 200])
def test_a_table_fits_the_terminal_and_loses_nothing(monkeypatch: pytest.MonkeyPatch, columns: int) -> None:
    lines = shown_table(monkeypatch, columns)
    assert max(map(columns_of, lines)) <= columns
    words = "".join("".join(lines).split())
    for row in ROWS:
        for cell in row:
            assert Counter(cell.replace(" ", "")) <= Counter(words)
    ends = {
        columns_of(line[: line.index(count) + len(count)])
        for line in lines
        for count in ("1,234,567",)
        if count in line
    }
    assert len(ends) == 1
    (end,) = ends
    for count in ("12", "3", "4"):
        assert any(
            columns_of(line[: at.end()]) == end
            for line in lines
            for at in re.finditer(rf" {count}(?= |$)", line)
        )


def test_elsewhere_a_row_is_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = shown_table(monkeypatch, None)
    assert len(lines) == len(ROWS)
    assert ROWS[1][0] in lines[1] and ROWS[1][2].rstrip() in lines[1] and WIDE in lines[2]
    starts = {columns_of(line[: line.index(row[2])]) for line, row in zip(lines, ROWS, strict=True) if row[2]}
    assert len(starts) == 1


@pytest.mark.parametrize("text", ["", "a", "two words", WIDE, f"a {WIDE} b", "  lead then words", "x" * 50])
def test_folded_text_fits_and_is_whole(text: str) -> None:
    for room in (12, 13, 40, 200):
        lines = folded(text, room)
        assert all(columns_of(line) <= room for line in lines)
        assert "".join("".join(lines).split()) == "".join(text.split())


def test_a_cut_text_has_a_mark() -> None:
    assert cut("as it is", 8) == "as it is" and cut("as it is", 7) == "as i..."
    assert cut(WIDE, 10) == "漢字漢..." and columns_of(cut(WIDE, 11)) <= 11
    assert columns_of("e\u0301\u200b漢\u0000") == 4
