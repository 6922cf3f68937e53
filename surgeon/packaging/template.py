"""Texts of the folder ``texts``, from which files of packages are made."""

from __future__ import annotations

import re
from pathlib import Path

_TEXTS = Path(__file__).parent / "texts"


def filled(text_file: str, **values: str) -> str:
    """Return a text with values in the place of ``@name@``."""
    text = (_TEXTS / text_file).read_text(encoding="utf-8")
    return re.sub("@([a-z]+)@", lambda match: values[match[1]], text)
