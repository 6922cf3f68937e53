"""Anchors: boxes of several shapes at every cell of feature maps."""
