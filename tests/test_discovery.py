"""Modules are found in a package and in entry points; a key that two of them claim names both."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from types import ModuleType

import pytest

from surgeon.diagnostics import SurgeonError
from surgeon.discovery import by_key, classes_in, discover


def named(module: ModuleType) -> Iterable[tuple[str, int]]:
    return [(module.NAME, module.SIZE)] if hasattr(module, "NAME") else []


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Give a function that writes a package: module names to their text."""
    monkeypatch.syspath_prepend(tmp_path)

    def write(name: str, **modules: str) -> None:
        folder = tmp_path / name
        folder.mkdir()
        for module, text in {"__init__": "", **modules}.items():
            (folder / f"{module}.py").write_text(text)

    return write


@pytest.fixture
def entry_point(tmp_path: Path) -> Callable[[str, str], None]:
    """Give a function that installs a package with an entry point of the group 'things'."""

    def install(name: str, value: str) -> None:
        info = tmp_path / f"{name}-1.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1\n")
        (info / "entry_points.txt").write_text(f"[things]\n{name} = {value}\n")

    return install


def test_modules_come_by_name(package) -> None:
    package("boxes", b="NAME, SIZE = 'x', 2", a="NAME, SIZE = 'y', 1", c="")
    assert list(discover("boxes", "boxes named", named).items()) == [("y", 1), ("x", 2)]


def test_two_of_one_name_are_e112(package) -> None:
    package("chests", a="NAME, SIZE = 'x', 1", b="NAME, SIZE = 'x', 2")
    with pytest.raises(SurgeonError, match=r"E112.* chests named 'x', of 'chests.a' and 'chests.b'"):
        discover("chests", "chests named", named)


def test_entry_points_add_modules(package, entry_point) -> None:
    package("crates", a="NAME, SIZE = 'x', 1")
    package("others", mine="NAME, SIZE = 'z', 3", bad="NAME, SIZE = 'x', 3")
    entry_point("others", "others.mine")
    assert discover("crates", "crates named", named, group="things") == {"x": 1, "z": 3}
    assert discover("crates", "crates named", named) == {"x": 1}
    entry_point("bad", "others.bad")
    with pytest.raises(SurgeonError, match=r"E112.* of 'crates.a' and 'others.bad'"):
        discover("crates", "crates named", named, group="things")


def test_an_entry_point_that_cannot_be_loaded_is_e113(package, entry_point) -> None:
    package("cases", a="")
    entry_point("lost", "lost.module")
    with pytest.raises(SurgeonError, match=r"E113.* 'lost' \(lost.module\) .*ModuleNotFoundError"):
        discover("cases", "cases named", named, group="things")


def test_one_thing_seen_twice_is_no_duplicate() -> None:
    thing = object()
    assert by_key("things named", [("a", thing, "one"), ("a", thing, "two")]) == {"a": thing}


class LooksLikeAClass:
    """What list[int] is for Python 3.10: an instance of type that issubclass refuses."""

    __class__ = type  # type: ignore[assignment]


def test_an_alias_of_a_type_is_no_class() -> None:
    class Base: ...

    class Derived(Base): ...

    module = ModuleType("things")
    vars(module).update(numbers=list[int], alias=LooksLikeAClass(), derived=Derived, other=int, base=Base)
    assert isinstance(module.alias, type)
    with pytest.raises(TypeError):
        issubclass(module.alias, Base)
    assert list(classes_in(module, Base)) == [Derived, Base]
