"""Many workspaces in one process: people install the app by OAuth, and each workspace is opened and closed."""
