"""One identity across systems: which principals of other systems a person of the chat holds."""
