"""A copy of the checkout, and distributions built from it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SOURCES = {"surgeon": "surgeon", "plugins": "surgeon/plugins", "recipes": "surgeon/recipes"}


def source_copy(target: Path) -> Path:
    """Copy the working tree without what a build leaves there, so that nothing stale gets into the wheel."""
    for name in ("setup.cfg", "setup.py", "pyproject.toml", "README.md", "LICENSE", "MANIFEST.in"):
        if (ROOT / name).exists():
            target.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, target / name)
    for name in (*SOURCES, "tests"):
        shutil.copytree(
            ROOT / name, target / name, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info", ".*")
        )
    return target


def run(*command: str | os.PathLike[str], cwd: Path) -> str:
    """Run a command away from the checkout; return its standard output, fail with all of its output."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
    done = subprocess.run(
        [str(part) for part in command], cwd=cwd, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def build(source: Path, out: Path, *kinds: str) -> None:
    """Build the distributions of a tree into a folder: ``--wheel``, ``--sdist``."""
    run(sys.executable, "-m", "build", "--no-isolation", *kinds, "--outdir", out, source, cwd=source.parent)
