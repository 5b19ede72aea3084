"""One run of a sync: read, embed and write what has changed."""
