"""YOLO: the numbers of its boxes, and its reordering of feature maps."""
