"""``import graphsurgeon`` and ``import uff`` where NVIDIA's packages are absent."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from surgeon.compat import install


@pytest.fixture(autouse=True)
def _modules() -> Iterator[None]:
    """Begin without modules of those names, and leave the process's modules as they were."""

    def taken() -> dict[str, object]:
        found = [name for name in sys.modules if name.partition(".")[0] in ("graphsurgeon", "uff")]
        return {name: sys.modules.pop(name) for name in found}

    before = taken()
    yield
    taken()
    sys.modules.update(before)  # type: ignore[arg-type]


def test_names_lead_to_this_package() -> None:
    assert install() == ["graphsurgeon", "uff"] == install()
    for name in (
        "graphsurgeon",
        "graphsurgeon._utils",
        "uff.converters.tensorflow.converter",
        "uff.model.uff_pb2",
    ):
        assert importlib.import_module(name) is importlib.import_module(f"surgeon.compat.{name}")


def test_nvidias_own_package_stays_and_an_empty_one_does_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, text in (
        ("graphsurgeon", "import warnings\nwarnings.warn('empty')\n"),
        ("uff", "from_tensorflow = 3\n"),
    ):
        (tmp_path / f"{name}.py").write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path))
    assert install() == ["graphsurgeon"]
    assert importlib.import_module("uff").from_tensorflow == 3
    assert importlib.import_module("graphsurgeon").DynamicGraph


def test_a_package_that_cannot_be_imported_is_absent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "uff.py").write_text("raise RuntimeError('TensorFlow 1 is needed')\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert install() == ["graphsurgeon", "uff"]
