"""Work that runs ahead on threads: in order, bounded, and with its failures in their turn."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from surgeon.runners import ahead as module
from surgeon.runners.ahead import ahead


@pytest.fixture(params=[1, 3])
def threads(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(module, "THREADS", request.param)
    return int(request.param)


def test_results_are_in_order_and_few_items_are_taken_ahead(threads: int) -> None:
    taken: list[int] = []

    def items() -> Iterator[int]:
        for number in range(20):
            taken.append(number)
            yield number

    for number, square in enumerate(ahead(lambda value: value * value, items())):
        assert square == number * number and len(taken) <= number + 1 + threads
    assert list(ahead(str, [])) == []


def test_a_failure_is_raised_in_its_turn(threads: int) -> None:
    def fails(value: int) -> int:
        if value == 4:
            raise ValueError("four")
        return value

    found: list[int] = []
    with pytest.raises(ValueError, match="four"):
        found.extend(ahead(fails, range(9)))
    assert found == [0, 1, 2, 3]

    def items() -> Iterator[int]:
        yield from (1, 2)
        raise KeyError("no third")

    found = []
    with pytest.raises(KeyError):
        found.extend(ahead(int, items()))
    assert found == [1, 2]


def test_no_thread_is_left_behind(threads: int) -> None:
    before = threading.active_count()
    given = ahead(str, range(50))
    assert next(given) == "0"
    given.close()  # type: ignore[attr-defined]
    assert threading.active_count() == before
