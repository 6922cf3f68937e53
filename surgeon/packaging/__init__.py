"""Folders that carry a model to where it runs, a file for each kind."""
