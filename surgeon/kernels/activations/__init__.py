"""Activation functions: each element by itself."""
