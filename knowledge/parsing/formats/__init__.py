"""Parse each file format in its own module."""
