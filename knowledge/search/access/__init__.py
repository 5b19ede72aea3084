"""Restrict a search to what its viewers may read, and ask sources whose rights are old."""
