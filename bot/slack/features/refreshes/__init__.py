"""Refreshes and approved deletions that people start, and the messages with their progress."""
