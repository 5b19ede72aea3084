"""What Slack sends: events, commands and presses, which messages are meant for Kvasir, and their handlers."""
