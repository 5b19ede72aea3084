"""What a crawler needs of an HTML page: its links, canonical address, robots directives and text hash. Pure."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import urljoin

from selectolax.lexbor import LexborHTMLParser

from knowledge.dates import parse_iso_date
from knowledge.parsing.decoding import decode_text
from knowledge.parsing.formats.markup import parse_markup
from knowledge.web.crawling.robots import ROBOT_NAME, parse_robots_directives

HTML_TYPES = frozenset({"text/html", "application/xhtml+xml"})

LOGIN_REQUIRED = "asks for a login"

_LOGIN_PATH = re.compile(
    r"(?:^|/)(?:log-?in|sign-?in|sso|saml2?|oauth2?|adfs|cas|auth|authorize|wp-login\.php)(?:[/.?]|$)", re.IGNORECASE
)
_MAX_LINKS = 5_000
_MAX_LINK_CHARACTERS = 2_000
_MAX_TEXT_CHARACTERS = 200
_INVISIBLE_TAGS = ["script", "style", "template", "noscript", "svg"]
_DATE_SELECTORS = (
    'meta[property="article:modified_time"]',
    'meta[itemprop="dateModified"]',
    'meta[name="last-modified"]',
    'meta[property="og:updated_time"]',
    'meta[property="article:published_time"]',
    'meta[name="date"]',
)


@dataclass(frozen=True, slots=True)
class CrawledPage:
    """What a crawler needs of a page."""

    title: str | None
    links: tuple[str, ...]
    """Absolute addresses of the links that may be followed."""
    canonical: str | None
    index: bool
    """Whether the page may become a document (no ``noindex``)."""
    modified_at: datetime | None
    text_hash: str
    """The hash of the text and its tags, without attributes and scripts, which differ between visits."""
    characters: int
    """The length of the text, including navigation."""
    unreadable: str | None = None
    """Why the page has no text to read, for example ``LOGIN_REQUIRED``; None if it has some, or was not checked."""


def read_page(data: bytes, url: str, content_type: str, robots_tag: str = "") -> CrawledPage:
    """Parse a page at ``url``."""
    tree = parse_markup(decode_text(data, media_type=content_type, html=True), url)
    directives = parse_robots_directives([robots_tag, *_find_robots_tags(tree)])
    base = _find_base_url(tree, url)
    links = () if "nofollow" in directives else tuple(dict.fromkeys(_find_links(tree, base)))
    title = _find_title(tree)
    link = tree.css_first('link[rel~="canonical"][href]')
    canonical = _join_url(base, link.attributes.get("href") or "") if link is not None else None
    modified_at = _find_modified_date(tree)
    tree.strip_tags(_INVISIBLE_TAGS)
    text_hash, characters = _hash_text(tree, title)
    return CrawledPage(
        title=title,
        links=links,
        canonical=canonical,
        index="noindex" not in directives,
        modified_at=modified_at,
        text_hash=text_hash,
        characters=characters,
    )


def is_login_url(url: str) -> bool:
    """Return whether an address looks like a login page."""
    return _LOGIN_PATH.search(url.partition("://")[2].partition("/")[2].partition("?")[0]) is not None


def _find_robots_tags(tree: LexborHTMLParser) -> Iterator[str]:
    for node in tree.css("meta[name][content]"):
        if (node.attributes.get("name") or "").strip().lower() in {"robots", ROBOT_NAME.lower()}:
            yield node.attributes.get("content") or ""


def _find_base_url(tree: LexborHTMLParser, url: str) -> str:
    node = tree.css_first("base[href]")
    return (_join_url(url, node.attributes.get("href") or "") or url) if node is not None else url


def _find_links(tree: LexborHTMLParser, base: str) -> Iterator[str]:
    for node in tree.css("a[href], area[href], iframe[src], frame[src], link[rel~=next][href]")[:_MAX_LINKS]:
        if "nofollow" in (node.attributes.get("rel") or "").lower().split():
            continue
        link = node.attributes.get("href") or node.attributes.get("src") or ""
        if link and len(link) <= _MAX_LINK_CHARACTERS and (joined := _join_url(base, link)) is not None:
            yield joined


def _join_url(base: str, link: str) -> str | None:
    try:
        joined = urljoin(base, link.strip()).partition("#")[0]
    except ValueError:
        return None
    return joined if joined.lower().startswith(("http://", "https://")) else None


def _find_title(tree: LexborHTMLParser) -> str | None:
    node = tree.css_first("head > title") or tree.css_first("h1")
    return " ".join(node.text(deep=True).split())[:300] or None if node is not None else None


def _find_modified_date(tree: LexborHTMLParser) -> datetime | None:
    for selector in _DATE_SELECTORS:
        node = tree.css_first(selector)
        date = parse_iso_date(node.attributes.get("content") or "") if node is not None else None
        if date is not None:
            return date
    return None


def read_link_texts(data: bytes, url: str, content_type: str) -> list[tuple[str, str]]:
    """Return the absolute address and the text of each link on a page."""
    tree = parse_markup(decode_text(data, media_type=content_type, html=True), url)
    base = _find_base_url(tree, url)
    links = (
        (
            _join_url(base, node.attributes.get("href") or ""),
            " ".join(node.text(deep=True)[:_MAX_LINK_CHARACTERS].split()),
        )
        for node in tree.css("a[href]")[:_MAX_LINKS]
    )
    return [(link, text[:_MAX_TEXT_CHARACTERS]) for link, text in links if link and text]


def _hash_text(tree: LexborHTMLParser, title: str | None) -> tuple[str, int]:
    """Return the hash of a page's text and tags, and the number of characters of the text."""
    digest = hashlib.sha256((title or "").encode("utf-8", "replace"))
    characters = 0
    for node in () if tree.body is None else tree.body.traverse(include_text=True):
        if node.tag == "-text":
            text = " ".join((node.text_content or "").split())
            characters += len(text)
            digest.update(text.encode("utf-8", "replace"))
        else:
            digest.update(f"<{node.tag}>".encode())
    return digest.hexdigest(), characters
