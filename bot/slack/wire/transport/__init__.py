"""Connections to Slack: the Web API, Socket Mode, signed HTTP and files."""
