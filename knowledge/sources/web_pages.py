"""What the kinds that read web pages share: a page as it was last fetched, and its body until it is read."""

from __future__ import annotations

import asyncio
import hashlib
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

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

_MOST_BYTES = 500_000_000
_DIGEST_BYTES = 32
TOO_LARGE = "too large"
OWN_NETWORK_HINT = "name a host of your own network in allow_hosts"


@dataclass(frozen=True, slots=True)
class PageVisit:
    """A page as it was last fetched."""

    address: str
    version: str
    media_type: str
    """The media type with its parameters, as the server sent it."""
    etag: str | None = None
    last_modified: str | None = None
    size_bytes: int | None = None
    modified_at: datetime | None = None
    title: str | None = None
    links: tuple[str, ...] = ()
    """The addresses on the same site to which the page links."""
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


def too_large_visit(address: str, limit_bytes: int, now: float) -> PageVisit:
    """Return the visit of a page over the limit."""
    return PageVisit(address, f"over {limit_bytes}", "", unreadable=TOO_LARGE, fetched_at=now)


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
            f"Kvasir does not fetch {strip_query(url)}: it is not on the public web, or redirects to another host. "
            "Put the address to which it redirects into the key url, or name a host of your own network in "
            "allow_hosts; the log has the reason."
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


class BodySpool:
    """A folder of page bodies with a size limit, so that each page is fetched once.

    A body that does not fit, or is lost, is fetched again when it is read.

    Each file starts with a digest of its body, so that a file that a crash cut short counts as lost.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._bytes = 0

    def measure_bodies(self) -> None:
        """Measure the bodies that an earlier process left."""
        try:
            self._bytes = sum(path.stat().st_size for path in self._folder.iterdir())
        except OSError:
            self._bytes = 0

    def store_body(self, name: str, version: str, data: bytes) -> None:
        """Store a body; do nothing when the spool or the disk is full."""
        if self._bytes + len(data) > _MOST_BYTES:
            return
        try:
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._make_path(name, version).write_bytes(hashlib.sha256(data).digest() + data)
        except OSError:
            return
        self._bytes += len(data)

    def read_body(self, name: str, version: str) -> bytes | None:
        """Return the body of this version, or None if it is not stored."""
        try:
            content = self._make_path(name, version).read_bytes()
        except OSError:
            return None
        data = content[_DIGEST_BYTES:]
        return data if hashlib.sha256(data).digest() == content[:_DIGEST_BYTES] else None

    def delete_bodies(self) -> None:
        """Delete all bodies."""
        shutil.rmtree(self._folder, ignore_errors=True)
        self._bytes = 0

    def _make_path(self, name: str, version: str) -> Path:
        return self._folder / hashlib.sha256(f"{name}\0{version}".encode("utf-8", "replace")).hexdigest()
