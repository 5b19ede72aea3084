"""Search the web: one module for each provider, and ``WebSearch``, which tries them in order."""
