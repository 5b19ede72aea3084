"""What the kinds that read web pages share: a page as it was fetched, and its body until it is read."""
