"""Converters of TensorFlow ops to UFF, one family a file; each file here is found by discovery."""
