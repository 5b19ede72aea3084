"""One module for each language in which Kvasir writes, and the registry that lists them."""
