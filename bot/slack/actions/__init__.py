"""The actions of the buttons."""
