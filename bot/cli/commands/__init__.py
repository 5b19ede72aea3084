"""One module for each ``kvasir`` command, loaded when it is chosen; those on knowledge have a package."""
