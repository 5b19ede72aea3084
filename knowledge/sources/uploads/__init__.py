"""Documents that people add to Kvasir itself."""
