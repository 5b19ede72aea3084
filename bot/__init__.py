"""The Slack side: listeners, answers, the command line and the composition root."""
