"""A small graph, a recipe for it, and a way to run the command line in this process."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from small_model import GRAPH, RECIPE

PLUGIN = """\
title: Twice the input
summary: Multiplies by two.
library: own
inputs:
  - {name: input, summary: any tensor}
outputs:
  - {name: output, summary: the same shape}
fields:
  factor: {type: int, summary: what to multiply by, minimum: 1, default: 2, source: own}
sources: [own]
"""


@dataclass(frozen=True)
class Ran:
    """What one command did: exit code, standard output and standard error."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


Run = Callable[..., Ran]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Give ``run(*arguments) -> Ran``; argparse's exits are codes, too."""
    from surgeon.cli import main

    def once(*arguments: object) -> Ran:
        capsys.readouterr()
        try:
            code = main([str(argument) for argument in arguments])
        except SystemExit as exc:
            code = int(exc.code or 0)
        return Ran(code, *capsys.readouterr())

    return once


def write_graph(path: Path, text: str = GRAPH) -> Path:
    """Write a graph in text form as a ``.pb`` or ``.pbtxt`` file."""
    from surgeon.formats.graphdef import save_graph
    from surgeon.graph import parse_graph

    save_graph(parse_graph(text), path)
    return path


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give a working folder that holds ``small.pb`` and ``small.yaml``, and go there."""
    write_graph(tmp_path / "small.pb")
    (tmp_path / "small.yaml").write_text(RECIPE)
    monkeypatch.chdir(tmp_path)
    return tmp_path


GOLDEN = Path(__file__).parent / "golden"


def check_golden(name: str, text: str) -> None:
    """Compare with ``golden/<name>``; SURGEON_REWRITE_GOLDEN=1 in the environment rewrites the file instead."""
    path = GOLDEN / name
    if os.environ.get("SURGEON_REWRITE_GOLDEN") == "1":
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
    assert text == path.read_text(encoding="utf-8")


@pytest.fixture
def golden() -> Callable[[str, str], None]:
    """Give :func:`check_golden`."""
    return check_golden


@pytest.fixture
def graph_file() -> Callable[..., Path]:
    """Give :func:`write_graph`."""
    return write_graph


@pytest.fixture
def own_plugins(tmp_path: Path) -> Path:
    """Give a folder with one plugin of the user's own, ``Twice``."""
    folder = tmp_path / "my plugins"
    (folder / "Twice").mkdir(parents=True)
    (folder / "Twice" / "plugin.yaml").write_text(PLUGIN)
    return folder


@pytest.fixture
def graph_text() -> str:
    """Give the small graph's text form."""
    return GRAPH


@pytest.fixture
def recipe_text() -> str:
    """Give the small recipe."""
    return RECIPE
