"""The words of a text as BM25 terms, and their scores."""
