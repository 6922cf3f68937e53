"""Recipe steps, a file each."""
