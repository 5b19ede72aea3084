"""Guarded HTTP: all requests to hosts that Kvasir does not control pass here."""
