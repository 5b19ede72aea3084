"""Profiles for notes of visits: a conversation becomes a note, each sentence of which links to its lines."""
