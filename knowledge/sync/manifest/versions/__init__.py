"""The revisions of the manifest's tables."""
