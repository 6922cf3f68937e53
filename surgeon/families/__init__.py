"""Values for ``auto``, each with the evidence it came from."""

from surgeon.families.context import Derivation, Derived, Subject, input_spec
from surgeon.families.fields import derivations, derive_fields
from surgeon.families.parts.heads import Head
from surgeon.families.ssd.findings import Detector, Finding
from surgeon.families.ssd.grid import FITTED, RESIDUAL_BOUND, GridFit, fit_grid
from surgeon.families.ssd.namespace_roles import derive_roles, heads, role_of

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
