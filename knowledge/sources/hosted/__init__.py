"""What the kinds that read a hosted service over HTTP share."""
