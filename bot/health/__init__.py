"""Probes: whether this process runs, and whether it can answer questions."""
