"""A page as something to read: its main text, and what it says of itself.

Runs in the parsing process, where what a page does to a library costs that page alone.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from pydantic import TypeAdapter

from knowledge.interfaces import Document, Section
from knowledge.parsing.decoding import decode
from knowledge.parsing.formats.main_text import MAIN_TEXT, about
from knowledge.parsing.formats.web_page import parse_html
from knowledge.parsing.wire import clean
from knowledge.web.reading.blocked_pages import find_blocking_reason
from knowledge.web.reading.crawled_page import CrawledPage, read_page


@dataclass(frozen=True, slots=True)
class Article:
    """What is read off an HTML page."""

    title: str
    sections: tuple[Section, ...]
    author: str | None = None
    published: datetime | None = None
    """Aware, UTC; as the page says."""
    canonical: str | None = None
    """Absolute; the page's word alone, which nobody has judged."""
    unreadable: str | None = None
    """Why there is no text to read, as a phrase; None where there is."""


_LONG_PAGE_CHARACTERS: Final = 4_000
"""Characters of a page, furniture included, from which on it is not taken for a wall when a site is walked through."""

ARTICLE_ADAPTER: Final = TypeAdapter(Article)
"""How it is read from what a process or a file says."""


def read_article(data: bytes, url: str, content_type: str) -> Article:
    """Read a page that was found at ``url``.

    Raises:
        ParseError: it has no text at all.

    """
    html = decode(data, media_type=content_type, html=True)
    document, why = _extract_main_text(html, data, url, content_type)
    if why is not None:
        return Article(document.title, (), unreadable=why)
    author, published, canonical = about(html, url)
    canonical = read_page(data, url, content_type).canonical or canonical
    return Article(document.title, document.sections, author, published, canonical)


def read_crawled_page(data: bytes, url: str, content_type: str, robots_tag: str = "") -> CrawledPage:
    """Read what a page tells a robot, and whether it is a wall; a long page is none."""
    page = read_page(data, url, content_type, robots_tag)
    if page.characters >= _LONG_PAGE_CHARACTERS:
        return page
    _, why = _extract_main_text(
        decode(data, media_type=content_type, html=True), data, url, content_type, of_source=True
    )
    return page if why is None else replace(page, unreadable=why.removeprefix("it "))


def _extract_main_text(
    html: str, data: bytes, url: str, content_type: str, *, of_source: bool = False
) -> tuple[Document, str | None]:
    """Return a page's main text, and why it is a wall if it is one."""
    document = parse_html(data, url, f"{content_type or 'text/html'}; {MAIN_TEXT}")
    return document, find_blocking_reason(html, "\n".join(part.text for part in document.sections), of_source=of_source)


def clean_article(article: Article) -> Article:
    """Return an article as the parsing process told it, without what no database takes and nobody sees."""
    sections = (
        replace(part, headings=tuple(clean(name) for name in part.headings), text=clean(part.text))
        for part in article.sections
    )
    return replace(
        article,
        title=clean(article.title),
        sections=tuple(sections),
        author=clean(article.author) if article.author else None,
    )
