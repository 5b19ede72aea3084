"""What Kvasir may connect to, and what is wrong with an installation's security."""
