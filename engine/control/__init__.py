"""The engine's status, and the commands that other processes send to its owner."""
