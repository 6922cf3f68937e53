"""``surgeon explain --log``: the texts that people reported are explained, and texts that look like them are not."""

from __future__ import annotations

import io
import re
import shlex
import sys
from pathlib import Path

import pytest

from surgeon.cli import parser
from surgeon.diagnostics import SurgeonError, code_page
from surgeon.engine import KnownMessage, known_messages, read_log

MESSAGES = known_messages()
EXAMPLES = [
    pytest.param(message, text, id=f"{message.name}-{i}")
    for message in MESSAGES
    for i, text in enumerate(message.examples)
]
NEAR = [
    pytest.param(message, text, id=f"{message.name}-{i}")
    for message in MESSAGES
    for i, text in enumerate(message.near)
]

# What a program with TensorRT 8.5.3.1 wrote for a file whose input was registered as height, width, channels.
WRONG_LAYOUT = """\
WARNING: The implicit batch dimension mode has been deprecated. Please create the network with NetworkDefinitionCreationFlag::kEXPLICIT_BATCH flag whenever possible.
ERROR: 3: out:kernel weights has count 12 but 24 was expected
ERROR: 4: out: count of 12 weights in kernel, but kernel dimensions (1,1) with 6 input channels, 4 output channels and 1 groups were specified. Expected Weights count is 6 * 1*1 * 4 / 1 = 24
ERROR: 4: [convolutionNode.cpp::computeOutputExtents::58] Error Code 4: Internal Error (out: number of kernel weights does not match tensor dimensions)
ERROR: UffParser: Parser error: add: The input to the Scale Layer is required to have a minimum of 3 dimensions.
Traceback (most recent call last):
  File "build.py", line 21, in <module>
    f.write(engine.serialize())
AttributeError: 'NoneType' object has no attribute 'serialize'
"""


def as_regex(text: str) -> str:
    return re.sub(r"\s+", r"\\s+", re.escape(text).replace(r"\ ", " "))


@pytest.mark.parametrize(("message", "text"), EXAMPLES)
def test_original_texts_are_explained(message: KnownMessage, text: str) -> None:
    found = read_log([text])
    assert [one.message.name for one in found.explained] == [message.name]
    assert found.unknown == []
    explained = found.explained[0]
    assert explained.text == text.strip() and explained.line == 1
    assert "{" not in " ".join([explained.means, *explained.do, explained.verb]).replace("{op}", "{")


@pytest.mark.parametrize(("message", "text"), NEAR)
def test_texts_that_look_alike_are_not_taken_for_it(message: KnownMessage, text: str) -> None:
    assert message.match(text) is None


@pytest.mark.parametrize("message", MESSAGES, ids=lambda m: m.name)
def test_what_a_message_names_is_there(message: KnownMessage) -> None:
    assert all(message.contains in text for text in message.examples)
    named = set(re.findall(r"\{(\w+)\}", " ".join([message.means, *message.do, message.verb])))
    assert named <= set(message.pattern.groupindex)
    assert all(code_page(code) for code in message.see)
    assert set(message.rows) <= set(range(1, 38))
    if message.verb:
        words = shlex.split(message.verb.replace("{op}", "NMS_TRT"))
        assert words[0] == "surgeon"
        parser().parse_args(words[1:])


def test_no_message_hides_another() -> None:
    names = [message.name for message in MESSAGES]
    assert len(set(names)) == len(names)
    for message in MESSAGES:
        for text in message.examples:
            assert next(other.name for other in MESSAGES if other.match(text)) == message.name


def test_the_cause_comes_before_what_follows_from_it(run, tmp_path: Path) -> None:
    log = tmp_path / "build.log"
    log.write_text("AttributeError: 'NoneType' object has no attribute 'serialize'\n" + WRONG_LAYOUT)
    found = read_log(log.read_text().splitlines())
    kinds = [one.message.kind for one in found.explained]
    assert found.explained[0].message.name == "kernel-weights"
    assert kinds == sorted(kinds, key=("error", "warning", "harmless", "consequence").index)
    assert found.unknown == []


def test_a_message_is_counted_and_shown_once(run, tmp_path: Path) -> None:
    log = tmp_path / "build.log"
    log.write_text(
        "".join(f"[E] UffParser: Validator error: n{i}: Unsupported operation _AddV2\n" for i in range(1200))
    )
    done = run("explain", "--log", log)
    assert done.code == 0 and "line 1, 1,200 times: " in done.out and "n1:" not in done.out
    assert "1 known message" in done.out


def test_the_text_says_what_it_means_what_to_do_and_which_verb_helps(run, tmp_path: Path) -> None:
    log = tmp_path / "build.log"
    log.write_text(
        "first\n[TensorRT] ERROR: UffParser: Validator error: Gen: Unsupported operation _GridAnchorRect_TRT\n"
    )
    done = run("explain", "--log", log)
    assert done.code == 0 and done.err == ""
    assert "line 2: [TensorRT] ERROR" in done.out
    for text in (
        "means  'Gen' is the plugin GridAnchorRect_TRT, and no creator",
        "do     call initLibNvInferPlugins",
        "helps  surgeon explain GridAnchorRect_TRT --target",
        "more   surgeon explain S401",
        "GridAnchorRect_TRT is a plugin: TensorRT",
    ):
        assert re.search(as_regex(text), done.out), text
    assert max(map(len, done.out.splitlines()[3:])) <= 110


def test_a_message_tells_what_surgeon_does_with_the_operation(run, tmp_path: Path) -> None:
    log = tmp_path / "build.log"
    log.write_text("Warning: No conversion function registered for layer: FusedBatchNormV3 yet.\n")
    assert "surgeon writes FusedBatchNormV3 to UFF." in run("explain", "--log", log).out


