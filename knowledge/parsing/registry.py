"""Choose the parser of each format. Libraries are imported when they are first needed."""

from __future__ import annotations

from importlib import import_module

from knowledge.interfaces import Document
from knowledge.parsing.file_types import Format
from knowledge.parsing.wire import ParsingTask, ReadingKind

_TEXTUAL = {
    Format.MARKDOWN: ("markdown", "parse_markdown"),
    Format.HTML: ("web_page", "parse_html"),
    Format.TEXT: ("text", "parse_text"),
    Format.TABLE: ("tables", "parse_table"),
}
_BINARY = {
    Format.PDF: ("pdf", "parse_pdf"),
    Format.DOCX: ("word", "parse_docx"),
    Format.PPTX: ("slides", "parse_pptx"),
    Format.XLSX: ("sheets", "parse_xlsx"),
}

_READINGS = {
    ReadingKind.PAGE: ("knowledge.web.reading.article", "read_crawled_page"),
    ReadingKind.ARTICLE: ("knowledge.web.reading.article", "read_article"),
    ReadingKind.FEED: ("knowledge.web.reading.feeds", "read_feed"),
    ReadingKind.SITEMAP: ("knowledge.web.reading.sitemap", "read_sitemap"),
    ReadingKind.NAMES: ("knowledge.web.reading.crawled_page", "read_link_texts"),
}


def read_as(kind: ReadingKind, data: bytes, task: ParsingTask) -> object:
    """Read web content that is not a document yet.

    Raises:
        ParseError: it is refused.

    """
    module, function = _READINGS[kind]
    read = getattr(import_module(module), function)
    meta = {
        ReadingKind.PAGE: (task.document, task.media_type or "", task.robots_tag),
        ReadingKind.ARTICLE: (task.document, task.media_type or ""),
        ReadingKind.FEED: (task.media_type or "", task.document),
        ReadingKind.SITEMAP: (),
        ReadingKind.NAMES: (task.document, task.media_type or ""),
    }[kind]
    result: object = read(data, *meta)
    return result


def parse_as(kind: Format, data: bytes, document: str, media_type: str | None) -> Document:
    """Parse a document in its format. Blocks for as long as the format's library takes.

    Raises:
        ParseError: it cannot be read.

    """
    module, function = _TEXTUAL.get(kind) or _BINARY[kind]
    parse = getattr(import_module(f"knowledge.parsing.formats.{module}"), function)
    result: Document = parse(data, document, media_type) if kind in _TEXTUAL else parse(data, document)
    return result
