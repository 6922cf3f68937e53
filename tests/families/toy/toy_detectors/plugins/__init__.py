"""The plugin of the toy family."""
