"""The packages: what lies below ``surgeon``, and the two top-level folders that are installed inside it."""

from setuptools import find_packages, setup

setup(packages=[*find_packages(include=["surgeon", "surgeon.*"]), "surgeon.plugins", "surgeon.recipes"])
