"""A model in Triton's words: names, shapes and batches, its configuration, and pictures that it prepares."""
