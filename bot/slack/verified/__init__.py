"""Verified answers in Slack: the parts that serve and manage them."""
