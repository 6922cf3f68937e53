"""The converters that scripts reach into."""
