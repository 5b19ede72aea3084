"""Searching the live web: one file a provider, and ``WebSearch``, which asks them in order."""
