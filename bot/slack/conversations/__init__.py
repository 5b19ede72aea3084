"""Channels and threads: their rules and texts, which messages are meant for Kvasir, and who may see what of sources."""
