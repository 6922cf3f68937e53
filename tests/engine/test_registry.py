"""The plugin registry as another process reads it: with modules that answer as TensorRT does, and with the genuine one."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import pytest

from surgeon.catalog import load_catalog
from surgeon.engine import CreatorField, Device, RegisteredCreator, Registry, read_registry

genuine = pytest.mark.skipif(find_spec("tensorrt") is None, reason="TensorRT is not installed")
linux = pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="TensorRT's plugin libraries are those of Linux here"
)

MODULE = """\
import enum

__version__ = {version!r}

class PluginFieldType(enum.Enum):
    INT32 = 1
    FLOAT32 = 2
    CHAR = 3
    UNKNOWN = 4
    INT64 = 5

class Logger:
    INTERNAL_ERROR = 0
    def __init__(self, level): pass

class Field:
    def __init__(self, name, type, size): self.name, self.type, self.size = name, PluginFieldType[type], size

class Creator:
    def __init__(self, name, version="1", namespace="", fields=()):
        self.name, self.plugin_version, self.plugin_namespace, self._fields = name, version, namespace, fields
    @property
    def field_names(self):
        if self._fields is None:
            raise RuntimeError("not implemented")
        return [Field(*one) for one in self._fields]

CREATORS = [Creator("B", "2"), Creator("B", "1", "mine"), Creator("Silent", fields=None),
            Creator("A", fields=[("n", "INT32", 1), ("order", "INT32", 3), ("x", "FLOAT32", 1), ("mode", "CHAR", 1), ("u", "UNKNOWN", 0),
                                 ("wide", "INT64", 1)])]

def listed():
    maps = open("/proc/self/maps").read()
    return CREATORS + [Creator("Mine")] * ("libmine.so" in maps)

class Registry:
    {attribute} = property(lambda self: listed())

{parsers}

def init_libnvinfer_plugins(logger, namespace):
    return {initialised}

def get_plugin_registry():
    return Registry()
"""


def module(
    version: str = "8.5.3.1",
    parsers: str = "class UffParser: pass\nclass OnnxParser: pass",
    initialised: bool = True,
    attribute: str = "plugin_creator_list",
) -> str:
    """Return a module that answers as TensorRT's Python package does."""
    return MODULE.format(version=version, parsers=parsers, initialised=initialised, attribute=attribute)


@pytest.fixture
def tensorrt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Give ``tensorrt(text)``, which installs a module of that name for this process and for those that it starts."""
    folder = tmp_path / "modules"
    (folder / "tensorrt").mkdir(parents=True)
    monkeypatch.delitem(sys.modules, "tensorrt", raising=False)
    monkeypatch.syspath_prepend(str(folder))

    def install(text: str) -> None:
        (folder / "tensorrt" / "__init__.py").write_text(text)

    return install


@pytest.fixture
def compiled(tmp_path: Path) -> Callable[[str, str], Path]:
    """Give ``compiled(name, source)``, a shared library of C source; skip where there is no compiler."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        pytest.skip("there is no C compiler")

    def make(name: str, source: str) -> Path:
        folder = tmp_path / "libraries"
        folder.mkdir(exist_ok=True)
        (folder / "source.c").write_text(source)
        subprocess.run(
            [compiler, "-shared", "-fPIC", "-o", str(folder / name), str(folder / "source.c")], check=True
        )
        return folder / name

    return make


def read(*libraries: Path) -> Registry:
    found = read_registry(libraries)
    assert found is not None
    return found


# A module that answers as TensorRT does


def test_what_is_registered_is_read(tensorrt: Callable[[str], None]) -> None:
    tensorrt(module())
    found = read()
    assert (found.problem, found.version, found.parsers, found.initialised) == (
        "",
        "8.5.3.1",
        ("uff", "onnx"),
        True,
    )
    assert [(creator.name, creator.version, creator.namespace) for creator in found.creators] == [
        ("A", "1", ""),
        ("B", "1", "mine"),
        ("B", "2", ""),
        ("Silent", "1", ""),
    ]
    assert found.named("A")[0].fields == (
        CreatorField("n", "int", 1),
        CreatorField("order", "int[]", 3),
        CreatorField("x", "float", 1),
        CreatorField("mode", "string", 1),
        CreatorField("u", "", 0),
        CreatorField("wide", "int64", 1),
    )
    assert [field.item for field in found.named("A")[0].fields] == [
        "int",
        "int",
        "float",
        "string",
        "",
        "int64",
    ]
    assert found.named("Silent") == (RegisteredCreator("Silent", "1"),) and found.named("Other") == ()


