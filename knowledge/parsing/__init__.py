"""Bytes to documents, by libraries made for each format."""
