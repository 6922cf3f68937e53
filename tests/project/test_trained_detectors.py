"""The commands of docs/trained-detectors.md, where the trained models are at hand."""

from __future__ import annotations

import json
import os
import re
import shutil
from pathlib import Path

import pytest

from surgeon.cli import main

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "trained-detectors.md"
MODELS = Path(os.environ.get("SURGEON_TRAINED", ROOT / "build" / "trained"))
FOUND = {"hand": (1, 0.656), "hand_fpn": (5, 0.959), "face": (1, 1.0)}
"""Class and score of the one detection in the photograph, by model."""


def commands(name: str) -> list[list[str]]:
    """Return the words of each command of a model."""
    lines = re.findall(r"^surgeon (.*)$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    return [line.split() for line in lines if re.search(rf"\b{name}\.(pb|onnx)\b", line)]


@pytest.mark.parametrize("name", FOUND)
def test_the_commands_lead_to_boxes(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    needed = [MODELS / f"{name}.pb", MODELS / "astronaut.png"]
    missing = [path.name for path in needed if not path.is_file()]
    if missing:
        pytest.skip(f"{' and '.join(missing)} not in {MODELS}, or the folder that SURGEON_TRAINED names")
    for path in needed:
        shutil.copy(path, tmp_path)
    monkeypatch.chdir(tmp_path)
    for words in commands(name):
        assert main(words) == 0, words
    (picture,) = json.loads((tmp_path / "drawn" / "detections.json").read_text(encoding="utf-8"))["pictures"]
    (best,) = [each for each in picture["detections"] if each["score"] >= 0.3]
    assert (best["class"], best["score"]) == (FOUND[name][0], pytest.approx(FOUND[name][1], abs=2e-3))


def test_each_model_has_its_commands() -> None:
    verbs = {name: [words[0] for words in commands(name)] for name in FOUND}
    rest = ["verify", "convert", "convert", "verify", "run"]
    assert verbs == {"hand": ["init", *rest], "hand_fpn": ["init", *rest], "face": rest}
