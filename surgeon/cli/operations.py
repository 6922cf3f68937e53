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
        from surgeon.formats import all_formats

        operations = all_formats()[target.format].operations()
        return operations is None or self.op in operations


def operations() -> tuple[Operation, ...]:
    """Return every operation that is converted or inferred, sorted."""
    from surgeon.formats.uff import FORMAT
    from surgeon.infer import known_ops

    inferred, exported = known_ops(), FORMAT.operations()
    found = [
        Operation(op, exported.get(op, ""), op in inferred, inferred.get(op, False))
        for op in sorted({*inferred, *exported})
    ]
    return tuple(found)
