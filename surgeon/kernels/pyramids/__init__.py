"""Regions of the maps of a feature pyramid, each of the level that fits its size."""
