"""Messages to owners: the weekly digest, and alerts about failing sources."""
