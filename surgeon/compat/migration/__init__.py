"""Scripts for graphsurgeon and configs of peers as recipes: what ``surgeon migrate`` does."""

from __future__ import annotations

from typing import TYPE_CHECKING

from surgeon.lazy_names import lazy_names

if TYPE_CHECKING:
    from surgeon.compat.migration.comparison import MigrationDifference
    from surgeon.compat.migration.migrating import Migration, migrate

__all__ = ["Migration", "MigrationDifference", "migrate"]

_HOMES = {
    "surgeon.compat.migration.comparison": ("MigrationDifference",),
    "surgeon.compat.migration.migrating": ("Migration", "migrate"),
}

if not TYPE_CHECKING:  # a type checker would take every name that is misspelt for one of these
    __getattr__, __dir__ = lazy_names(__name__, globals(), _HOMES)
