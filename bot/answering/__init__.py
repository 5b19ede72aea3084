"""Answer questions from passages, independently of Slack."""
