"""Search and read the live web for one question."""
