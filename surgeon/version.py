"""The version of this package, and files that state the version of their format."""

from __future__ import annotations

import json

__version__ = "0.1.0"


def refuse_newer(stated: object, known: int, what: str, path: object, again: str) -> None:
    """Refuse a file of a later version of its format than this release reads.

    ``stated`` is the version that the file states, ``what`` the file is called, such as 'the plan', and
    ``again`` the command that makes it again. Raise SurgeonError E121. Anything but a later version, up to
    1,000, is left to the reader of the format.
    """
    from surgeon.diagnostics import error

    if isinstance(stated, int) and not isinstance(stated, bool) and known < stated <= 1000:
        raise error(
            "E121",
            f"{what} '{path}' has version {stated} of its format; surgeon {__version__} reads versions up to "
            f"{known}",
            str(path),
            help=["update surgeon to the release that wrote the file", f"or make it again: {again}"],
        )


def refuse_newer_json(text: bytes, known: int, what: str, path: object, again: str) -> None:
    """Refuse a JSON file whose ``version`` is later than this release reads, as :func:`refuse_newer`."""
    try:
        content = json.loads(text)
    except (ValueError, RecursionError):
        return
    if isinstance(content, dict):
        refuse_newer(content.get("version"), known, what, path, again)
