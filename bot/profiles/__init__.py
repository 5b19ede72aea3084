"""Profiles: folders that say what Kvasir does with records, contracts, guidelines and transactions."""
