"""TensorFlow's names in scripts: the old ones under TensorFlow 2, and the few that surgery needs without
it.
"""

from __future__ import annotations

import importlib.util
import sys
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

from surgeon.compat.missing import MissingModule
from surgeon.compat.remarks import note
from surgeon.formats.graphdef import protos
from surgeon.formats.graphdef.messages import TYPE_NUMBERS, tensor_to_message
from surgeon.graph import DType, TensorValue
from surgeon.optional import no_stderr, quiet

_PARTS = ("graph_util", "train", "summary", "io", "estimator", "saved_model", "nn")
"""Modules of TensorFlow 2 that lack names which their namesakes of TensorFlow 1 have."""
_GRAPHS = frozenset(
    {
        "Session",
        "InteractiveSession",
        "placeholder",
        "reset_default_graph",
        "get_default_graph",
        "import_meta_graph",
        "FileWriter",
        "global_variables_initializer",
    }
)
"""Names that work on TensorFlow 1's graphs, not in eager mode."""


class _OldNames:
    """What a module of TensorFlow 2 is, plus the names of ``compat.v1`` that it lacks.

    Installed packages, which ask for a name to tell the release, do not see these.
    """

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or "site-packages" in sys._getframe(1).f_code.co_filename:
            raise AttributeError(name)
        old = sys.modules["tensorflow"].compat.v1
        part = self.__dict__.get("_surgeon_part", "")
        value = getattr(getattr(old, part) if part else old, name)
        if name in _GRAPHS and old.executing_eagerly():
            old.disable_eager_execution()
        _tell(f"tf.{part}{'.' if part else ''}{name}")
        return value


_told: list[str] = []


def _tell(name: str) -> None:
    if not _told:
        version = sys.modules["tensorflow"].__version__
        note(
            "P122",
            f"TensorFlow {version} runs the script's names of TensorFlow 1, such as {name}, by tf.compat.v1",
        )
    _told.append(name)


def add_old_names(tensorflow: Any) -> None:
    """Give TensorFlow 2 the names of TensorFlow 1 that it lacks: ``tf.GraphDef``, ``tf.gfile``,
    ``tf.Session`` ...
    """
    if hasattr(tensorflow, "_surgeon_part") or not tensorflow.__version__.startswith("2."):
        return
    for part in ("", *_PARTS):
        module = getattr(tensorflow, part, None) if part else tensorflow
        if isinstance(module, ModuleType):
            kind = type(module)
            if issubclass(kind, _OldNames):
                continue
            module.__class__ = type(kind.__name__, (_OldNames, kind), {})
            module.__dict__["_surgeon_part"] = part
            if part:
                sys.modules[f"tensorflow.{part}"] = module


class _Finder(MetaPathFinder, Loader):
    """Adds the old names when a script imports TensorFlow."""

    def __init__(self) -> None:
        self._loader: Any = None
        self._looking = False

    def find_spec(self, name: str, path: Any = None, target: object = None) -> ModuleSpec | None:
        if name != "tensorflow" or self._looking:
            return None
        self._looking = True
        try:
            spec = importlib.util.find_spec(name)
        finally:
            self._looking = False
        if spec is None or spec.loader is None or spec.origin is None:
            return None
        self._loader = spec.loader
        spec.loader = self
        return spec

    def create_module(self, spec: ModuleSpec) -> Any:
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        if module.__spec__ is not None:
            module.__spec__.loader = module.__loader__ = self._loader
        with quiet(), no_stderr():  # what TensorFlow logs while it is loaded is nothing of the script's
            self._loader.exec_module(module)
        add_old_names(sys.modules.get("tensorflow", module))


def know_old_names() -> None:
    """Add the old names to TensorFlow 2, now or when it is imported."""
    if "tensorflow" in sys.modules:
        if getattr(sys.modules["tensorflow"], "__file__", None):
            add_old_names(sys.modules["tensorflow"])
    elif not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Finder())


# Without TensorFlow


class _DType:
    """An element type as TensorFlow has it."""

    def __init__(self, dtype: DType) -> None:
        self.name = dtype.value
        self.as_datatype_enum = TYPE_NUMBERS[dtype]
        self.as_numpy_dtype = dtype.numpy().type if dtype.itemsize else object

    def __repr__(self) -> str:
        return f"tf.{self.name}"


class _File:
    """A file as ``tf.gfile`` opens it."""

    def __init__(self, name: str, mode: str = "r") -> None:
        self._file = open(name, mode)  # noqa: SIM115 - closed by the script, as any file

    def __enter__(self) -> Any:
        return self._file

    def __exit__(self, *_: Any) -> None:
        self._file.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


def tensorflow_module() -> ModuleType:
    """Return a module with the names of TensorFlow that surgery needs; any other is refused when it is
    used.
    """
    module: Any = MissingModule("tensorflow")
    module.__version__ = "1.15.5"
    types = {dtype.value: _DType(dtype) for dtype in TYPE_NUMBERS}
    for name, dtype in types.items():
        setattr(module, name, dtype)
    for message in ("GraphDef", "NodeDef", "AttrValue"):
        setattr(module, message, getattr(protos, message))
    gfile = SimpleNamespace(GFile=_File, FastGFile=_File, Open=_File, Exists=lambda name: Path(name).exists())
    module.gfile = gfile
    module.io = SimpleNamespace(gfile=gfile, write_graph=_write_graph)
    module.train = SimpleNamespace(write_graph=_write_graph)
    module.as_dtype = lambda value: value if isinstance(value, _DType) else types[DType(str(value)).value]
    module.make_tensor_proto = _make_tensor_proto
    module.compat = SimpleNamespace(v1=module)
    return module  # type: ignore[no-any-return]


def _write_graph(graph_def: Any, logdir: str, name: str, as_text: bool = True) -> str:
    from surgeon.formats.graphdef import from_message, save_graph

    path = Path(logdir, name)
    path.parent.mkdir(parents=True, exist_ok=True)
    save_graph(from_message(graph_def), path)
    return str(path)


def _make_tensor_proto(values: Any, dtype: Any = None, shape: Any = None) -> Any:
    import numpy as np

    array = np.asarray(values)
    if array.dtype == np.float64:
        array = array.astype(np.float32)
    if array.dtype == np.int64 and not isinstance(values, np.ndarray):
        array = array.astype(np.int32)
    if dtype is not None:
        array = array.astype(DType(dtype.name).numpy())
    message = protos.TensorProto()
    tensor_to_message(TensorValue.of(array if shape is None else array.reshape(shape)), message)
    return message
