"""Find the passages for a question, in the documents and on the web."""
