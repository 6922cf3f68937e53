"""The client of a served model: it travels as one file, so it keeps to what ``closure.py`` can carry."""
