"""Turns that did not end: leases, crashes, open statuses, withdrawn answers."""
