"""How an answer is put together; nothing in here knows Slack."""
