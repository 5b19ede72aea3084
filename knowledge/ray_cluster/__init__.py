"""Compute the rows of a sync on a Ray cluster. Only ``connection`` imports Ray."""
