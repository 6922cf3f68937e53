"""Suppression: of boxes that overlap, the best one of a class stays."""
