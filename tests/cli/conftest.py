"""Fixtures of the commands: the folder of the end-to-end tests."""
