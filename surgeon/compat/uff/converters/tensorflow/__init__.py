"""From TensorFlow to UFF."""
