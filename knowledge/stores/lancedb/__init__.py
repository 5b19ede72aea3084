"""Store indexes embedded, as LanceDB tables in a folder."""
