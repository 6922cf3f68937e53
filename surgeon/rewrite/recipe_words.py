"""What a recipe says of an input, and which of its steps are taken."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from surgeon.graph import Node
from surgeon.steps.replace_op import ReplaceOp
from surgeon.steps.selector import Selector
from surgeon.steps.step import Step
from surgeon.targets import Target


def reason_to_skip(step: Step, target: Target | None) -> str:
    """Return why a step is not taken for a target, empty where it is."""
    if step.when is None:
        return ""
    patterns = (step.when.target,) if isinstance(step.when.target, str) else step.when.target
    if target is not None and any(target.matches(pattern) for pattern in patterns):
        return ""
    return f"for the target {' or '.join(patterns)} only"


def mentions(step: Step, node: Node) -> bool:
    """Return whether a step says anything of an input: by its name, by a selector, or by its operation."""
    unnamed = _NO_NAMES | ({"from_", "to"} if isinstance(step, ReplaceOp) else set())
    entries = [entry for key, value in step if key not in unnamed for entry in entries_of(value)]
    if isinstance(step, ReplaceOp) and step.from_ == node.op:
        return True
    for entry in entries:
        if isinstance(entry, Selector):
            ops = (entry.op,) if isinstance(entry.op, str) else entry.op or ()
            if node.op in ops:
                return True
        elif entry == node.name:
            return True
    return False


_NO_NAMES = {"step", "id", "when", "at", "attrs", "op", "ops"}
"""Options of steps that hold no names of nodes."""


def entries_of(value: object) -> Iterator[str | Selector]:
    """Yield the nodes that an option names, and its selectors; constants and shapes have none."""
    if isinstance(value, Selector):
        yield value
    elif isinstance(value, str):
        yield value.removesuffix("?").rpartition(":")[0] or value.removesuffix("?")
    elif isinstance(value, Mapping):
        for key, entry in value.items():
            yield from entries_of(key)
            yield from entries_of(entry)
    elif isinstance(value, tuple):
        for entry in value:
            yield from entries_of(entry)


def is_tensor(text: str) -> bool:
    """Return whether a text names a tensor by its node and a number."""
    name, colon, slot = text.rpartition(":")
    return (
        bool(text)
        and not text.startswith("^")
        and (not colon or (bool(name) and slot.isascii() and slot.isdigit() and len(slot) < 10))
    )
