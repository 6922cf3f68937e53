"""What the command line does, as functions that return values: a file for each verb; nothing here prints."""
