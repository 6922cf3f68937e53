"""Faster R-CNN: proposals of a region proposal network."""
