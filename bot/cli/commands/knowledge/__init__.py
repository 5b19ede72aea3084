"""Commands on documents, sources and pages of the web, loaded when they are chosen."""
