"""A Slack workspace on this machine, for a first try and for the tests: a process of its own."""
