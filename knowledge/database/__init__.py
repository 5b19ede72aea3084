"""The database layer that the manifest and the bot's tables share."""
