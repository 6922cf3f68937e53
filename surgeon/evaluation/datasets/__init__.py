"""Readers of annotated pictures, a module for each kind of dataset."""
