"""``surgeon doctor``: what is wrong with an installation is found before an engine is built."""

from __future__ import annotations

import os
import re
import stat
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from surgeon.catalog import load_catalog
from surgeon.cli import doctor
from surgeon.engine import CreatorField, Device, LoadedLibrary, RegisteredCreator, Registry

Observations = dict[str, dict[str, Any]]

LIBRARY = """\
class Logger:
    INTERNAL_ERROR = 0
    def __init__(self, level): pass

class Creator:
    def __init__(self, name): self.name = name

class Registry:
    plugin_creator_list = [Creator(name) for name in {creators!r}]

{parser}
__version__ = {version!r}

def init_libnvinfer_plugins(logger, namespace):
    return {initialised}

def get_plugin_registry():
    return Registry
"""


def library(
    creators: list[str] | None = None, version: str = "8.5.3.1", initialised: bool = True, uff: bool = True
) -> str:
    """Return a module that answers as TensorRT's Python package does."""
    names = [spec.creator for spec in load_catalog().values()] if creators is None else creators
    return LIBRARY.format(
        creators=names,
        version=version,
        initialised=initialised,
        parser="class UffParser: pass" if uff else "",
    )


@pytest.fixture
def tensorrt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Give ``tensorrt(text)``, which installs a module of that name for this process and for those that it starts."""
    folder = tmp_path / "modules"
    (folder / "tensorrt").mkdir(parents=True)
    monkeypatch.delitem(sys.modules, "tensorrt", raising=False)
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.setenv(
        "PYTHONPATH", os.pathsep.join([str(folder), *filter(None, [os.environ.get("PYTHONPATH")])])
    )

    def install(text: str) -> None:
        (folder / "tensorrt" / "__init__.py").write_text(text)

    return install


@pytest.fixture
def observations(run) -> Callable[[], Observations]:
    """Give the observations of ``surgeon doctor`` by what was looked at."""

    def observed() -> Observations:
        told = run("doctor", "--json").json
        assert told["findings"] == told["observations"]  # the key of earlier releases
        return {each["thing"]: each for each in told["observations"]}

    return observed


@pytest.fixture
def nvidia_smi(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Give ``nvidia_smi(script)``, which puts a program of that name first."""

    def install(script: str) -> None:
        program = tmp_path / "nvidia-smi"
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(program.stat().st_mode | stat.S_IXUSR)
        monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)

    return install


def versions(monkeypatch: pytest.MonkeyPatch, **known: str) -> None:
    """Let packages, with underscores for hyphens, be installed in these versions."""
    real = doctor._version
    monkeypatch.setattr(doctor, "_version", lambda name: known.get(name.replace("-", "_")) or real(name))


@pytest.mark.parametrize(
    ("record", "found"),
    [
        ("surgeon/__init__.py,sha256=x,1\nsurgeon-0.1.0.dist-info/METADATA,,\n", True),
        ("__editable__.surgeon-0.1.0.pth,sha256=x,1\nsurgeon-0.1.0.dist-info/METADATA,,\n", False),
        (None, False),
    ],
)
def test_a_distribution_surgeon_with_files_of_its_own_is_broken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, record: str | None, found: bool
) -> None:
    folder = tmp_path / ("surgeon-0.1.0.dist-info" if record else "surgeon.egg-info")
    folder.mkdir()
    (folder / ("METADATA" if record else "PKG-INFO")).write_text("Name: surgeon\nVersion: 0.1.0\n")
    if record:
        (folder / "RECORD").write_text(record)
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    observations = list(doctor._other_distribution())
    assert [observation.state for observation in observations] == ["broken"] * found
    assert all("pip uninstall surgeon" in observation.text for observation in observations)


def test_a_complete_library_is_fine(
    tensorrt: Callable[[str], None], observations: Callable[[], Observations]
) -> None:
    tensorrt(library())
    found = observations()
    assert found["TensorRT"]["state"] == "ok"
    assert found["TensorRT"]["text"].startswith("8.5.3.1, a UFF parser, ")
    assert "plugin library" not in found


def test_plugins_that_are_not_registered_are_named(
    tensorrt: Callable[[str], None], observations: Callable[[], Observations]
) -> None:
    names = [spec.creator for spec in load_catalog().values()]
    tensorrt(library([name for name in names if name not in ("NMS_TRT", "BatchTilePlugin_TRT")]))
    assert observations()["plugin library"] == {
        "thing": "plugin library",
        "state": "absent",
        "text": "without BatchTilePlugin_TRT, NMS_TRT; NVIDIA's open-source plugin library has them",
    }


