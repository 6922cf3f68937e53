"""``surgeon explain --log``: what the messages in a log mean."""

from __future__ import annotations

import argparse
import io
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from surgeon.cli import console
from surgeon.display import plural, printable

if TYPE_CHECKING:
    from surgeon.engine import ExplainedMessage, LogReading

UNKNOWN = 20
"""Lines that look wrong and are not known, as many as are listed as text."""

_WIDTH = 110
_PIECE = 1 << 16
_HEADINGS = {
    "error": "",
    "warning": "a warning",
    "harmless": "harmless",
    "consequence": "follows from another message",
}


def explain_log(args: argparse.Namespace) -> int:
    """Explain the log ``args.log``; return 0 where something was explained.

    Raise SurgeonError E101 for what cannot be read.
    """
    from surgeon.engine import read_log

    reading = read_log(_lines(args.log))
    if args.json:
        console.show_json(_plain(reading, args))
    else:
        _show(reading, args)
    return 0 if reading.explained else 1


def _lines(path: str) -> Iterator[str]:
    from surgeon.diagnostics import error

    try:
        if path == "-":
            yield from _decoded(cast(io.BufferedReader, sys.stdin.buffer))
        else:
            with Path(path).open("rb") as file:
                yield from _decoded(file)
    except OSError as exc:
        name = "standard input" if path == "-" else f"'{path}'"
        raise error(
            "E101",
            f"the log {name} cannot be read: {exc.strerror or exc}; expected a text file",
            help=["check the path; '-' is standard input"],
        ) from None


def _decoded(source: io.BufferedReader) -> Iterator[str]:
    # A shell of Windows writes UTF-16.
    wide = source.peek(2)[:2] in (b"\xff\xfe", b"\xfe\xff")
    text = io.TextIOWrapper(source, "utf-16" if wide else "utf-8", errors="replace")
    try:
        yield from iter(lambda: text.readline(_PIECE), "")
    finally:
        text.detach()


def _plain(reading: LogReading, args: argparse.Namespace) -> dict[str, Any]:
    return {
        "lines": reading.lines,
        "messages": [
            {
                "name": one.message.name,
                "kind": one.message.kind,
                "line": one.line,
                "count": one.count,
                "text": one.text,
                "groups": dict(one.groups),
                "means": one.means,
                "do": list(one.do),
                "verb": one.verb,
                "see": list(one.message.see),
                "source": list(one.message.source),
                "op": _of_op(one, args),
            }
            for one in reading.explained
        ],
        "unknown": [{"line": number, "text": text} for number, text in reading.unknown],
        "unknown_count": reading.unknown_count,
    }


def _show(reading: LogReading, args: argparse.Namespace) -> None:
    counts = (
        plural(reading.lines, "line"),
        plural(len(reading.explained), "known message"),
        f"{plural(reading.unknown_count, 'other line')} with an error",
    )
    console.show(", ".join(counts))
    for one in reading.explained:
        console.show()
        _show_message(one, args)
    if reading.unknown:
        console.show()
        console.show(console.bold("not known"))
        console.table([(f"line {number}", text) for number, text in reading.unknown[:UNKNOWN]])
        if len(reading.unknown) > UNKNOWN:
            console.show(f"  and {console.number(len(reading.unknown) - UNKNOWN)} more")
    if not reading.explained:
        console.show()
        console.show(
            "nothing in this log is known to surgeon"
            + ("" if reading.unknown else ", and no line of it looks like an error")
        )


def _show_message(one: ExplainedMessage, args: argparse.Namespace) -> None:
    heading = _HEADINGS[one.message.kind]
    times = f", {console.number(one.count)} times" if one.count > 1 else ""
    console.show(console.bold(f"line {one.line}{times}: {one.text}"))
    if heading:
        console.show(f"  {heading}")
    _paragraph("means", one.means)
    about = _of_op(one, args)
    if about:
        _paragraph("", about)
    for i, text in enumerate(one.do):
        _paragraph("do" if i == 0 else "", text)
    if one.verb:
        _paragraph("helps", one.verb)
    if one.message.see:
        _paragraph("more", ", ".join(f"surgeon explain {code}" for code in one.message.see))


def _paragraph(name: str, text: str) -> None:
    seen = printable(text, keep="\n")
    console.show_lines(
        textwrap.fill(
            seen,
            min(_WIDTH, console.columns() or _WIDTH),
            initial_indent=f"  {name:<7}",
            subsequent_indent=" " * 9,
        )
    )


def _of_op(one: ExplainedMessage, args: argparse.Namespace) -> str:
    """Return what is known of the operation that a message speaks of, empty where it speaks of none."""
    from surgeon.catalog import load_catalog
    from surgeon.cli.operations import operations

    op = one.groups.get("op", "")
    if not op:
        return ""
    plugin = next(
        (spec for spec in load_catalog(args.plugin_paths).values() if op in (spec.op, spec.creator)), None
    )
    if plugin is not None:
        from surgeon.cli.list import versions

        return f"{op} is a plugin: {versions(plugin)}."
    found = next((o for o in operations() if o.op == op), None)
    if found is None or not found.export:
        return ""
    return (
        f"surgeon writes {op} to UFF."
        if found.export == "converted"
        else f"surgeon passes over {op}: what reads it reads its input."
    )
