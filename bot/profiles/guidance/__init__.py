"""Profiles for decision support: which sources are guidelines, and what they warn of."""
