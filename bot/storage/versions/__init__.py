"""The revisions of the bot's tables."""
