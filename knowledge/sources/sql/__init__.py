"""The rows of a SQL query as a source."""