def test_json_holds_the_same(run, tmp_path: Path) -> None:
    log = tmp_path / "build.log"
    log.write_text(WRONG_LAYOUT + "ERROR: something new went wrong\n")
    done = run("explain", "--log", log, "--json")
    assert done.code == 0
    assert [message["name"] for message in done.json["messages"]] == [
        "kernel-weights",
        "scale-layer-dimensions",
        "implicit-batch-deprecated",
        "kernel-weights-details",
        "none-engine",
    ]
    first = done.json["messages"][0]
    assert (
        first["line"] == 2
        and first["groups"] == {"node": "out", "have": "12", "want": "24"}
        and "'out'" in first["means"]
    )
    assert done.json["messages"][3]["count"] == 2
    assert done.json["unknown"] == [{"line": 10, "text": "ERROR: something new went wrong"}]
    assert (done.json["lines"], done.json["unknown_count"]) == (10, 1)


def test_lines_that_look_wrong_and_are_not_known_are_listed(run, tmp_path: Path) -> None:
    log = tmp_path / "build.log"
    log.write_text(
        "[I] fine, 0 errors\nINFO: retrying after an error\nE: this failed oddly\nE: this failed oddly\n"
        "09:11:01 E: this failed oddly\nKeyError: 'Aborted'\n"
    )
    done = run("explain", "--log", log)
    assert done.code == 1
    assert re.search(r"line 3 +E: this failed oddly", done.out) and re.search(
        r"line 6 +KeyError: 'Aborted'", done.out
    )
    assert (
        "line 4" not in done.out
        and "line 5" not in done.out
        and "line 1" not in done.out
        and "line 2" not in done.out
    )
    assert "nothing in this log is known to surgeon" in done.out


def test_a_log_with_nothing_wrong_says_so(run, tmp_path: Path) -> None:
    log = tmp_path / "build.log"
    for text in ("", "all is well\nbuilding took 12 s\n"):
        log.write_text(text)
        done = run("explain", "--log", log)
        assert done.code == 1
        assert "nothing in this log is known to surgeon, and no line of it looks like an error" in done.out


def test_many_unknown_lines_are_cut_short(run, tmp_path: Path) -> None:
    log = tmp_path / "build.log"
    log.write_text("".join(f"error number {i} of its kind\n" for i in range(1500)))
    done = run("explain", "--log", log)
    assert len(done.out.splitlines()) < 40 and "and 980 more" in done.out and "1,500 other lines" in done.out
    assert len(run("explain", "--log", log, "--json").json["unknown"]) == 1000


def test_standard_input_is_read(run, monkeypatch: pytest.MonkeyPatch) -> None:
    given = io.TextIOWrapper(
        io.BufferedReader(io.BytesIO(b"\xff broken\nERROR: UffParser: Unsupported number of graph 0\n"))
    )
    monkeypatch.setattr(sys, "stdin", given)
    done = run("explain", "--log", "-")
    assert done.code == 0 and "line 2: ERROR: UffParser: Unsupported number of graph 0" in done.out


@pytest.mark.parametrize("encoding", ["utf-16", "utf-8-sig", "utf-8"])
def test_logs_of_other_systems_are_read(run, tmp_path: Path, encoding: str) -> None:
    log = tmp_path / "build.log"
    log.write_bytes(
        "Aborted (core dumped)\r\nERROR: UffParser: Unsupported number of graph 0\r\n".encode(encoding)
    )
    assert "line 2: ERROR: UffParser: Unsupported number of graph 0" in run("explain", "--log", log).out


def test_colours_are_passed_over(run, tmp_path: Path) -> None:
    log = tmp_path / "build.log"
    log.write_text("\x1b[1;31mERROR: UffParser: \x1b[0mUnsupported number of graph 0\x1b[0m\n")
    done = run("explain", "--log", log)
    assert "ERROR: UffParser: Unsupported number of graph 0" in done.out and "\x1b" not in done.out


def test_a_log_of_bytes_and_one_without_line_ends_are_read(run, tmp_path: Path) -> None:
    log = tmp_path / "build.log"
    log.write_bytes(bytes(range(256)) * 4000 + b"x" * 5_000_000)
    assert run("explain", "--log", log).code == 1


@pytest.mark.parametrize("name", ["nonesuch.log", "."])
def test_a_log_that_cannot_be_read_is_an_error(
    run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    done = run("explain", "--log", name)
    assert done.code == 1 and "E101" in done.err and f"the log '{name}' cannot be read" in done.err


def test_a_log_and_a_subject_do_not_go_together(run) -> None:
    assert run("explain", "NMS_TRT", "--log", "build.log").code == 2
    assert run("explain").code == 2


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        (
            "{contains: a, pattern: '(', means: m, do: [d], source: [s], examples: [a], near: [b]}",
            "it is not a regular expression",
        ),
        ("{contains: a, pattern: a, means: m, do: [], source: [s], examples: [a], near: [b]}", "do"),
        ("{contains: a, pattern: a, means: m, do: [d], source: [s], examples: [a]}", "near"),
    ],
)
def test_a_table_that_is_wrong_is_named(tmp_path: Path, entry: str, reason: str) -> None:
    table = tmp_path / "messages.yaml"
    table.write_text(f"messages:\n  one: {entry}\n")
    with pytest.raises(SurgeonError, match=reason) as caught:
        known_messages(table)
    assert caught.value.diagnostics[0].code == "L130"
