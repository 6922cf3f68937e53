"""Damage done to bytes and to the values of JSON, by a random number generator."""

from __future__ import annotations

import copy
import random
from typing import Any

OTHER_VALUES: tuple[Any, ...] = (
    None,
    True,
    0,
    -1,
    1.5,
    1 << 70,
    float("inf"),
    "",
    "x",
    "^x",
    "x:1",
    "x:-1",
    "a = B() {v: 1}",
    "a = ",
    "\x00",
    [],
    [[]],
    [1, "x"],
    {},
    {"x": {}},
)


def damaged_bytes(rng: random.Random, base: bytes) -> bytes:
    """Return the bytes with one to three changes: a byte, a bit, a piece gone, doubled, put in or copied."""
    data = bytearray(base)
    for _ in range(rng.choice((1, 1, 2, 3))):
        at, size = rng.randrange(len(data)), rng.choice((1, 1, 2, 4, 30))
        kind = rng.randrange(6)
        if kind == 0:
            data[at] = rng.choice((0, 1, 0x22, 0x5B, 0x7B, 0x7F, 0x80, 0xFF, rng.randrange(256)))
        elif kind == 1:
            data[at] ^= 1 << rng.randrange(8)
        elif kind == 2:
            del data[at : at + size]
        elif kind == 3:
            data[at:at] = data[at : at + size]
        elif kind == 4:
            data[at:at] = rng.randbytes(size)
        else:
            other = rng.randrange(len(data))
            data[at : at + size] = data[other : other + size]
        if not data:
            return b"\x0a"
    return bytes(data)


def damaged_json(rng: random.Random, base: Any) -> Any:
    """Return the value with one to three entries that are gone, doubled, of another value, or swapped."""
    value = copy.deepcopy(base)
    for _ in range(rng.choice((1, 1, 2, 3))):
        places = list(_places(value))
        if not places:
            return value
        holder, key = rng.choice(places)
        kind = rng.randrange(4)
        if kind == 0:
            del holder[key]
        elif kind == 1:
            holder[key] = copy.deepcopy(rng.choice(OTHER_VALUES))
        elif kind == 2:
            other, name = rng.choice(places)
            holder[key] = copy.deepcopy(other[name])
        elif isinstance(holder, list):
            holder.insert(key, copy.deepcopy(holder[key]))
        else:
            holder[rng.choice(("x", "at", "add", "drop", "outputs", ""))] = holder.pop(key)
    return value


def _places(value: Any) -> list[tuple[Any, Any]]:
    """Return each entry of a value and of those in it, as what holds it and its key."""
    if not isinstance(value, (dict, list)):
        return []
    keys = list(value) if isinstance(value, dict) else list(range(len(value)))
    return [(value, key) for key in keys] + [place for key in keys for place in _places(value[key])]
