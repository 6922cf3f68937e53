"""What TensorFlow's detectors compute between their heads and their detections, every rule of it."""
