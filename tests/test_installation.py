"""The commands that install what is missing: from where the package came from, with all that the job needs."""

from __future__ import annotations

import configparser
import json
import re
import shlex
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from types import SimpleNamespace

import pytest

from surgeon import installation
from surgeon.installation import EXTRAS, TENSORRT, help_for, install_command, pip

ROOT = Path(__file__).resolve().parents[1]

STRANGER = re.compile(
    r"(?<![-\w./@])surgeon\[[a-z]|pip3? install[^\n&|;]*[ \t'\"]surgeon(?=['\"`\s=<>~!;,)]|$)"
)
"""A command that would install the 'surgeon' of a package index, which is another project."""


def setup_cfg() -> configparser.ConfigParser:
    parser = configparser.ConfigParser()
    parser.read(ROOT / "setup.cfg", encoding="utf-8")
    return parser


def sources() -> Iterator[Path]:
    """Yield the text files of the project, outside of build and working folders."""
    folders = (".ci", ".github", "bench", "docs", "notebooks", "plugins", "recipes", "surgeon", "tests")
    for path in [*ROOT.iterdir(), *(path for name in folders for path in (ROOT / name).rglob("*"))]:
        kind = path.suffix in (
            ".py",
            ".md",
            ".yaml",
            ".yml",
            ".ipynb",
            ".cfg",
            ".toml",
            ".txt",
            ".html",
            ".sh",
            "",
        )
        if path.is_file() and kind and path.name != ".coverage" and path != Path(__file__).resolve():
            yield path


def test_nothing_suggests_a_strangers_package() -> None:
    found = [
        f"{path.relative_to(ROOT)}: {match.group()}"
        for path in sources()
        for match in STRANGER.finditer(path.read_text(encoding="utf-8", errors="replace"))
    ]
    assert found == []


@pytest.mark.parametrize(
    ("text", "strange"),
    [
        ("pip install surgeon", True),
        ("pip install 'surgeon[onnx]'", True),
        ("pip install -U surgeon==1.0", True),
        ("needs surgeon[view]", True),
        ("pip install trt-surgeon", False),
        ("pip install 'trt-surgeon[onnx]'", False),
        ("pip install -e '/home/me/surgeon[onnx]'", False),
        ("pip uninstall surgeon", False),
        ("pip install . && surgeon demo", False),
    ],
)
def test_a_strangers_package_is_recognised(text: str, strange: bool) -> None:
    assert bool(STRANGER.search(text)) == strange


def test_the_extras_that_are_named_exist() -> None:
    assert {extra for extras in EXTRAS.values() for extra in extras} <= set(
        setup_cfg()["options.extras_require"]
    )


def test_every_extra_is_complete_by_itself() -> None:
    extras = setup_cfg()["options.extras_require"]
    assert "tensorflow" in extras["onnx"] and "tf2onnx" in extras["onnx"]
    assert f"tensorrt=={TENSORRT}" in extras["tensorrt"].split("\n")


def test_no_extra_installs_nothing_without_a_word() -> None:
    extras = setup_cfg()["options.extras_require"]
    assert [name for name, text in extras.items() if "python_version" in text] == []


def test_the_page_on_installing_has_a_row_for_each_extra() -> None:
    page = (ROOT / "docs" / "install.md").read_text(encoding="utf-8")
    rows = [line.split("|")[1] for line in page.splitlines() if line.startswith("| ")]
    named = {name for row in rows for name in re.findall(r"`([a-z]+)`", row)}
    assert set(setup_cfg()["options.extras_require"]) <= named


def test_a_checkout_is_installed_from_its_path() -> None:
    assert (
        install_command("onnx", "pictures")
        == f"{pip()} install --editable {shlex.quote(f'{ROOT}[onnx,pictures]')}"
    )


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """Give ``installed(record)``: the package lies in no checkout, and pip has recorded this of its origin."""
    monkeypatch.setattr(
        installation, "__file__", str(tmp_path / "site-packages" / "surgeon" / "installation.py")
    )
    monkeypatch.setattr(sys, "executable", str(tmp_path / "bin" / "python"))
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "pip").touch(mode=0o755)

    def install(record: dict[str, object] | None) -> None:
        text = None if record is None else json.dumps(record)
        distribution = SimpleNamespace(read_text=lambda name: text)
        monkeypatch.setattr(metadata, "distribution", lambda name: distribution)

    return install


def test_a_package_of_an_index_is_installed_by_its_name(installed) -> None:
    installed(None)
    assert install_command("onnx") == "pip install 'trt-surgeon[onnx]'"
    assert install_command("view", upgrade=True) == "pip install -U 'trt-surgeon[view]'"
    assert install_command() == "pip install trt-surgeon"


def test_a_wheel_and_a_copy_of_a_checkout_are_installed_from_their_paths(installed, tmp_path: Path) -> None:
    wheel = tmp_path / "my wheels" / "trt_surgeon-1.0-py3-none-any.whl"
    wheel.parent.mkdir()
    wheel.touch()
    for path in (wheel, wheel.parent):
        installed({"url": path.as_uri()})
        assert install_command("onnx") == f"pip install '{path}[onnx]'"
    wheel.unlink()
    installed({"url": wheel.as_uri()})
    assert install_command("onnx") == "pip install 'trt-surgeon[onnx]'"


def test_a_repository_and_an_archive_are_installed_from_their_addresses(installed) -> None:
    installed({"url": "https://example.org/s.git", "vcs_info": {"vcs": "git", "commit_id": "abc"}})
    assert install_command("onnx") == "pip install 'trt-surgeon[onnx] @ git+https://example.org/s.git@abc'"
    installed({"url": "https://example.org/s.tar.gz", "archive_info": {}})
    assert install_command("onnx") == "pip install 'trt-surgeon[onnx] @ https://example.org/s.tar.gz'"


def test_an_interpreter_whose_pip_is_not_the_shells_is_named(
    installed, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    installed(None)
    monkeypatch.setenv("PATH", "/nowhere")
    assert install_command("onnx") == f"{tmp_path}/bin/python -m pip install 'trt-surgeon[onnx]'"


@pytest.mark.parametrize("package", ["tensorrt", "polygraphy"])
def test_tensorrt_names_the_python_that_it_has_wheels_for(
    installed, monkeypatch: pytest.MonkeyPatch, package: str
) -> None:
    installed(None)
    monkeypatch.setattr(sys, "version_info", (3, 10, 13))
    assert help_for(package) == ["pip install 'trt-surgeon[tensorrt,pictures]'"]
    monkeypatch.setattr(sys, "version_info", (3, 12, 1))
    first, second = help_for(package)
    assert "no wheel for Python 3.12" in first and "python3.10 -m venv" in first
    assert second.endswith("pip install 'tensorrt<11' polygraphy")


def test_tensorflow_and_onnx_come_with_what_reads_pictures(installed) -> None:
    installed(None)
    assert help_for("tf2onnx") == ["pip install 'trt-surgeon[onnx,pictures]'"]
    assert help_for("tensorflow") == ["pip install 'trt-surgeon[tensorflow,pictures]'"]
