"""EfficientNMS: suppression with an optional decoding of boxes, and a cap for each class and in all."""
