"""The slash commands, and the app's Home."""
