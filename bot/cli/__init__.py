"""The ``kvasir`` command line."""
