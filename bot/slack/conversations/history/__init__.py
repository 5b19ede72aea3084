"""Slack's public channels as a source of documents."""
