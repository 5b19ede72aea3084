"""The workspaces in which the app is installed: their sealed tokens, states of OAuth, and the end of their data."""
