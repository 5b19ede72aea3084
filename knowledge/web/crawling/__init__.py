"""Polite access to a site: robots.txt, pace, and one address for each page."""
