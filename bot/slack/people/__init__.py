"""Who somebody is in Slack, who sees an answer, and which language they read."""
