"""What the buttons under an answer do."""
