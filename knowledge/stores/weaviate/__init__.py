"""The production store: Weaviate on one or several nodes."""
