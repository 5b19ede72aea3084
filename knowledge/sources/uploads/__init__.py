"""Documents that owners hand to Kvasir itself."""
