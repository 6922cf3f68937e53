"""What a fleet can do with each cell, a file each."""
