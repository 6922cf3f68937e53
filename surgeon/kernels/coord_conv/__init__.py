"""Coordinates of each cell as two channels more."""
