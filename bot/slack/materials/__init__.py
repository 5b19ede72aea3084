"""Files and messages that come with a question."""
