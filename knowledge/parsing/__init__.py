"""Bytes to documents, by libraries made for each format: ``Parser`` is all that others need."""

from knowledge.parsing.parser import MAX_DOCUMENT_BYTES, Parser, check_size

__all__ = ["MAX_DOCUMENT_BYTES", "Parser", "check_size"]
