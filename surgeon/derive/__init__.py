"""Values for ``auto``, each with the evidence it came from."""

from surgeon.derive.detector import Detector, Finding
from surgeon.derive.fields import derivations, derive_fields
from surgeon.derive.grid import FITTED, RESIDUAL_BOUND, GridFit, fit_grid
from surgeon.derive.heads import Head
from surgeon.derive.roles import derive_roles, heads, role_of
from surgeon.derive.subject import Derivation, Derived, Subject, input_spec

__all__ = [
    "FITTED",
    "RESIDUAL_BOUND",
    "Derivation",
    "Derived",
    "Detector",
    "Finding",
    "GridFit",
    "Head",
    "Subject",
    "derivations",
    "derive_fields",
    "derive_roles",
    "fit_grid",
    "heads",
    "input_spec",
    "role_of",
]
