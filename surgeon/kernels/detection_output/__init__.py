"""DetectionOutput: encodings, anchors and scores become a table of detections."""