def test_the_list_of_tensorrt_11_is_read(tensorrt: Callable[[str], None]) -> None:
    tensorrt(module("11.1.0.1", "class OnnxParser: pass", attribute="all_creators"))
    found = read()
    assert (found.version, found.parsers, len(found.creators)) == ("11.1.0.1", ("onnx",), 4)


def test_a_library_that_cannot_be_initialised_is_told(tensorrt: Callable[[str], None]) -> None:
    tensorrt(module(initialised=False))
    assert read().initialised is False


def test_what_the_import_prints_does_not_harm(tensorrt: Callable[[str], None]) -> None:
    tensorrt(
        "import sys\nsys.stdout.write('hello')\nsys.stdout.flush()\nsys.stderr.write('talk')\n" + module()
    )
    found = read()
    assert found.version == "8.5.3.1" and "talk" in found.log


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (
            "raise ImportError('libcudnn.so.8: cannot open shared object file')",
            "libcudnn.so.8: cannot open shared object file",
        ),
        ("import sys; sys.exit(3)", "importing it fails: no reason was given"),
        ("import os; os._exit(0)", "importing it fails: no reason was given"),
        ("print('surgeon')", "has no attribute"),
    ],
)
def test_a_module_that_does_not_answer_is_told(
    tensorrt: Callable[[str], None], text: str, problem: str
) -> None:
    tensorrt(text)
    found = read()
    assert problem in found.problem and found.version == "" and found.creators == ()


@linux
def test_a_crash_is_told_with_what_was_done(tensorrt: Callable[[str], None]) -> None:
    tensorrt("import os, signal\nos.kill(os.getpid(), signal.SIGSEGV)\n")
    assert read().problem == "importing it ends with SIGSEGV"


def test_a_module_that_is_not_installed_gives_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("surgeon.engine.registry.find_spec", lambda name: None)
    assert read_registry() is None


