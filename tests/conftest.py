"""Fixtures and settings that every room's tests share."""

from __future__ import annotations

import fcntl
import gc
import hashlib
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from warm_commands import warm_commands

pytest_plugins = ["detector_graphs"]

CHECKOUT = Path(__file__).resolve().parent.parent
_DETERMINISM = re.compile("golden|determin")

# TensorFlow is a referee here, on the CPU and quiet.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

# Tests that run behind nohup or in the background of a shell would pass ignored signals on to what they start.
for number, handler in ((signal.SIGHUP, signal.SIG_DFL), (signal.SIGINT, signal.default_int_handler)):
    if signal.getsignal(number) is signal.SIG_IGN:
        signal.signal(number, handler)

settings.register_profile(
    "deterministic",
    max_examples=40,
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile("thorough", settings.get_profile("deterministic"), max_examples=300)


def _is_thorough(config: pytest.Config) -> bool:
    return "not exhaustive" not in config.getoption("markexpr")


def pytest_configure(config: pytest.Config) -> None:
    """Try what is random more often where no test is left out.

    Hide the GPU, unless its tests are asked for: ``pytest tests/gpu`` or ``pytest -m gpu``.
    """
    settings.load_profile("thorough" if _is_thorough(config) else "deterministic")
    if config.getoption("markexpr") != "gpu" and not any("tests/gpu" in str(one) for one in config.args):
        os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave files without such a test out where only tests of determinism are wanted: importing all takes long."""
    if not config.getoption("markexpr").startswith("determinism") or collection_path.suffix != ".py":
        return None
    return None if _DETERMINISM.search(collection_path.read_text(encoding="utf-8")) else True


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests of golden files and of determinism, which run under a second hash seed."""
    for item in items:
        function = item.nodeid.partition("::")[2].partition("[")[0]
        if _DETERMINISM.search(function):
            item.add_marker(pytest.mark.determinism)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Keep a file's tests, like those of a group, in one worker: what its fixtures make is made once."""
    from xdist.scheduler import LoadGroupScheduling

    class ByGroupOrFile(LoadGroupScheduling):
        def _split_scope(self, nodeid: str) -> str:
            group: str = super()._split_scope(nodeid)
            return nodeid.partition("::")[0] if group == nodeid else group

    return ByGroupOrFile(config, log) if config.getoption("dist") == "loadgroup" else None


def pytest_collection_finish() -> None:
    """Take what was imported and collected out of the garbage collector's rounds: a round takes half a second."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def tries(pytestconfig: pytest.Config) -> Callable[[int], int]:
    """Give ``tries(count)``: how often something random is tried, a quarter of ``count`` in CI."""
    return lambda count: count if _is_thorough(pytestconfig) else count // 4


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Let one worker process at a time into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / ".lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _session_folder(factory: pytest.TempPathFactory, name: str) -> Path:
    # Under xdist each worker has its own base; the parent is common to all of one session.
    base = factory.getbasetemp()
    return (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / name


def _made_once(target: Path, make: Callable[[Path], object]) -> Path:
    """Return the file, made by the first worker that asks; the others wait for it."""
    with _alone(target.parent):
        if not target.exists():
            part = target.with_name(f"part-{target.name}")
            make(part)
            part.rename(target)
    return target


@dataclass(frozen=True)
class SharedModels:
    """The development models beside the checkout: graphs whose weights are filled in on demand."""

    root: Path
    cache: Path

    def filled(self, name: str) -> Path:
        """Return the frozen graph of a skeleton, with its weights."""
        skeleton = self.root / "skeletons" / f"{name}.skel.pb.xz"
        if not skeleton.exists():
            pytest.skip(f"the development models have no '{name}'")

        def fill(part: Path) -> None:
            command = [sys.executable, str(self.root / "skeleton.py"), "fill", str(skeleton), str(part)]
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)

        return _made_once(self.cache / f"{name}.pb", fill)


@pytest.fixture(scope="session")
def shared_models(tmp_path_factory: pytest.TempPathFactory) -> SharedModels:
    """Give the development models; skip where they are not beside the checkout."""
    root = CHECKOUT.parent / "shared" / "models"
    if not (root / "skeleton.py").exists():
        pytest.skip("the development models are not beside the checkout (../shared/models)")
    return SharedModels(root, _session_folder(tmp_path_factory, "shared-models"))


@pytest.fixture(scope="session")
def zoo_ssd(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Give ``zoo_ssd(date="2018", **options) -> Path``: a generated frozen SSD, made once a session for all workers.

    The options are those of ``surgeon.zoo.SsdOptions``.
    """
    folder = _session_folder(tmp_path_factory, "zoo")

    def generated(date: str = "2018", **options: Any) -> Path:
        from surgeon.zoo import SsdOptions, write_ssd

        wanted = SsdOptions(date=date, **options)  # type: ignore[arg-type]
        name = f"ssd-{date}-{hashlib.sha256(repr(wanted).encode()).hexdigest()[:12]}.pb"
        return _made_once(folder / name, lambda part: write_ssd(part, wanted))

    return generated


@pytest.fixture(scope="session")
def demo_recipe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give the recipe 'demo' that ``surgeon init`` writes for the demo model, with its labels, made once a session."""
    from surgeon import init
    from surgeon.zoo import demo

    def write(part: Path) -> None:
        authored = init(demo.model_path(), labels=demo.labels_path(), name="demo")
        part.write_text(authored.text, encoding="utf-8")

    return _made_once(_session_folder(tmp_path_factory, "demo") / "demo.yaml", write)


@pytest.fixture(scope="session")
def demo_onnx(tmp_path_factory: pytest.TempPathFactory, demo_recipe: Path) -> Callable[..., Path]:
    """Give ``demo_onnx(**options) -> Path``: the demo model as an ONNX file, made once a session.

    The options are those of ``surgeon.convert``. The files are shared: a test that changes one copies it first.
    """
    folder = _session_folder(tmp_path_factory, "demo")

    def converted(**options: Any) -> Path:
        from surgeon import convert
        from surgeon.zoo import demo

        name = f"demo-{hashlib.sha256(repr(sorted(options.items())).encode()).hexdigest()[:12]}.onnx"
        return _made_once(
            folder / name, lambda part: convert(demo_recipe, demo.model_path(), part, **options)
        )

    return converted


@pytest.fixture(scope="session")
def warm_surgeon() -> Iterator[Path]:
    """Give a folder for ``PATH`` whose ``surgeon`` has TensorFlow loaded when it starts."""
    with warm_commands() as folder:
        yield folder


FAKE_TENSORRT = Path(__file__).parent / "fakes"
FAKE_MARKS = {"MarkOutput_0": [["NMS", [1, 4, 7]], ["NMS_1", [1, 1, 1]]]}


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Put the stand-in for TensorRT where this process and its children find it; give what sets its environment.

    A UFF file's first output is then one of four detections, and its count.
    """
    monkeypatch.syspath_prepend(str(FAKE_TENSORRT))
    monkeypatch.setenv("PYTHONPATH", str(FAKE_TENSORRT))
    monkeypatch.setenv("FAKE_TENSORRT", "8.5.3.1")
    monkeypatch.setenv("FAKE_MARKS", json.dumps(FAKE_MARKS))
    monkeypatch.setenv("FAKE_CREATORS", "NMS_TRT,GridAnchor_TRT,FlattenConcat_TRT")
    monkeypatch.delenv("FAKE_FAULT", raising=False)
    monkeypatch.setenv("SURGEON_DEVICES", json.dumps([["Fake GPU", "9.0", 1 << 30]]))
    return monkeypatch
