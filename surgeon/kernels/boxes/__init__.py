"""Boxes: overlap, clipping, decoding and greedy suppression, which all detection kernels share."""
