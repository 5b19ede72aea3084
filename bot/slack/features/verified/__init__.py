"""Verified answers in Slack: owners write and manage them, and people get them."""
