"""Values for ``auto``, each with the evidence it came from."""

from surgeon.derive.fields import derivations, derive_fields
from surgeon.derive.heads import Head, heads, role_of
from surgeon.derive.roles import derive_roles
from surgeon.derive.subject import Derivation, Derived, Subject, input_spec

__all__ = ["Derivation", "Derived", "Head", "Subject", "derivations", "derive_fields", "derive_roles", "heads", "input_spec", "role_of"]
