"""YAML to values with places: the core schema, and everything that is refused."""

from __future__ import annotations

import contextlib
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from surgeon.diagnostics import SurgeonError
from surgeon.language.document import parse_document, plain_scalar, read_document, spans_of, to_plain


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-8", 1e-8),
        ("1E3", 1000.0),
        (".5", 0.5),
        ("5.", 5.0),
        ("-3", -3),
        ("+7", 7),
        ("0x1F", 31),
        ("0o17", 15),
        ("no", "no"),
        ("yes", "yes"),
        ("on", "on"),
        ("0b1", "0b1"),
        ("1_000", "1_000"),
        ("2001-01-01", "2001-01-01"),
        ("true", True),
        ("False", False),
        ("null", None),
        ("~", None),
        ("-.inf", -math.inf),
        ("1:30", "1:30"),
        ("012", 12),
    ],
)
def test_scalars_follow_the_core_schema(text: str, value: object) -> None:
    found = plain_scalar(text)
    assert found == value and type(found) is type(value)


def test_quoted_scalars_stay_text() -> None:
    assert to_plain(parse_document("a: '1'\nb: \"true\"\nc: |\n  3\n", "f")) == {
        "a": "1",
        "b": "true",
        "c": "3\n",
    }


def test_every_value_has_its_place() -> None:
    places = dict(spans_of(parse_document("a: 1\nb:\n  c: [x, y]\n", "f.yaml")))
    assert str(places["b", "c"]) == "f.yaml:3:3"
    assert str(places["b", "c", 1]) == "f.yaml:3:10"
    assert places["b", "c"].text == "  c: [x, y]"


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", "R101"),
        ("a: [1", "R101"),
        ("a: b: c", "R101"),
        ("\t- a", "R101"),
        ("? [1]\n: 2", "R101"),
        ("a\n---\nb", "R101"),
        ("a: 1\na: 2", "R102"),
        ("a: !!python/object:os.system x", "R103"),
        ("a: !!int 3", "R103"),
        ("x: &a [*a]", "R103"),
        ("a: 99999999999999999999", "R103"),
        ("[" * 5000, "R103"),
        ("- " * 5000 + "a", "R103"),
        ("a: *b", "R101"),
        ("\x00", "R101"),
        ("a: \ud800".encode("utf-8", "surrogatepass").decode("utf-8", "replace") + "\x07", "R101"),
    ],
)
def test_refusals(text: str, code: str) -> None:
    with pytest.raises(SurgeonError) as caught:
        parse_document(text, "f.yaml")
    assert caught.value.diagnostics[0].code == code


def test_aliases_that_explode_are_refused() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 9)]
    with pytest.raises(SurgeonError, match="R103"):
        parse_document("\n".join(lines), "f")


def test_files_that_cannot_be_read(tmp_path) -> None:  # type: ignore[no-untyped-def]
    for name, data, code in [("latin.yaml", b"a: \xe4", "R101"), ("huge.yaml", b"#" * (5 << 20), "R103")]:
        (tmp_path / name).write_bytes(data)
        with pytest.raises(SurgeonError, match=code):
            read_document(tmp_path / name)
    with pytest.raises(SurgeonError, match="E101"):
        read_document(tmp_path / "absent.yaml")


@given(st.text(max_size=200))
def test_any_text_is_read_or_refused(text: str) -> None:
    with contextlib.suppress(SurgeonError):
        to_plain(parse_document(text, "f"))
