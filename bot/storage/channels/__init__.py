"""What is stored about channels."""
