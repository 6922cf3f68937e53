"""Old Pythons with NumPy and Pillow, on which the programs of packages run."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def interpreter(version: str) -> str:
    """Return a Python of that version with NumPy and Pillow; skip the test where there is none."""
    if version == "this":
        return sys.executable
    place = Path(os.environ.get("SURGEON_DEVICE_PYTHONS", ROOT / ".venv-device"))
    python = place / version / "bin" / "python"
    if (
        subprocess.run([python, "-c", "import numpy, PIL"], capture_output=True).returncode
        if python.exists()
        else True
    ):
        pytest.skip(f"there is no Python {version} with NumPy and Pillow; 'make test-device' makes one")
    return str(python)
