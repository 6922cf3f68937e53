"""setup.py and setup.cfg: the packages, the version in one place, and the files that every checkout must have."""

from __future__ import annotations

import configparser
import importlib.metadata
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import surgeon
from surgeon.version import __version__

ROOT = Path(__file__).resolve().parents[2]
MAPPED = {"surgeon": "surgeon", "plugins": "surgeon.plugins", "recipes": "surgeon.recipes"}


def packages_in(root: Path) -> list[str]:
    """Return the installed names of all folders with an `__init__.py`, sorted."""
    found = []
    for folder, package in MAPPED.items():
        for path in (root / folder).rglob("__init__.py"):
            found.append(".".join((package, *path.parent.relative_to(root / folder).parts)))
    return sorted(found)


def setup_cfg() -> configparser.ConfigParser:
    parser = configparser.ConfigParser()
    parser.read(ROOT / "setup.cfg", encoding="utf-8")
    return parser


def packages_found(root: Path) -> list[str]:
    """Return the packages that the build finds in a tree."""
    code = "import setuptools; setuptools.setup = lambda packages, **_: print(*packages); import runpy; runpy.run_path('setup.py')"
    found = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    return sorted(found.stdout.split())


def test_the_packages_that_are_found_are_the_folders() -> None:
    assert packages_found(ROOT) == packages_in(ROOT)


def test_a_new_folder_is_found(tmp_path: Path) -> None:
    (tmp_path / "surgeon" / "new").mkdir(parents=True)
    (tmp_path / "surgeon" / "new" / "__init__.py").touch()
    (tmp_path / "surgeon" / "__init__.py").touch()
    for name in ("setup.py", "setup.cfg", "README.md"):
        shutil.copy(ROOT / name, tmp_path)
    assert packages_in(tmp_path) == ["surgeon", "surgeon.new"]
    assert {"surgeon", "surgeon.new"} <= set(packages_found(tmp_path))


def test_the_version_is_written_once() -> None:
    assert setup_cfg()["metadata"]["version"] == "attr: surgeon.version.__version__"
    assert surgeon.__version__ == __version__ == importlib.metadata.version("trt-surgeon")
    elsewhere = [
        path.name
        for name in ("setup.cfg", "pyproject.toml", "Makefile")
        if __version__ in (path := ROOT / name).read_text(encoding="utf-8").split()
    ]
    assert elsewhere == []


@pytest.mark.parametrize("name", ["plugins", "recipes"])
def test_mapped_packages_hold_no_code_of_their_own(name: str) -> None:
    assert len((ROOT / name / "__init__.py").read_text(encoding="utf-8").splitlines()) <= 1


def test_the_licence_is_the_apache_licence() -> None:
    text = (ROOT / "LICENSE").read_text(encoding="utf-8")
    assert (
        "Apache License" in text
        and "Version 2.0, January 2004" in text
        and "Copyright The surgeon authors" in text
    )


def test_the_licence_expression_names_what_is_shipped_with_the_package() -> None:
    """The libraries of the page, whose licences its README lists, are in the wheel."""
    table = (ROOT / "surgeon" / "viewer" / "assets" / "README.md").read_text(encoding="utf-8")
    shipped = {row.split("|")[3].strip() for row in table.splitlines() if row.startswith("| `")}
    expression = setup_cfg()["metadata"]["license_expression"]
    assert len(shipped) > 2 and set(expression.split(" AND ")) == {"Apache-2.0", *shipped}
    vendor = ROOT / "surgeon" / "viewer" / "assets" / "vendor"
    scripts = sorted(path.name.removesuffix(".min.js") for path in vendor.glob("*.min.js"))
    assert scripts == sorted(path.name.removesuffix(".LICENSE") for path in vendor.glob("*.LICENSE"))
