"""Questions and the state of their turns."""
