"""A writer of plugin folders outside of the package."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

PLUGIN = """\
title: Doubling
summary: Doubles every element.
inputs:
  - {name: x, summary: "float32[N, C]", dtype: float32, rank: 2}
outputs:
  - {name: y, summary: the same shape}
fields:
  factor: {type: float, summary: What to multiply with., default: 2, minimum: 0}
  names: {type: string, summary: A name., required: false, choices: [a, b]}
  steps: {type: "int[]", summary: Steps., required: false, min_length: 1, max_length: 3}
sources: [doubling.cpp]
"""
SHAPE = """\
def outputs(fields, inputs):
    return list(inputs)
"""

MakePlugin = Callable[..., Path]


@pytest.fixture
def make_plugin(tmp_path: Path) -> MakePlugin:
    """Give a function that writes one plugin folder and returns the folder that holds it."""

    def make(
        op: str = "Double", text: str = PLUGIN, shape: str | None = SHAPE, root: str = "plugins"
    ) -> Path:
        folder = tmp_path / root / op
        folder.mkdir(parents=True)
        (folder / "plugin.yaml").write_text(text)
        if shape is not None:
            (folder / "shape.py").write_text(shape)
        return folder.parent

    return make