def test_plugins_that_a_release_never_had_are_not_asked_for(
    tensorrt: Callable[[str], None], observations: Callable[[], Observations]
) -> None:
    old = [spec.creator for spec in load_catalog().values() if spec.exists_in((5, 1, 5))]
    tensorrt(library(old, "5.1.5.0"))
    assert "plugin library" not in observations()


def test_a_library_that_cannot_be_initialised_is_broken(
    run, tensorrt: Callable[[str], None], observations: Callable[[], Observations]
) -> None:
    tensorrt(library(initialised=False))
    assert observations()["plugin library"]["state"] == "broken"
    assert run("doctor").code == 1


def test_a_release_without_a_uff_parser_is_named(
    tensorrt: Callable[[str], None], observations: Callable[[], Observations]
) -> None:
    tensorrt(library(version="10.3.0", uff=False))
    assert "10.3.0, no UFF parser (8.6 is the last release with one)" in observations()["TensorRT"]["text"]


@pytest.mark.parametrize(
    ("version", "numpy", "fails"),
    [("8.5.3.1", "1.26.4", True), ("8.5.3.1", "1.23.5", False), ("8.6.1", "1.26.4", False)],
)
def test_nptype_is_named_where_it_fails(
    tensorrt: Callable[[str], None],
    observations: Callable[[], Observations],
    monkeypatch: pytest.MonkeyPatch,
    version: str,
    numpy: str,
    fails: bool,
) -> None:
    tensorrt(library(version=version))
    versions(monkeypatch, numpy=numpy)
    assert ("nptype() fails" in observations()["TensorRT"]["text"]) == fails


@pytest.mark.skipif(sys.platform == "win32", reason="there are no such signals")
def test_a_crash_of_tensorrt_is_found(run, tensorrt: Callable[[str], None]) -> None:
    tensorrt("import os, signal\nos.kill(os.getpid(), signal.SIGSEGV)\n")
    ran = run("doctor")
    assert ran.code == 1 and "importing it ends with SIGSEGV" in ran.out


def test_a_library_that_is_missing_is_found(
    tensorrt: Callable[[str], None], observations: Callable[[], Observations]
) -> None:
    tensorrt(
        "raise ImportError('libcudnn.so.8: cannot open shared object file: No such file or directory')\n"
    )
    found = observations()["TensorRT"]
    assert found["state"] == "broken" and "libcudnn.so.8: cannot open shared object file" in found["text"]
    assert "nvidia-cudnn-cu11<9" in found["text"]


def test_a_module_that_says_something_else_is_broken(
    tensorrt: Callable[[str], None], observations: Callable[[], Observations]
) -> None:
    tensorrt("print('{not what was asked for')\nimport sys\nsys.exit(0)\n")
    assert observations()["TensorRT"]["state"] == "broken"


def test_an_import_that_does_not_end_is_given_up(tensorrt: Callable[[str], None]) -> None:
    from surgeon.engine import read_registry

    tensorrt("import time\ntime.sleep(60)\n")
    registry = read_registry(timeout=3)
    assert registry is not None and registry.problem == "importing it took more than 3 s"


@pytest.mark.parametrize(
    ("driver", "package", "broken"),
    [
        ("450.51.06", "nvidia_cuda_runtime_cu11", True),
        ("450.80.02", "nvidia_cuda_runtime_cu11", False),
        ("470.57.02", "nvidia_cuda_runtime_cu12", True),
        ("525.60.13", "nvidia_cuda_runtime_cu12", False),
    ],
)
def test_a_driver_that_is_too_old_is_found(
    observations: Callable[[], Observations],
    nvidia_smi: Callable[[str], None],
    monkeypatch: pytest.MonkeyPatch,
    driver: str,
    package: str,
    broken: bool,
) -> None:
    real = doctor._version
    monkeypatch.setattr(
        doctor, "_version", lambda name: None if name.startswith("nvidia-cuda-runtime") else real(name)
    )
    versions(monkeypatch, **{package: "1.0"})
    nvidia_smi(f"echo 'Some GPU 4, {driver}'")
    found = observations()
    assert found["GPU"]["text"] == f"Some GPU 4, {driver}"
    assert ("GPU driver" in found) == broken
    if broken:
        assert f"too old for {package.replace('_', '-')}" in found["GPU driver"]["text"]


@pytest.mark.parametrize(
    ("script", "text"), [("echo nothing >&2; exit 9", "none found"), ("exit 0", "none found")]
)
def test_no_gpu_is_no_harm(
    observations: Callable[[], Observations], nvidia_smi: Callable[[str], None], script: str, text: str
) -> None:
    nvidia_smi(script)
    assert observations()["GPU"] == {"thing": "GPU", "state": "absent", "text": text}


