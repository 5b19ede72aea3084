"""Modals: what each shows, and what its submission does."""
