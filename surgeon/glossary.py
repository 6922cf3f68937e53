"""What the words mean that the program's output uses; ``glossary.yaml`` holds them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path


@dataclass(frozen=True)
class Word:
    """A word of the output, the group that it belongs to, and what it means."""

    word: str
    group: str
    meaning: str


@cache
def glossary() -> Mapping[str, Word]:
    """Return every word by its :func:`key`, in the order of the file."""
    import yaml

    text = (Path(__file__).parent / "glossary.yaml").read_text(encoding="utf-8")
    groups = yaml.load(text, yaml.BaseLoader)
    return {
        key(word): Word(word, group, meaning.strip())
        for group, words in groups.items()
        for word, meaning in words.items()
    }


def key(word: str) -> str:
    """Return a word as it is looked up: in small letters, with blanks for hyphens and underscores."""
    return " ".join(word.lower().replace("-", " ").replace("_", " ").split())
