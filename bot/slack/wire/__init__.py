"""Connections to Slack, the payloads that come over them, and text in Slack's formats."""
