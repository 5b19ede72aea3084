"""Profiles for checklists: which statements about a contract its clauses entail or contradict."""
