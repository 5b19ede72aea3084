"""Shares the answers to private questions in the channels where these were asked."""
