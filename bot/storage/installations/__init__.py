"""The workspaces in which the app is installed: their encrypted tokens, states of OAuth, and the end of their data."""
