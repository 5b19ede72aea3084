"""The buttons under an answer: again, delete, passages, reasoning, the web, mute."""
