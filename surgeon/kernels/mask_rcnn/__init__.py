"""Mask R-CNN: proposals, detections and regions of a feature pyramid."""
