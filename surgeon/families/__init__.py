"""Families of networks, detectors above all, and values for ``auto``, each with the evidence it came from."""

from surgeon.deprecation import renamed_names
from surgeon.families.context import Derivation, DerivationContext, Derived, input_spec
from surgeon.families.family import (
    Draft,
    DraftOptions,
    Family,
    Refusal,
    load_families,
    nearest_family,
    recognise,
    recognise_detector,
)
from surgeon.families.fields import derivations, derive_fields
from surgeon.families.finding import Finding
from surgeon.families.namespace_roles import derive_roles
from surgeon.families.parts.grid_fit import FITTED, RESIDUAL_BOUND, GridFit, fit_grid
from surgeon.families.parts.heads import Head
from surgeon.families.postprocessing import Postprocessing

__all__ = [
    "FITTED",
    "RESIDUAL_BOUND",
    "Derivation",
    "DerivationContext",
    "Derived",
    "Draft",
    "DraftOptions",
    "Family",
    "Finding",
    "GridFit",
    "Head",
    "Postprocessing",
    "Refusal",
    "derivations",
    "derive_fields",
    "derive_roles",
    "fit_grid",
    "input_spec",
    "load_families",
    "nearest_family",
    "recognise",
    "recognise_detector",
]

__getattr__ = renamed_names(__name__, {"Subject": "DerivationContext"}, removal="0.2.0")
