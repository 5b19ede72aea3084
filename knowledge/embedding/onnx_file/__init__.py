"""Embed on this machine, with a model from files that the operator chooses."""
