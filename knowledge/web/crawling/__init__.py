"""Polite access to a site: robots.txt, pace, and canonical addresses."""
