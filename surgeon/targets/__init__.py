"""Targets: a format and the runtime that reads it, as data."""

from surgeon.targets.data_file import parse_version, print_version, read_data
from surgeon.targets.profiles import all_targets, load_target, target_names
from surgeon.targets.target import Target

__all__ = [
    "Target",
    "all_targets",
    "load_target",
    "parse_version",
    "print_version",
    "read_data",
    "target_names",
]
