"""The code of plugins, loaded from files."""

from __future__ import annotations

import os
from pathlib import Path

from surgeon.catalog.modules import load_module


def test_a_figure_that_is_corrected_within_a_second_counts(tmp_path: Path) -> None:
    """Stored bytecode would be taken for current: the length and the time of the source are the same."""
    path = tmp_path / "reference.py"
    loaded = []
    for factor in (2, 3):
        path.write_text(f"FACTOR = {factor}\n")
        os.utime(path, (1_700_000_000, 1_700_000_000))
        load_module.cache_clear()
        module = load_module(tmp_path, "reference")
        assert module is not None
        loaded.append(module.FACTOR)
    assert loaded == [2, 3]
    assert not (tmp_path / "__pycache__").exists()
