"""A web page as a source last fetched it, and the content that the parser gets."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from knowledge.dates import parse_http_date
from knowledge.errors import FetchError, FetchRefused, ParseError, SourceUnavailable
from knowledge.interfaces import DocumentContent
from knowledge.parsing.formats.main_text import MAIN_TEXT
from knowledge.web.crawling.canonical_urls import Site
from knowledge.web.crawling.host_client import strip_query
from knowledge.web.crawling.robots import parse_robots_directives
from knowledge.web.http.fetch import FetchedResponse
from knowledge.web.reading.crawled_page import HTML_TYPES
from knowledge.web.reading.site_parser import TOO_COMPLEX, SiteParser

_OFFICE = "application/vnd.openxmlformats-officedocument."
DOCUMENT_TYPES = HTML_TYPES | {
    "application/pdf", "text/plain", "text/markdown", "text/x-markdown", "text/csv",
    f"{_OFFICE}wordprocessingml.document", f"{_OFFICE}presentationml.presentation", f"{_OFFICE}spreadsheetml.sheet",
}  # fmt: skip
"""The media types that become documents."""

TOO_LARGE = "too large"
OWN_NETWORK_HINT = "name a host of your own network in allow_hosts"


@dataclass(frozen=True, slots=True)
class PageVisit:
    """A page as it was last fetched."""

    address: str
    version: str
    media_type: str
    """With parameters, as the server sent it."""
    etag: str | None = None
    last_modified: str | None = None
    size_bytes: int | None = None
    modified_at: datetime | None = None
    """As the page or its server says."""
    title: str | None = None
    links: tuple[str, ...] = ()
    """Addresses on the same site."""
    canonical: str | None = None
    """The address of the same site that the page names as its canonical one, if it is another."""
    index: bool = True
    unreadable: str | None = None
    sitemap_date: str | None = None
    """The date in the sitemap when the page was fetched."""
    fetched_at: float = 0.0
    """The last time that the server was asked, in seconds since the epoch."""


async def read_visit(
    found: FetchedResponse, address: str, site: Site, reader: SiteParser, now: float, sitemap_date: str | None = None
) -> PageVisit:
    """Return what a source remembers of a fetched page."""
    visit = await asyncio.to_thread(_visit_from_headers, found, address, now, sitemap_date)
    if found.media_type not in HTML_TYPES:
        return visit
    try:
        page = await reader.parse_page(found)
    except ParseError:
        # Without validators the next listing fetches it again: this machine may have been the reason.
        return replace(visit, unreadable=TOO_COMPLEX, etag=None, last_modified=None)
    links = (site.normalize_link(link, found.url) for link in page.links)
    return replace(
        visit,
        version=page.text_hash[:32],
        modified_at=page.modified_at or visit.modified_at,
        title=page.title,
        links=tuple(dict.fromkeys(link for link in links if link is not None)),
        canonical=site.normalize_link(page.canonical, found.url) if page.canonical else None,
        index=page.index,
        unreadable=page.unreadable,
    )


def _visit_from_headers(found: FetchedResponse, address: str, now: float, sitemap_date: str | None) -> PageVisit:
    """Return the part of a visit that needs no look into the page."""
    content_type = found.headers.get("content-type", "")
    robots_tag = found.headers.get("x-robots-tag", "")
    return PageVisit(
        address=address,
        version=hashlib.sha256(found.data).hexdigest()[:32],
        media_type=content_type,
        etag=found.headers.get("etag"),
        last_modified=found.headers.get("last-modified"),
        size_bytes=len(found.data),
        modified_at=_modification_date(found.headers),
        index="noindex" not in parse_robots_directives([robots_tag]),
        sitemap_date=sitemap_date,
        fetched_at=now,
    )


def _modification_date(headers: Mapping[str, str]) -> datetime | None:
    """Return when the page was changed; None if the server dates every answer with the current time."""
    changed, sent = (parse_http_date(headers.get(name)) for name in ("last-modified", "date"))
    if changed is None or (sent is not None and (sent - changed).total_seconds() <= 1):
        return None
    return changed


def unreachable_error(url: str, error: FetchError) -> SourceUnavailable:
    """Return the error for a source whose first page cannot be fetched."""
    if isinstance(error, FetchRefused):
        return SourceUnavailable(
            f"Kvasir does not fetch {strip_query(url)}: it is not on the public web, or redirects to a private host. "
            "If it is in your own network, name its host in the key allow_hosts; the log has the reason."
        )
    return SourceUnavailable(
        f"{strip_query(url)} does not answer: {error.reason}. Check that it is up and that this machine can reach it; "
        "until then Kvasir deletes nothing of this source."
    )


def page_content(visit: PageVisit, data: bytes) -> DocumentContent:
    """Return a web page for the parser, which keeps only its main text."""
    kind = visit.media_type.partition(";")[0].strip().lower()
    media_type = f"{visit.media_type}; {MAIN_TEXT}" if kind in HTML_TYPES else visit.media_type or None
    return DocumentContent(data, media_type, visit.version)
