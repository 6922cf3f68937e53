"""Formats: which there are, what a suffix stands for, and how two that claim one thing are refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from surgeon.diagnostics import SurgeonError
from surgeon.discovery import by_key
from surgeon.formats import all_formats, format_of, open_model, target_for_output
from surgeon.formats.format import _suffixes, chosen_options
from surgeon.targets import all_targets


def code_of(action: Callable[[], object]) -> str:
    with pytest.raises(SurgeonError) as caught:
        action()
    return caught.value.diagnostics[0].code


def test_every_format_has_a_target_and_every_target_a_format() -> None:
    assert set(all_formats()) == {target.format for target in all_targets().values()}
    for form in all_formats().values():
        assert all_targets()[form.default_target].format == form.name


@pytest.mark.parametrize(
    ("output", "name"),
    [
        ("a.uff", "uff@tensorrt-8.5"),
        ("a.b/x.ONNX", "onnx@onnxruntime"),
        ("x.pb", "graphdef"),
        (Path("x.pbtxt"), "graphdef"),
    ],
)
def test_the_output_suffix_tells_the_target(output: str | Path, name: str) -> None:
    assert target_for_output(output).name == name


@pytest.mark.parametrize("output", ["x", "x.h5", ".uff", "", "uff/"])
def test_another_suffix_is_t102(output: str) -> None:
    assert code_of(lambda: target_for_output(output)) == "T102"


@pytest.mark.parametrize("path", ["x", "x.h5", "saved_model/", "x.PB"])
def test_what_has_no_suffix_of_another_format_is_read_as_a_graph(path: str) -> None:
    assert format_of(path).name == "graphdef"
    assert code_of(lambda: open_model(path)) == "E101"


def test_two_formats_of_one_suffix_are_e112_and_both_are_named() -> None:
    class Other(type(all_formats()["uff"])):  # type: ignore[misc]
        name = "other"

    with pytest.raises(SurgeonError, match=r"'surgeon\.formats\.uff\.format' and '.*test_format'") as caught:
        by_key("formats with the suffix", _suffixes([all_formats()["uff"], Other()]))
    assert caught.value.diagnostics[0].code == "E112"


def test_an_option_of_another_format_is_x152() -> None:
    given = {"rendering": "native", "opset": 13, "batch": None}
    assert chosen_options(Path("a.onnx"), given) == {"rendering": "native", "opset": 13}
    assert chosen_options(Path("a.uff"), dict.fromkeys(given)) == {}
    with pytest.raises(SurgeonError, match=r"--plugins and --opset mean nothing for 'a\.uff'") as caught:
        chosen_options(Path("a.uff"), given)
    assert caught.value.diagnostics[0].code == "X152"
