"""Sources, sync, search and the live web: what the company knows, kept fresh and found."""
