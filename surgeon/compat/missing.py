"""Names of modules and libraries that are not there."""

from __future__ import annotations

from types import ModuleType
from typing import Any, NoReturn

from surgeon.compat.remarks import script_place
from surgeon.diagnostics import error
from surgeon.installation import EXTRAS, help_for

_PREPARES = ("Logger", "ConsoleLogger", "ColorLogger", "init_libnvinfer_plugins", "Runtime")
"""Functions of TensorRT that scripts call before the surgery, and whose results matter to engines only."""


class Missing:
    """A name of a module or library that is not there; naming it is allowed, using it is refused."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, name: str) -> Missing:
        if name.startswith("__"):
            raise AttributeError(name)
        return Missing(f"{self._name}.{name}")

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        top, _, last = self._name.partition(".")
        if top == "tensorrt" and last.rpartition(".")[2] in _PREPARES:
            return Missing(self._name)
        if top == "numba":
            return args[0] if len(args) == 1 and callable(args[0]) else _unchanged
        return self._refuse()

    def __mro_entries__(self, bases: tuple[Any, ...]) -> tuple[type, ...]:
        return ()

    def __int__(self) -> int:
        return 0 if self._name.startswith("tensorrt.") else self._refuse()

    __index__ = __int__

    def __repr__(self) -> str:
        return f"<{self._name}, which is not installed>"

    def _refuse(self, *_: Any) -> NoReturn:
        top = self._name.partition(".")[0]
        raise error(
            "P120",
            f"the script uses '{self._name}', and '{top}' is not installed here; surgery does not need it",
            script_place(),
            help=[
                *(
                    help_for(top)
                    if top in EXTRAS
                    else [f"install '{top}', or let the script's surgery stand alone"]
                ),
                "what the script wrote before this line is complete",
            ],
        )

    __enter__ = __fspath__ = __iter__ = __len__ = __bool__ = __float__ = _refuse
    __getitem__ = __setitem__ = __contains__ = __add__ = __radd__ = __mul__ = __rmul__ = __sub__ = _refuse
    __or__ = __and__ = __lshift__ = __rlshift__ = __truediv__ = __lt__ = __gt__ = __le__ = __ge__ = _refuse

    def __exit__(self, *_: Any) -> None:
        return None


def _unchanged(function: Any) -> Any:
    """Return a function that a decorator would have made faster."""
    return function


class MissingModule(ModuleType):
    """A module that is not installed."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.__path__: list[str] = []

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return Missing(f"{self.__name__}.{name}")
