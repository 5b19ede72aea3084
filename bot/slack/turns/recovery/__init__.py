"""Turns that did not end: crashes, withdrawn answers."""
