"""What the scripts of ``bench/`` import exists; most of them need a GPU or much time, and no test runs them."""

from __future__ import annotations

import ast
import importlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

BENCH = Path(__file__).resolve().parents[2] / "bench"


def missing(text: str) -> list[str]:
    """Return what a script imports of surgeon, inside functions too, and does not exist."""
    lacking = []
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "surgeon":
            module = importlib.import_module(node.module or "")
            lacking += [f"{node.module}.{each.name}" for each in node.names if not hasattr(module, each.name)]
    return lacking


@pytest.mark.parametrize("script", sorted(BENCH.glob("*.py")), ids=lambda path: path.name)
def test_what_a_script_imports_exists(script: Path) -> None:
    assert missing(script.read_text(encoding="utf-8")) == []


def test_commands_are_measured_with_their_bytecode_kept() -> None:
    code = "import sys; sys.path[:0] = [sys.argv[1]]; import process; print(process.ENVIRONMENT.get(sys.argv[2]))"
    for key, expected in (("PYTHONDONTWRITEBYTECODE", "None"), ("ANOTHER", "1")):
        command = [sys.executable, "-c", code, str(BENCH), key]
        done = subprocess.run(
            command, env={**os.environ, key: "1"}, capture_output=True, text=True, check=True
        )
        assert done.stdout.strip() == expected


def test_a_name_that_is_gone_is_seen() -> None:
    assert missing("def f():\n    from surgeon.graph import Graph, Grpah") == ["surgeon.graph.Grpah"]
