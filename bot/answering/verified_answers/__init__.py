"""Answers that an owner has verified: which question gets one, and how it is shown."""
