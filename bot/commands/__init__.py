"""What each ``kvasir`` command does: one module a command, loaded when it is chosen."""
