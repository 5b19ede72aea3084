"""The engine's status, and the orders that other processes give its owner."""
