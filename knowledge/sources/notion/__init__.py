"""Notion as a source."""
