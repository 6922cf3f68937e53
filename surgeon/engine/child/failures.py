"""Why an order cannot be done, where TensorRT's own exceptions do not say it."""

import importlib
from typing import Any


class Refused(Exception):
    """TensorRT refused something; its log says more than the message."""


class MissingPackage(Exception):
    """A package cannot be imported: its name, what needs it, and the reason."""


class NoDevice(Exception):
    """No GPU answers."""


def require(module: str, purpose: str) -> Any:
    """Import a module; raise MissingPackage where its package is missing or broken."""
    try:
        return importlib.import_module(module)
    except Exception as exc:  # a package that does not fit its dependencies raises anything
        raise MissingPackage(module.partition(".")[0], purpose, " ".join(str(exc).split())) from None
