"""Heavy libraries, imported where they are needed and only there."""

from __future__ import annotations

import importlib
from types import ModuleType

from surgeon.diagnostics import error

_EXTRA = {"tensorflow": "tensorflow", "onnx": "onnx", "tf2onnx": "onnx", "onnxruntime": "onnx", "tensorrt": "tensorrt"}


def require(module: str, purpose: str) -> ModuleType:
    """Import a heavy library; raise SurgeonError E108 with the installation line where it is missing or broken."""
    package = module.partition(".")[0]
    try:
        return importlib.import_module(module)
    except Exception as exc:  # a package that does not fit its dependencies raises anything
        extra = _EXTRA.get(package, "dev")
        raise error("E108", f"{purpose} needs the package '{package}', which cannot be imported: {' '.join(str(exc).split())}",
                    help=[f"pip install 'surgeon[{extra}]'"]) from None  # fmt: skip
