"""Frozen graphs to try things on, in the form in which real exporters left them, with weights from a seed.

With them, annotated pictures for the demo model.

The names below are imported when first used: the rooms below this one need not what the writing of graphs
needs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from surgeon.lazy_names import lazy_names

if TYPE_CHECKING:
    from surgeon.zoo.demo.dataset import write_dataset
    from surgeon.zoo.lenet import build_lenet
    from surgeon.zoo.networks import build_facenet, build_lstm_tagger, build_mobilenet, build_unet
    from surgeon.zoo.options import SsdOptions
    from surgeon.zoo.ssd import build_ssd, write_ssd

__all__ = [
    "SsdOptions",
    "build_facenet",
    "build_lenet",
    "build_lstm_tagger",
    "build_mobilenet",
    "build_ssd",
    "build_unet",
    "write_dataset",
    "write_ssd",
]

_HOMES = {
    "surgeon.zoo.demo.dataset": ("write_dataset",),
    "surgeon.zoo.lenet": ("build_lenet",),
    "surgeon.zoo.networks": ("build_facenet", "build_lstm_tagger", "build_mobilenet", "build_unet"),
    "surgeon.zoo.options": ("SsdOptions",),
    "surgeon.zoo.ssd": ("build_ssd", "write_ssd"),
}

if not TYPE_CHECKING:  # a type checker would take every name that is misspelt for one of these
    __getattr__, __dir__ = lazy_names(__name__, globals(), _HOMES)
