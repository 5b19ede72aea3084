"""Web pages and files that become documents."""
