"""Which operations of TensorFlow are known, and what is known of each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from surgeon.targets import Target


@dataclass(frozen=True)
class Operation:
    """One operation: how UFF expresses it (empty: not at all), and whether its shape and its value can be
    computed.
    """

    op: str
    export: str
    shape: bool
    value: bool

    def runs_on(self, target: Target) -> bool:
        """Return whether the target's format has the operation; a graph has all."""
        return target.format != "uff" or bool(self.export)


def operations() -> tuple[Operation, ...]:
    """Return every operation that is converted or inferred, sorted."""
    from surgeon.formats.uff import converters
    from surgeon.graph.op_sets import PASSED_OVER
    from surgeon.infer import known_ops

    inferred, converted = known_ops(), converters()
    found = []
    for op in sorted({*inferred, *converted, *PASSED_OVER}):
        export = "passed over" if op in PASSED_OVER else "converted" if op in converted else ""
        found.append(Operation(op, export, op in inferred, inferred.get(op, False)))
    return tuple(found)
