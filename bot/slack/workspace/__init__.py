"""One workspace's objects, its listeners, and the app's manifest."""
