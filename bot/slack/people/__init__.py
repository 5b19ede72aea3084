"""People in Slack: their roles and the language in which they read."""
