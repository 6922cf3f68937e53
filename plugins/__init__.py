"""Plugin definitions, a folder each."""
