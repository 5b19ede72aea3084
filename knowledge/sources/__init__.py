"""Where documents come from: one file a kind, and the registry."""