def test_a_folder_of_the_same_name_where_it_runs_is_no_tensorrt(
    tensorrt: Callable[[str], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tensorrt(module())
    (tmp_path / "here" / "tensorrt").mkdir(parents=True)
    (tmp_path / "here" / "tensorrt" / "__init__.py").write_text("raise ImportError('the wrong one')")
    monkeypatch.chdir(tmp_path / "here")
    assert read().problem == ""


# Plugin libraries


@linux
def test_what_a_library_adds_is_told(
    tensorrt: Callable[[str], None], compiled: Callable[[str, str], Path]
) -> None:
    tensorrt(module())
    mine, other = compiled("libmine.so", "int mine;"), compiled("libother.so", "int other;")
    found = read(other, mine)
    assert [(library.path, library.problem) for library in found.libraries] == [
        (str(other), ""),
        (str(mine), ""),
    ]
    assert found.added_by(str(mine)) == (RegisteredCreator("Mine", "1", library=str(mine)),)
    assert found.added_by(str(other)) == () and len(found.added_by("")) == 4
    assert len(read(other).creators) == 4


@linux
def test_a_library_that_the_linker_refuses_is_told(
    tensorrt: Callable[[str], None], compiled: Callable[[str, str], Path]
) -> None:
    tensorrt(module())
    library = compiled(
        "libneedy.so", "extern int nowhere(void); int f(void) { return nowhere(); } int (*g)(void) = nowhere;"
    )
    found = read(library)
    assert "undefined symbol: nowhere" in found.libraries[0].problem and len(found.creators) == 4


@linux
def test_a_library_that_crashes_is_named(
    tensorrt: Callable[[str], None], compiled: Callable[[str, str], Path]
) -> None:
    tensorrt(module())
    library = compiled(
        "libcrash.so", "#include <stdlib.h>\n__attribute__((constructor)) static void f(void) { abort(); }"
    )
    assert read(library).problem == f"loading '{library}' ends with SIGABRT"


# CUDA

CUDA = """\
#include <string.h>
#include <stddef.h>
int cuInit(unsigned flags) { return %(init)d; }
int cuDriverGetVersion(int *v) { *v = 12040; return 0; }
int cuDeviceGetCount(int *n) { *n = 2; return 0; }
int cuDeviceGet(int *d, int i) { *d = i; return i; }
int cuDeviceGetName(char *name, int n, int d) { strncpy(name, "NVIDIA Pretence", n); return 0; }
int cuDeviceTotalMem_v2(size_t *m, int d) { *m = 8000000000; return 0; }
int cuDeviceGetAttribute(int *v, int a, int d) { *v = a == 75 ? 8 : a == 76 ? 6 : -1; return 0; }
"""


@linux
@pytest.mark.parametrize(
    ("init", "devices"), [(0, (Device("NVIDIA Pretence", "8.6", 8000000000),)), (100, ())]
)
def test_the_gpu_is_asked(
    tensorrt: Callable[[str], None],
    compiled: Callable[[str, str], Path],
    monkeypatch: pytest.MonkeyPatch,
    init: int,
    devices: tuple[Device, ...],
) -> None:
    tensorrt(module())
    folder = compiled("libcuda.so.1", CUDA % {"init": init}).parent
    compiled("libcudart.so.12", "int cudaRuntimeGetVersion(int *v) { *v = 12020; return 0; }")
    compiled("libcudart.so.11.0", "int cudaRuntimeGetVersion(int *v) { return 35; }")
    monkeypatch.setenv("LD_LIBRARY_PATH", str(folder), prepend=os.pathsep)
    found = read()
    assert (found.driver_cuda, found.devices) == ("12.4", devices)  # the second device does not answer
    assert "12.2" in found.cuda_runtimes


# The genuine package


@genuine
def test_the_genuine_registry() -> None:
    import tensorrt

    found = read()
    assert found.problem == "" and found.initialised and found.version == tensorrt.__version__
    assert "onnx" in found.parsers and ("uff" in found.parsers) == hasattr(tensorrt, "UffParser")
    version = tuple(map(int, found.version.split(".")[:3]))
    for spec in load_catalog().values():
        if spec.library == "tensorrt":
            assert {creator.version for creator in found.named(spec.creator)} == {
                r.plugin_version for r in spec.registrations_in(version)
            }


@genuine
def test_genuine_fields_have_the_catalog_s_types() -> None:
    found, catalog = read(), load_catalog()
    compared = 0
    for op in ("NMS_TRT", "GridAnchor_TRT", "FlattenConcat_TRT", "BatchedNMS_TRT", "PriorBox_TRT"):
        for creator in found.named(op):
            fields = {field.name: field for field in creator.fields}
            for name, field in fields.items():
                assert field.item == catalog[op].fields[name].type.removesuffix("[]"), (op, name)
                compared += 1
    assert compared >= 40
    order = next(field for field in found.named("NMS_TRT")[0].fields if field.name == "inputOrder")
    assert order == CreatorField("inputOrder", "int[]", 3)


@genuine
@linux
def test_a_library_beside_the_genuine_one(compiled: Callable[[str, str], Path]) -> None:
    library = compiled("libnothing.so", "int x;")
    found = read(library)
    assert found.problem == "" and found.libraries[0].problem == "" and found.added_by(str(library)) == ()
    assert len(found.creators) == len(read().creators) > 30


@genuine
@linux
def test_a_library_that_crashes_beside_the_genuine_one(compiled: Callable[[str, str], Path]) -> None:
    library = compiled(
        "libcrash.so", "#include <stdlib.h>\n__attribute__((constructor)) static void f(void) { abort(); }"
    )
    assert read(library).problem == f"loading '{library}' ends with SIGABRT"
