"""Feature maps of another height and width."""
