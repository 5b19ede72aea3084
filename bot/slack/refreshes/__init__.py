"""Refreshes that people start, and the messages with their progress."""
