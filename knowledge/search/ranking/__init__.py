"""Rank candidates: one absolute score, exact names, and the passages to show."""
