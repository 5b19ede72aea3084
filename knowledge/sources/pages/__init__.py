"""Single web pages that owners add."""
