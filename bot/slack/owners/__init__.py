"""Messages to owners: the weekly digest, and alarms about failing sources."""
