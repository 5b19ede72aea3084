"""The bot's own tables: questions asked in Slack, preferences, and channel events."""