# What TensorRT's process tells, and what the recipes need of it


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Registry]:
    """Give ``registry(**what)``, which lets TensorRT's process answer so; the catalog's plugins are registered unless told."""

    def answer(**what: Any) -> Registry:
        version = (8, 5, 3)
        creators = tuple(
            RegisteredCreator(
                spec.creator,
                r.plugin_version,
                "",
                tuple(CreatorField(f.name, f.type) for f in spec.fields_of(version)),
            )
            for spec in load_catalog().values()
            if spec.library == "tensorrt"
            for r in spec.registrations_in(version)
        )
        found = Registry(
            **{
                "version": "8.5.3.1",
                "parsers": ("uff", "onnx", "caffe"),
                "initialised": True,
                "creators": creators,
                **what,
            }
        )
        monkeypatch.setattr("surgeon.engine.read_registry", lambda libraries: found)
        return found

    return answer


def test_all_parsers_are_named(
    registry: Callable[..., Registry], observations: Callable[[], Observations]
) -> None:
    count = len(registry().creators)
    assert observations()["TensorRT"]["text"].startswith(
        f"8.5.3.1, a UFF parser, an ONNX parser, a Caffe parser, {count} plugin creators"
    )


def test_the_gpu_and_cuda_are_told(
    registry: Callable[..., Registry], observations: Callable[[], Observations]
) -> None:
    registry(
        devices=(Device("NVIDIA H200", "9.0", 150_000_000_000),), driver_cuda="12.4", cuda_runtimes=("11.8",)
    )
    found = observations()
    assert found["GPU 0"] == {
        "thing": "GPU 0",
        "state": "ok",
        "text": "NVIDIA H200, compute capability 9.0, 150.0 GB",
    }
    assert found["CUDA"] == {"thing": "CUDA", "state": "ok", "text": "a driver for CUDA 12.4, runtime 11.8"}
    registry(cuda_runtimes=("11.8",))
    found = observations()
    assert (
        "GPU 0" not in found
        and found["CUDA"]["state"] == "absent"
        and found["CUDA"]["text"] == "no driver, runtime 11.8"
    )
    registry()
    assert "CUDA" not in observations()


def test_the_creators_are_listed_as_json(run: Any, registry: Callable[..., Registry]) -> None:
    count = len(registry(log="secret").creators)
    told = run("doctor", "--json").json["tensorrt"]
    assert len(told["creators"]) == count and "log" not in told
    (nms,) = (creator for creator in told["creators"] if creator["name"] == "NMS_TRT")
    assert (nms["version"], nms["namespace"], nms["library"]) == ("1", "", "")
    assert {"name": "inputOrder", "type": "int[]", "length": 1} in nms["fields"]


def test_what_the_recipes_need_is_told(
    registry: Callable[..., Registry], observations: Callable[[], Observations]
) -> None:
    registry()
    found = observations()
    assert found["plugins of ssd"] == {
        "thing": "plugins of ssd",
        "state": "ok",
        "text": "needs GridAnchor_TRT, FlattenConcat_TRT, NMS_TRT",
    }
    assert (
        found["plugins of lenet5_clip"]["state"] == "absent"
        and "--plugin-library" not in found["plugins of lenet5_clip"]["text"]
    )
    assert "one's own and not registered" in found["plugins of lenet5_clip"]["text"]


def test_a_plugin_that_a_recipe_lacks_is_told(
    run: Any, registry: Callable[..., Registry], observations: Callable[[], Observations]
) -> None:
    whole = registry().creators
    registry(creators=tuple(creator for creator in whole if creator.name != "ResizeNearest_TRT"))
    found = observations()
    assert found["plugins of ssd"]["state"] == "ok" and found["plugins of ssd_fpn"]["state"] == "absent"
    assert (
        "the plugin ResizeNearest_TRT of 'enlarged' is not in this build of TensorRT 8.5.3"
        in found["plugins of ssd_fpn"]["text"]
    )
    assert run("doctor").code == 0


def test_a_field_that_a_recipe_sets_and_the_creator_lacks_is_told(
    registry: Callable[..., Registry], observations: Callable[[], Observations]
) -> None:
    other = RegisteredCreator("NMS_TRT", "1", "", (CreatorField("shareLocation", "int"),))
    registry(
        creators=tuple(other if creator.name == "NMS_TRT" else creator for creator in registry().creators)
    )
    text = observations()["plugins of ssd"]["text"]
    assert "the field 'inputOrder' of 'NMS' is none of NMS_TRT" in text and "'shareLocation'" not in text


def test_a_tensorrt_that_fails_tells_nothing_of_recipes(
    registry: Callable[..., Registry], observations: Callable[[], Observations]
) -> None:
    registry(problem="importing it ends with SIGSEGV")
    found = observations()
    assert found["TensorRT"]["state"] == "broken" and not any(
        thing.startswith("plugins of") for thing in found
    )


