"""Elements in other places: parts, joined, repeated, replaced."""
