"""Articles: the main text of an HTML page and its metadata.

This runs in the parsing process, so that a page that breaks a library affects that page only.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from pydantic import TypeAdapter

from knowledge.interfaces import Document, Section
from knowledge.parsing.decoding import decode_text
from knowledge.parsing.formats.main_text import MAIN_TEXT, extract_metadata
from knowledge.parsing.formats.web_page import parse_html
from knowledge.parsing.wire import build_section, clean_label
from knowledge.web.reading.blocked_pages import find_blocking_reason
from knowledge.web.reading.crawled_page import CrawledPage, read_page


@dataclass(frozen=True, slots=True)
class Article:
    """The main text and metadata of a page."""

    title: str
    sections: tuple[Section, ...]
    author: str | None = None
    published: datetime | None = None
    """The date that the page states, in UTC."""
    canonical: str | None = None
    """The absolute address that the page states; unchecked."""
    unreadable: str | None = None
    """Why the page has no text to read, as a phrase; None if it has some."""


_LONG_PAGE_CHARACTERS: Final = 4_000
"""Characters, including navigation, from which a crawled page never counts as blocked."""

ARTICLE_ADAPTER: Final = TypeAdapter(Article)
"""Validates an article from the parsing process or the page cache."""


def read_article(data: bytes, url: str, content_type: str) -> Article:
    """Return the article on a page at ``url``.

    Raises:
        ParseError: the page has no text at all.

    """
    html = decode_text(data, media_type=content_type, html=True)
    document, blocking_reason = _extract_main_text(html, data, url, content_type)
    if blocking_reason is not None:
        return Article(document.title, (), unreadable=blocking_reason)
    author, published, canonical = extract_metadata(html, url)
    canonical = read_page(data, url, content_type).canonical or canonical
    return Article(document.title, document.sections, author, published, canonical)


def read_crawled_page(data: bytes, url: str, content_type: str, robots_tag: str = "") -> CrawledPage:
    """Return what a crawler needs of a page, and whether the page is blocked; a long page is not."""
    page = read_page(data, url, content_type, robots_tag)
    if page.characters >= _LONG_PAGE_CHARACTERS:
        return page
    _, blocking_reason = _extract_main_text(
        decode_text(data, media_type=content_type, html=True), data, url, content_type, of_source=True
    )
    return page if blocking_reason is None else replace(page, unreadable=blocking_reason.removeprefix("it "))


def _extract_main_text(
    html: str, data: bytes, url: str, content_type: str, *, of_source: bool = False
) -> tuple[Document, str | None]:
    """Return a page's main text, and why it is blocked, if it is."""
    document = parse_html(data, url, f"{content_type or 'text/html'}; {MAIN_TEXT}")
    return document, find_blocking_reason(html, "\n".join(part.text for part in document.sections), of_source=of_source)


def clean_article(article: Article) -> Article:
    """Return an article from the parsing process without invisible characters and those that databases reject."""
    return replace(
        article,
        title=clean_label(article.title),
        sections=tuple(build_section(one.headings, one.text, one.page, one.anchor) for one in article.sections),
        author=clean_label(article.author) if article.author else None,
    )
