"""The exception that scripts catch."""

from __future__ import annotations

from surgeon.diagnostics import SurgeonError

__all__ = ["UffException"]

UffException = SurgeonError
