"""Models of the program beside this folder."""
