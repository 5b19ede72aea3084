"""Guarded HTTP: every request to a stranger passes here."""
