"""Normalization by length, mean and variance."""
