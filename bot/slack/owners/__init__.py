"""What owners are told: the weekly digest, failing sources, and the messages with both."""
