"""Frozen graphs to try things on, in the form in which real exporters left them, with weights from a seed."""

from surgeon.zoo.lenet import build_lenet
from surgeon.zoo.options import SsdOptions
from surgeon.zoo.ssd import build_ssd, write_ssd

__all__ = ["SsdOptions", "build_lenet", "build_ssd", "write_ssd"]
