"""Fleets: many requests, as cells of a matrix, over the nodes of a Ray cluster."""
