"""What a command prints: clean text, bars and lines of progress."""
