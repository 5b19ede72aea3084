"""The command `/kb`: search and status."""
