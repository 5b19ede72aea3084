"""A model's weights on this machine's disk: from a hub, a bucket or a folder; whole and checked, or not used."""
