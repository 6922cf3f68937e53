"""One value of a pipeline config beside the graph's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from surgeon.diagnostics import Diagnostic, Severity, Span


@dataclass(frozen=True)
class ConfigMatch:
    """One value of the config beside the graph's.

    ``item`` is the field of the config, empty for the anchors as a whole; ``key`` the value of the recipe
    that it concerns (``NMS.topK``, ``image.size``); ``where`` the config's line, None where the field is not
    written and has its default.
    """

    item: str
    key: str
    config_value: str
    graph_value: str
    agrees: bool
    where: Span | None
    evidence: tuple[str, ...] = ()

    def diagnostic(self, file: str) -> Diagnostic:
        """Return the warning of a disagreement with the config ``file``."""
        default = "" if self.where else " by default"
        verb = "it is " if self.item else "there are "
        return Diagnostic(
            "D144",
            f"the pipeline config says {self._words}{default}; in the graph {verb}{self.graph_value}",
            self.where or file,
            self.evidence[:3],
            ("the graph's value is in the recipe",),
            Severity.WARNING,
        )

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        return {
            "item": self.item,
            "key": self.key,
            "said": self.config_value,
            "found": self.graph_value,
            "agrees": self.agrees,
            "line": self.where.line if self.where else None,
        }

    def comment(self, file: str) -> str:
        """Return what the recipe says of it."""
        place = f"{file}:{self.where.line}" if self.where else f"{file} (by default)"
        return (
            f"{place} agrees: {self._words}" if self.agrees else f"{place} says {self._words}; the graph wins"
        )

    @property
    def _words(self) -> str:
        return f"{self.item} {self.config_value}".strip()
