"""OAuth as Slack speaks it, and further workspaces in which the app can be installed."""
