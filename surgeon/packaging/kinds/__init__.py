"""Kinds of folders, a file each: what a model needs where it runs."""
