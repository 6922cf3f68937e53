"""The public interface of NVIDIA's ``uff`` converter, on this package's engine.

Nodes are mapped as its release 0.6.3 maps them, so that a script's file is the same: an operation that UFF
does not have becomes a custom one, ports are dropped, an Identity is passed over once. What that silently
breaks is a :class:`surgeon.compat.ScriptWarning`. A recipe is converted strictly instead (``surgeon
convert``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from surgeon.lazy_names import lazy_names

if TYPE_CHECKING:
    from surgeon.compat.uff.converting import from_tensorflow, from_tensorflow_frozen_model
    from surgeon.compat.uff.model.exceptions import UffException

__all__ = ["UffException", "from_tensorflow", "from_tensorflow_frozen_model"]

__version__ = "0.6.3"

_HOMES = {
    "surgeon.compat.uff.converting": ("from_tensorflow", "from_tensorflow_frozen_model"),
    "surgeon.compat.uff.model.exceptions": ("UffException",),
}

if not TYPE_CHECKING:  # a type checker would take every name that is misspelt for one of these
    __getattr__, __dir__ = lazy_names(__name__, globals(), _HOMES)