def test_libraries_are_told(run: Any, registry: Callable[..., Registry]) -> None:
    clip = RegisteredCreator("CustomClipPlugin", "1", "", (), "/l/clip.so")
    libraries = (
        LoadedLibrary("/l/clip.so"),
        LoadedLibrary("/l/none.so"),
        LoadedLibrary("/l/bad.so", "undefined symbol: f"),
    )
    registry(creators=(*registry().creators, clip), libraries=libraries)
    ran = run("doctor", "--json")
    found = {observation["thing"]: observation for observation in ran.json["findings"]}
    assert found["library clip.so"] == {
        "thing": "library clip.so",
        "state": "ok",
        "text": "adds CustomClipPlugin",
    }
    assert found["library none.so"]["state"] == "absent" and found["library none.so"]["text"].startswith(
        "B124: "
    )
    assert (
        found["library bad.so"]["state"] == "broken"
        and "undefined symbol: f" in found["library bad.so"]["text"]
    )
    assert found["plugins of lenet5_clip"]["state"] == "ok" and ran.code == 1


def test_a_library_that_is_not_there_is_refused(run: Any, tmp_path: Path) -> None:
    ran = run("doctor", "--plugin-library", tmp_path / "gone.so")
    assert ran.code == 1 and "B120" in ran.err and "gone.so" in ran.err


def test_libraries_without_tensorrt_are_not_looked_at(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("surgeon.engine.read_registry", lambda libraries: None)
    monkeypatch.setattr("surgeon.engine.check_libraries", lambda libraries: tuple(libraries))
    found = {
        one["thing"]: one for one in run("doctor", "--json", "--plugin-library", "a.so").json["findings"]
    }
    assert found["plugin libraries"]["state"] == "absent" and "TensorRT" not in found
    assert "plugin libraries" not in {one["thing"] for one in run("doctor", "--json").json["findings"]}


def test_a_package_without_metadata_is_there(run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("surgeon.engine.read_registry", lambda libraries: None)
    monkeypatch.setattr("surgeon.cli.doctor._version", lambda name: None if name == "tensorrt" else "1.0")
    rows = {}
    for place in (tmp_path, tmp_path / "nothing"):
        monkeypatch.setattr(
            "surgeon.cli.doctor.find_spec", lambda name, place=place: object() if place == tmp_path else None
        )
        rows[place] = {one["thing"]: one for one in run("doctor", "--json").json["findings"]}["tensorrt"]
    assert rows[tmp_path]["state"] == "ok" and "of no installed package" in rows[tmp_path]["text"]
    assert rows[tmp_path / "nothing"]["state"] == "absent"


def test_every_verb_says_what_it_can_do_here(run, monkeypatch: pytest.MonkeyPatch) -> None:
    from surgeon.cli import verbs

    monkeypatch.setattr(doctor, "find_spec", lambda name: None)
    monkeypatch.setattr("surgeon.engine.read_registry", lambda libraries: None)
    found = run("doctor", "--json").json
    works = {(row["verbs"], row["what"]): row["works"] for row in found["abilities"]}
    assert set(verbs()) <= {verb for names, _ in works for verb in names.split(", ")}
    assert works["convert", "to UFF and to TensorFlow graphs"] and not works["convert", "to ONNX"]
    missing = {name for row in found["abilities"] for name in row["missing"]}
    assert missing >= {"tensorflow", "PIL", "onnx", "onnxruntime", "tensorrt", doctor.GPU, "netron"}
    text = run("doctor").out
    assert re.search(r"^  -   verify, demo +needs tensorflow and PIL$", text, re.MULTILINE)
    assert all(f"\n  {command}\n" in text for command in found["install"])


def test_one_command_installs_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.version_info", (3, 10, 1))
    (command,) = doctor._commands({"tensorflow", "PIL", "netron", "tensorrt", doctor.GPU})
    assert "[tensorflow,pictures,tensorrt,view]" in command
    monkeypatch.setattr("sys.version_info", (3, 12, 1))
    command, *apart = doctor._commands({"tensorflow", "PIL", "netron", "tensorrt"})
    assert "[tensorflow,pictures,view]" in command and "python3.10 -m venv" in apart[0]
    assert doctor._commands(set()) == []


def test_an_engine_can_be_built_where_tensorrt_sees_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    registry = Registry("8.5.3.1", (), devices=(Device("A GPU", "9.0", 1),))
    built = next(row for row in doctor._abilities(registry) if row.what == "engines")
    assert built.missing == ()
    built = next(row for row in doctor._abilities(Registry("8.5.3.1", ())) if row.what == "engines")
    assert built.missing == (doctor.GPU,)
