"""Read and write the Markdown of answers: sentences, citation markers and links."""
