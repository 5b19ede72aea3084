"""Threads in Slack: reading them, and one turn at a time in each."""
