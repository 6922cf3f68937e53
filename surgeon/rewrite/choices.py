"""Keys of a recipe with a few choices, as a caller overrides them."""

from __future__ import annotations

from collections.abc import Sequence

from surgeon.diagnostics import error, nearest_note


def check_choice(given: object, choices: Sequence[str], what: str) -> str:
    """Return the choice that was given; raise SurgeonError S410 if it is none."""
    found = next((choice for choice in choices if choice == given), None)
    if found is None:
        known = ", ".join(f"'{choice}'" for choice in choices)
        raise error(
            "S410",
            f"'{given}' is not a choice of {what}; expected one of {known}",
            None,
            nearest_note(str(given), choices),
        )
    return found
