"""What several features use: modals, parsing of commands, texts of `/kb`, and access by button."""
