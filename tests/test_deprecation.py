"""Deprecated names: each still works, warns, names a successor that exists, and goes in the release that it says."""

from __future__ import annotations

import importlib
import sys
import types
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path

import pytest

from surgeon import deprecation
from surgeon.deprecation import Alias, RenamedAttribute, renamed_names
from surgeon.version import __version__

ROOT = Path(__file__).resolve().parents[1]


def registered() -> list[Alias]:
    """Return the aliases of every module of the package that has some."""
    for path in sorted((ROOT / "surgeon").rglob("*.py")):
        if "surgeon.deprecation" in path.read_text(encoding="utf-8"):
            parts = path.relative_to(ROOT).with_suffix("").parts
            importlib.import_module(".".join(parts[:-1] if parts[-1] == "__init__" else parts))
    return [alias for alias in deprecation.REGISTERED if alias.owner.startswith("surgeon.")]


def release(version: str) -> tuple[int, ...]:
    return tuple(map(int, version.split(".")))


def is_due(alias: Alias, version: str) -> bool:
    return release(version) >= release(alias.removal)


def owner_of(alias: Alias) -> object:
    """Return the module or class that has the two names; None for what is not an object of Python, as a file's key."""
    module, _, kind = alias.owner.rpartition(".")
    if alias.owner in sys.modules:
        return sys.modules[alias.owner]
    return getattr(sys.modules.get(module), kind, None)


def judge(alias: Alias) -> None:
    """Use the old name, which has to give what the new one gives, with a warning that names it."""
    owner = owner_of(alias)
    with pytest.warns(DeprecationWarning, match=f"'{alias.name}'.*{alias.removal}; use '{alias.successor}'"):
        if isinstance(owner, types.ModuleType):
            assert getattr(owner, alias.name) is getattr(owner, alias.successor)
        elif isinstance(owner, type):
            attributes = {
                *dir(owner),
                *(field.name for field in (fields(owner) if is_dataclass(owner) else ())),
            }
            assert alias.successor in attributes
            value = object()
            stand_in = types.SimpleNamespace(**{alias.successor: value})
            assert vars(owner)[alias.name].__get__(stand_in, owner) is value
        else:
            alias.warn()


@pytest.mark.parametrize("alias", registered(), ids=lambda alias: f"{alias.owner}.{alias.name}")
def test_a_deprecated_name_works_and_names_its_successor(alias: Alias) -> None:
    judge(alias)
    assert not is_due(alias, __version__), f"{alias} is to be removed now"


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch) -> Iterator[types.ModuleType]:
    """Give a module with two renamed names, of which one has a successor that is not there."""
    monkeypatch.setattr(deprecation, "REGISTERED", [])
    module = types.ModuleType("example")
    monkeypatch.setitem(sys.modules, "example", module)
    module.new = object()  # type: ignore[attr-defined]
    module.__getattr__ = renamed_names("example", {"old": "new", "lost": "missing"}, removal="0.2.0")  # type: ignore[method-assign]
    yield module


def test_a_renamed_name_of_a_module(module: types.ModuleType) -> None:
    good, bad = deprecation.REGISTERED
    judge(good)
    with pytest.raises(AttributeError, match="missing"):
        judge(bad)
    with pytest.raises(AttributeError, match="module 'example' has no attribute 'nothing'"):
        module.nothing  # noqa: B018


def test_a_renamed_attribute_of_a_class(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deprecation, "REGISTERED", [])

    @dataclass(frozen=True)
    class Example:
        new: int
        old = RenamedAttribute("new", removal="0.2.0")

    (alias,) = deprecation.REGISTERED
    assert (alias.name, alias.successor) == ("old", "new") and alias.owner.endswith("Example")
    with pytest.warns(DeprecationWarning, match="'old' of .*Example goes in release 0.2.0; use 'new'"):
        assert Example(3).old == 3


def test_the_warning_points_at_its_user_and_comes_once_for_a_place(module: types.ModuleType) -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("default")
        for _ in range(3):
            module.old  # noqa: B018
    assert [Path(each.filename).name for each in caught] == [Path(__file__).name]


def test_an_alias_is_due_in_its_release(module: types.ModuleType) -> None:
    alias = deprecation.REGISTERED[0]
    assert not is_due(alias, "0.1.9")
    assert is_due(alias, "0.2.0") and is_due(alias, "0.10.0")
