"""Stores behind one interface; ``registry`` lists them."""
