"""Commands are tried in the same kind of folder as the whole product."""
