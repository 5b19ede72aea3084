"""Votes on answers, and the lists that owners get of them."""
