"""Functions that a device has in the place of others: its program is one file, and nothing is installed with
pip.
"""

from pathlib import Path
from typing import Any, List, Mapping

PROGRAM = "detector.py"

IN_PLACE_OF = {
    "command": "surgeon.engine.children",
    "help_for": "surgeon.installation",
    "require": "surgeon.optional",
    "read_picture": "surgeon.runners.image",
    "_shipped": "surgeon.verification.records",
}
"""The module in which each function takes the place of the one with its name."""


def command(module: str, *arguments: str) -> List[str]:
    """Return the command that calls ``main`` of a module of the child process."""
    import sys

    return [sys.executable, sys.argv[0], "--child", module, *arguments]


def help_for(package: str) -> List[str]:
    """Return what to do where a package is missing."""
    commands: Mapping[str, str] = {
        "tensorrt": "TensorRT's Python module comes with JetPack as python3-libnvinfer, elsewhere with the "
        "TensorRT packages; use the Python that it is installed for",
        "PIL": "apt install python3-pil, or python3-opencv; arrays (.npy) need neither",
    }
    return [commands.get(package, "install it for this Python")]


def require(module: str, purpose: str) -> Any:
    """Import a library; raise SurgeonError E108 where it is missing or broken."""
    import importlib

    from surgeon.optional import unusable

    try:
        return importlib.import_module(module)
    except Exception as exc:  # a package that does not fit its dependencies raises anything
        raise unusable(module.partition(".")[0], purpose, str(exc)) from None


def read_picture(path: Path) -> Any:
    """Read a picture with Pillow, else with OpenCV, or an array uint8[H, W, 3] from a ``.npy`` file.

    Raise SurgeonError V101 where it cannot be read, and E108 where neither library is there.
    """
    from surgeon.packaging.detector.pictures import decoder_of
    from surgeon.runners.image import picture_of

    return picture_of(path, decoder_of(path))


def _shipped() -> Mapping[str, Any]:
    """Return the rules of the shipped plugins; files with stored originals have those that they need."""
    return {}
