"""What forms, buttons and Home show."""
