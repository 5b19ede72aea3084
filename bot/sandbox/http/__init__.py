"""The servers that the app, the page and the tests talk to."""
