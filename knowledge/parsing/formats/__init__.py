"""One parser for each file format."""
