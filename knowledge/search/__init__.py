"""Hybrid search: two legs, one measured fusion, and the manifest's last word."""
