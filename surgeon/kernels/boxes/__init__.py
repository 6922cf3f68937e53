"""Boxes: decoding, clipping, areas and overlap."""
