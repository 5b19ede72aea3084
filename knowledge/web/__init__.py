"""The web as Kvasir may see it: one guarded fetcher, and what it needs to be polite and to read a page."""
