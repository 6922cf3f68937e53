"""Frozen graphs of small networks, one function for each structure that people convert."""
