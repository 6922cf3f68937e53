"""Target profiles: what each says, how patterns name them, and how a wrong profile is refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from surgeon.diagnostics import Span, SurgeonError
from surgeon.targets import (
    Target,
    all_targets,
    load_target,
    parse_version,
    print_version,
    target_names,
)
from surgeon.targets import profiles as profiles_module

LINES = ("5.0", "5.1", "6.0", "7.0", "7.1", "7.2", "8.0", "8.2", "8.4", "8.5", "8.6")
EXPECTED = (
    "graphdef",
    "onnx@onnxruntime",
    *(f"onnx@tensorrt-{line}" for line in ("8.5", "8.6", "9", "10", "11", "rtx")),
    *(f"uff@tensorrt-{line}" for line in LINES),
)


def code_of(action: Callable[[], object]) -> str:
    with pytest.raises(SurgeonError) as caught:
        action()
    return caught.value.diagnostics[0].code


@pytest.mark.determinism
def test_every_target_is_there_in_order_of_versions() -> None:
    assert target_names() == EXPECTED
    assert tuple(all_targets()) == EXPECTED


@pytest.mark.parametrize("name", EXPECTED)
def test_the_name_tells_format_runtime_and_version(name: str) -> None:
    target = load_target(name)
    assert target.name == name and target.title and target.matches(name)
    head, _, line = (name, "", "") if name.endswith("-rtx") else name.partition("-")
    kind, _, runtime = head.partition("@")
    assert (target.format, target.runtime) == (kind, runtime or "any")
    wanted = parse_version(line) if line else None
    assert (target.version and target.version[: len(wanted or ())]) == wanted


def test_the_uff_parsers() -> None:
    assert {t.uff_version for t in all_targets().values() if t.format != "uff"} == {None}
    versions = {line: load_target(f"uff@tensorrt-{line}").uff_version for line in LINES}
    assert versions["5.1"] == "0.6.3" and versions["6.0"] == "0.6.5"
    assert {versions[line] for line in ("7.2", "8.0", "8.2", "8.4", "8.5", "8.6")} == {"0.6.9"}
    assert [line for line in LINES if not load_target(f"uff@tensorrt-{line}").leaky_relu] == ["5.0", "5.1"]
    assert [line for line in LINES if load_target(f"uff@tensorrt-{line}").plugin_needs_input] == list(
        LINES[:6]
    )


def test_two_runtimes_have_no_plugins() -> None:
    without = [name for name, target in all_targets().items() if not target.runs_plugins]
    assert without == ["onnx@onnxruntime", "onnx@tensorrt-rtx"]


def test_tensorrt_rtx_is_a_runtime_of_its_own() -> None:
    target = load_target("onnx@tensorrt-rtx")
    assert target.tensorrt is None and target.version is None
    assert target.matches("tensorrt-rtx") and target.matches("onnx@tensorrt-rtx") and target.matches("onnx")
    for pattern in ("tensorrt", "onnx@tensorrt", "tensorrt-8", "tensorrt>=8", "onnxruntime", "uff"):
        assert not target.matches(pattern)
    assert not load_target("onnx@tensorrt-11").matches("tensorrt-rtx")
    assert {name for name, found in all_targets().items() if found.lacks} == {"onnx@tensorrt-rtx"}


MATCHING = (
    "uff",
    "tensorrt",
    "uff@tensorrt",
    "uff@tensorrt-8.5",
    "uff@tensorrt-8",
    "tensorrt-8",
    "tensorrt>=8.0",
    "tensorrt >= 8.5",
    "tensorrt<=8.5",
    "tensorrt==8.5",
    "tensorrt>=7.1,<8.6",
    "uff@tensorrt>8.4",
    "tensorrt!=7",
    "tensorrt>=8.5.1",
    "tensorrt<8.5.2",
)
OTHERS = (
    "onnx",
    "graphdef",
    "onnxruntime",
    "onnx@tensorrt",
    "uff@tensorrt-8.4",
    "uff@tensorrt-7",
    "tensorrt>8.5",
    "tensorrt<8.5",
    "tensorrt>=8.6",
    "tensorrt>=7.1,<8.5",
    "tensorrt!=8",
    "tensorrt-8.5.3",
    "any",
)


@pytest.mark.parametrize("pattern", MATCHING)
def test_patterns_that_name_tensorrt_8_5(pattern: str) -> None:
    assert load_target("uff@tensorrt-8.5").matches(pattern)


@pytest.mark.parametrize("pattern", OTHERS)
def test_patterns_that_do_not(pattern: str) -> None:
    assert not load_target("uff@tensorrt-8.5").matches(pattern)


@pytest.mark.parametrize("name", ["graphdef", "onnx@onnxruntime", "onnx@tensorrt-rtx"])
def test_a_target_without_a_version_is_within_no_bounds(name: str) -> None:
    target = load_target(name)
    assert not target.matches("tensorrt>=0") and not target.matches(f"{target.runtime}>=0")
    assert target.matches(target.runtime)


WRONG_PATTERNS = (
    "ufff",
    "",
    "uff@",
    "@tensorrt",
    "uff@cuda",
    "tensorrt-",
    "tensorrt>=",
    "tensorrt>=x",
    "tensorrt=>8",
    "uff>=8",
    "tensorrt-8..5",
    "tensorrt>=8,",
    "tensorrt-9999999999",
    "x" * 10_000,
)


@pytest.mark.parametrize("pattern", WRONG_PATTERNS)
def test_a_pattern_that_names_no_targets_is_t103(pattern: str) -> None:
    assert code_of(lambda: load_target("uff@tensorrt-8.5").matches(pattern)) == "T103"


def test_an_unknown_target_is_t101_and_shows_the_nearest() -> None:
    with pytest.raises(SurgeonError) as caught:
        load_target("uff@tensorrt8.5")
    (diagnostic,) = caught.value.diagnostics
    assert diagnostic.code == "T101" and "'uff@tensorrt-8.5'" in diagnostic.notes[0]


@pytest.mark.parametrize("name", ["", "../targets/graphdef", "/etc/passwd", "uff@tensorrt-8.5.yaml", "\0"])
def test_a_target_is_no_path(name: str) -> None:
    assert code_of(lambda: load_target(name)) == "T101"


def test_one_target_reads_one_file(monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []
    real = profiles_module.read_data
    monkeypatch.setattr(
        profiles_module, "read_data", lambda path, *rest: read.append(path.name) or real(path, *rest)
    )
    profiles_module._load.cache_clear()
    load_target("uff@tensorrt-7.2")
    load_target("uff@tensorrt-8.5")
    assert read == ["uff@tensorrt-7.2.yaml", "uff@tensorrt-8.5.yaml"]


PROFILE = "format: uff\nruntime: tensorrt\nversion: 8.5.1\ntitle: One\n"


def test_two_profiles_of_one_target_are_t104_and_both_are_named(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(PROFILE)
    (tmp_path / "b.yaml").write_text(PROFILE)
    with pytest.raises(SurgeonError, match=r"'a' and 'b'") as caught:
        all_targets(tmp_path)
    assert caught.value.diagnostics[0].code == "T104"
    (tmp_path / "b.yaml").write_text(PROFILE.replace("8.5.1", "8.5.2"))
    profiles_module._load.cache_clear()
    assert tuple(all_targets(tmp_path)) == ("a", "b")


WRONG_PROFILES = {
    "no version": (PROFILE.replace("8.5.1", "latest"), 3, 10),
    "unknown key": (PROFILE + "colour: red\n", 5, 1),
    "unknown format": (PROFILE.replace("uff", "caffe"), 1, 9),
    "no truth value": (PROFILE + "leaky_relu: yes\n", 5, 13),
    "duplicate key": (PROFILE + "title: Two\n", 5, 1),
    "anchor": (PROFILE + "notes: &a [x]\n", 5, 8),
    "tag": (PROFILE + "notes: [!!python/name:os.system x]\n", 5, 9),
}


@pytest.mark.parametrize("name", WRONG_PROFILES)
def test_a_wrong_profile_is_t104_at_its_place(tmp_path: Path, name: str) -> None:
    text, line, column = WRONG_PROFILES[name]
    (tmp_path / "a.yaml").write_text(text)
    with pytest.raises(SurgeonError) as caught:
        load_target("a", tmp_path)
    (diagnostic,) = caught.value.diagnostics
    assert diagnostic.code == "T104" and isinstance(diagnostic.where, Span)
    assert (diagnostic.where.line, diagnostic.where.column) == (line, column)


def test_versions() -> None:
    assert parse_version("10.10") == (10, 10) and print_version((8, 5, 1)) == "8.5.1"
    for text in ("", ".", "8.", "8.x", "-1", "1.2.3.4.5", "1e3", "٣", 8.5, None):
        with pytest.raises(ValueError):
            parse_version(text)


def test_a_target_cannot_be_changed() -> None:
    target = load_target("graphdef")
    assert isinstance(target, Target) and hash(target) == hash(load_target("graphdef"))
    with pytest.raises(AttributeError):
        target.name = "other"  # type: ignore[misc]
