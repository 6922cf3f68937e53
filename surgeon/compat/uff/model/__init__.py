"""UFF's messages."""
