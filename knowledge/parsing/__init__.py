"""Parse bytes into documents, with libraries for each format. ``Parser`` is the public class."""

from knowledge.parsing.parser import MAX_DOCUMENT_BYTES, Parser, ParserPool, check_size, describe_jail

__all__ = ["MAX_DOCUMENT_BYTES", "Parser", "ParserPool", "check_size", "describe_jail"]
