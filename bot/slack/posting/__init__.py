"""Write an answer into Slack messages."""
