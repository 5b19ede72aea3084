"""A page as something to read: its main text, and what it says of itself.

Runs in the parsing process, where what a page does to a library costs that page alone.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from pydantic import TypeAdapter

from knowledge.interfaces import Section
from knowledge.parsing.decoding import decode
from knowledge.parsing.web_page import parse_html
from knowledge.parsing.wire import clean
from knowledge.web.extract import MAIN_TEXT, about
from knowledge.web.page import read_page
from knowledge.web.walls import wall


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


SHAPE: Final = TypeAdapter(Article)
"""How it is read from what a process or a file says."""


def read_article(data: bytes, url: str, content_type: str) -> Article:
    """Read a page that was found at ``url``.

    Raises:
        ParseError: it has no text at all.

    """
    html = decode(data, media_type=content_type, html=True)
    page = read_page(data, url, content_type)
    document = parse_html(data, url, f"{content_type or 'text/html'}; {MAIN_TEXT}")
    why = wall(html, "\n".join(part.text for part in document.sections))
    if why is not None:
        return Article(document.title, (), unreadable=why)
    author, published, canonical = about(html, url)
    return Article(document.title, document.sections, author, published, page.canonical or canonical)


def cleaned(article: Article) -> Article:
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
