"""Write an answer into Slack messages, with its progress and its final form."""
