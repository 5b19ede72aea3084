"""The workspace's people, conversations and messages, in memory and on disk."""
