"""Pages about trust, platforms and other tools: what they name exists, and versions are those of setup.cfg."""

from __future__ import annotations

import configparser
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = ("trust", "platforms", "comparison", "compatibility", "releasing")


def page(name: str) -> str:
    return (ROOT / "docs" / f"{name}.md").read_text(encoding="utf-8")


def rows(text: str, heading: str) -> list[list[str]]:
    """Return the cells of the table below a heading, without its head."""
    part = text.split(f"## {heading}\n", 1)[1].split("\n## ", 1)[0]
    lines = [line for line in part.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def settings() -> configparser.ConfigParser:
    parser = configparser.ConfigParser()
    parser.read(ROOT / "setup.cfg", encoding="utf-8")
    return parser


def declared() -> dict[str, str]:
    """Return the lowest version of each requirement, '' where none is stated."""
    found: dict[str, str] = {}
    extras = dict(settings()["options.extras_require"])
    for text in (settings()["options"]["install_requires"], *extras.values()):
        for line in filter(None, map(str.strip, text.splitlines())):
            match = re.match(r"([\w.-]+)(?:>=([\d.]+))?", line)
            assert match is not None
            found[match[1]] = found.get(match[1]) or match[2] or ""
    return found


LIBRARIES = {
    "NumPy": "numpy",
    "protobuf": "protobuf",
    "pydantic": "pydantic",
    "PyYAML": "pyyaml",
    "regex": "regex",
    "TensorFlow for the CPU": "tensorflow-cpu",
    "Pillow": "pillow",
    "tf2onnx": "tf2onnx",
    "onnx": "onnx",
    "ONNX Runtime": "onnxruntime",
    "Model Explorer": "ai-edge-model-explorer",
    "Netron": "netron",
}


def test_the_lowest_versions_of_libraries_are_those_declared() -> None:
    stated = {row[0]: row[2].replace("none", "") for row in rows(page("platforms"), "Libraries")}
    assert stated == {name: declared()[package] for name, package in LIBRARIES.items()}


def test_the_supported_pythons_are_those_of_the_classifiers() -> None:
    supported = {
        version
        for row in rows(page("platforms"), "Python")
        if row[1].startswith("supported")
        for version in row[0].split(", ")
    }
    listed = set(re.findall(r"Python :: (3\.\d+)", settings()["metadata"]["classifiers"]))
    assert supported == listed


def test_the_release_of_tensorrt_that_was_tried_is_the_one_that_is_installed() -> None:
    (pinned,) = re.findall(r"tensorrt==([\d.]+)", settings()["options.extras_require"]["tensorrt"])
    assert rows(page("platforms"), "TensorRT")[0][0] == pinned
    assert pinned in (ROOT / "docs" / "hardware.md").read_text(encoding="utf-8")


def test_every_verb_is_compared() -> None:
    from surgeon.cli import verbs

    compared = rows(page("comparison"), "Verb by verb")
    named = {verb for row in compared for verb in re.findall(r"`([a-z]+)", row[0])}
    assert all(len(row) == 5 and all(row) for row in compared)
    assert set(verbs()) - named <= {"help", "new"}
    assert named <= set(verbs())


def test_trust_names_the_entry_points_and_options_that_run_code() -> None:
    text = page("trust")
    groups = {
        group
        for path in (ROOT / "surgeon").rglob("*.py")
        for group in re.findall(r"[\"']surgeon\.(\w+)[\"']", path.read_text(encoding="utf-8"))
        if re.search(rf"(GROUP[^\n]*=|entry_points\(|group=)\s*[\"']surgeon\.{group}[\"']", path.read_text())
    }
    assert len(groups) > 5
    row = next(line for line in text.splitlines() if line.startswith("| **entry points**"))
    assert set(re.findall(r"`(?:surgeon)?\.(\w+)`", row)) == groups


@pytest.mark.parametrize("name", PAGES)
def test_options_and_verbs_that_a_page_names_exist(name: str) -> None:
    from surgeon.cli import verbs

    code = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "surgeon" / "cli").rglob("*.py"))
    text = page(name)
    if name != "comparison":  # it names options of other tools
        for option in set(re.findall(r"`[^`\n]*?(--[a-z][a-z-]+)", text)):
            assert f'"{option}"' in code, option
    for verb in set(re.findall(r"`surgeon ([a-z]+)", text)) - {"extract", "insert", "sanitize"}:
        assert verb in {*verbs(), "new"}, verb
