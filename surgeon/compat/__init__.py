"""Scripts that were written for NVIDIA's ``graphsurgeon`` and ``uff``, on this package's engine.

``surgeon compat run SCRIPT.py`` runs one, and so does ``python -m surgeon.compat SCRIPT.py``. In Python,
``surgeon.compat.install()`` lets ``import graphsurgeon`` and ``import uff`` find
:mod:`surgeon.compat.graphsurgeon` and :mod:`surgeon.compat.uff` where NVIDIA's packages are absent.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from surgeon.lazy_names import lazy_names

if TYPE_CHECKING:
    from surgeon.compat.edits import Edit, listening
    from surgeon.compat.installing import install
    from surgeon.compat.remarks import ScriptWarning, collecting

__all__ = ["Edit", "ScriptWarning", "collecting", "install", "listening"]

_HOMES = {
    "surgeon.compat.edits": ("Edit", "listening"),
    "surgeon.compat.installing": ("install",),
    "surgeon.compat.remarks": ("ScriptWarning", "collecting"),
}

if not TYPE_CHECKING:  # a type checker would take every name that is misspelt for one of these
    __getattr__, __dir__ = lazy_names(__name__, globals(), _HOMES)
