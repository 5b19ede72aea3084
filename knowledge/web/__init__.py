"""The web: guarded HTTP, polite crawling, reading pages, searching, and the live web for one question."""
