"""Networks of any kind: the family of every graph that no other family takes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from surgeon.lazy_names import lazy_names

if TYPE_CHECKING:
    from surgeon.families.generic.network import FAMILY as FAMILY
    from surgeon.families.generic.network import GenericNetwork as GenericNetwork

__getattr__, __dir__ = lazy_names(
    __name__, globals(), {"surgeon.families.generic.network": ["FAMILY", "GenericNetwork"]}
)
