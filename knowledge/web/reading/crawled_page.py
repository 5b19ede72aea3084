"""What an HTML page tells a robot: its links, its one address, its wishes, and whether there is a text to read."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import urljoin

from selectolax.lexbor import LexborHTMLParser, LexborNode

from knowledge.dates import parse_iso_date
from knowledge.parsing.decoding import decode
from knowledge.web.crawling.robots import ROBOT_NAME, parse_robots_directives

HTML_TYPES = frozenset({"text/html", "application/xhtml+xml"})
"""Media types of a page."""

LOGIN_REQUIRED = "asks for a login"

_LOGIN_PATH = re.compile(
    r"(?:^|/)(?:log-?in|sign-?in|sso|saml2?|oauth2?|adfs|cas|auth|authorize|wp-login\.php)(?:[/.?]|$)", re.IGNORECASE
)
_MAX_LINKS = 5_000
_MAX_LINK_CHARACTERS = 2_000
_MAX_TEXT_CHARACTERS = 200
_UNREAD = ["script", "style", "template", "noscript", "svg"]
_DATES = (
    'meta[property="article:modified_time"]',
    'meta[itemprop="dateModified"]',
    'meta[name="last-modified"]',
    'meta[property="og:updated_time"]',
    'meta[property="article:published_time"]',
    'meta[name="date"]',
)


@dataclass(frozen=True, slots=True)
class CrawledPage:
    """What was read off a page."""

    title: str | None
    links: tuple[str, ...]
    """Absolute; those that may be followed."""
    canonical: str | None
    """Absolute."""
    index: bool
    """Whether it may be a document."""
    modified_at: datetime | None
    text_hash: str
    """Of the text and its tags, without attributes and scripts, which differ from visit to visit."""
    characters: int
    """Of the text, furniture included."""
    unreadable: str | None = None
    """Why the page has no text to read, for example ``LOGIN_REQUIRED``; None if it has some, or was not checked."""


def read_page(data: bytes, url: str, content_type: str, robots_tag: str = "") -> CrawledPage:
    """Read a page that was found at ``url``."""
    tree = LexborHTMLParser(decode(data, media_type=content_type, html=True))
    asked = parse_robots_directives([robots_tag, *_find_robots_tags(tree)])
    base = _find_base_url(tree, url)
    links = () if "nofollow" in asked else tuple(dict.fromkeys(_find_links(tree, base)))
    title = _find_title(tree)
    found = tree.css_first('link[rel~="canonical"][href]')
    canonical = _join_url(base, (found.attributes.get("href") or "")) if found is not None else None
    modified_at = _find_modified_date(tree)
    tree.strip_tags(_UNREAD)
    text_hash, characters = _hash_text(tree, title)
    return CrawledPage(
        title=title,
        links=links,
        canonical=canonical,
        index="noindex" not in asked,
        modified_at=modified_at,
        text_hash=text_hash,
        characters=characters,
    )


def is_login_url(url: str) -> bool:
    """Say whether an address looks like that of a page at which people log in."""
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
    for selector in _DATES:
        node = tree.css_first(selector)
        found = parse_iso_date(node.attributes.get("content") or "") if node is not None else None
        if found is not None:
            return found
    return None


def read_link_texts(data: bytes, url: str, content_type: str) -> list[tuple[str, str]]:
    """Return where the links of a page lead (absolute), each with its words, as a page of contents names pages."""
    tree = LexborHTMLParser(decode(data, media_type=content_type, html=True))
    base = _find_base_url(tree, url)
    named = (
        (
            _join_url(base, node.attributes.get("href") or ""),
            " ".join(node.text(deep=True)[:_MAX_LINK_CHARACTERS].split()),
        )
        for node in tree.css("a[href]")[:_MAX_LINKS]
    )
    return [(link, name[:_MAX_TEXT_CHARACTERS]) for link, name in named if link and name]


def _hash_text(tree: LexborHTMLParser, title: str | None) -> tuple[str, int]:
    """Return the hash of a page's text and tags, and how many characters the text has."""
    digest = hashlib.sha256((title or "").encode("utf-8", "replace"))
    characters = 0
    for node in _iterate_nodes(tree.body):
        if node.tag == "-text":
            text = " ".join((node.text_content or "").split())
            characters += len(text)
            digest.update(text.encode("utf-8", "replace"))
        else:
            digest.update(f"<{node.tag}>".encode())
    return digest.hexdigest(), characters


def _iterate_nodes(body: LexborNode | None) -> Iterator[LexborNode]:
    return iter(()) if body is None else body.traverse(include_text=True)
