"""Parse sitemaps (sitemaps.org): the pages of a site and their dates. Pure."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import islice

from lxml import etree

from knowledge.dates import parse_iso_date
from knowledge.errors import FetchError
from knowledge.web.http.content_encoding import ContentDecoder

SITEMAP_TYPES = frozenset({
    "application/xml", "text/xml", "text/plain", "application/gzip", "application/x-gzip", "application/octet-stream",
    "binary/octet-stream", "application/rss+xml", "application/atom+xml", "",
})  # fmt: skip

MAX_SITEMAP_BYTES = 52_428_800
"""The protocol's limit for one decompressed sitemap."""
_MAX_ENTRIES = 50_000  # the protocol's limit for one sitemap; the rest is not read

_GZIP = b"\x1f\x8b"


@dataclass(frozen=True, slots=True)
class Sitemap:
    """The content of one sitemap or index of sitemaps."""

    pages: tuple[tuple[str, datetime | None], ...]
    """URLs as they are written, with their ``lastmod``."""
    sitemaps: tuple[str, ...]


def read_sitemap(data: bytes) -> Sitemap | None:
    """Return a sitemap, an index of sitemaps, or a list of URLs, compressed or not; None if it is none of them."""
    try:
        data = _decompress_bytes(data)
    except FetchError:
        return None
    if not data.lstrip().startswith((b"<", b"\xef\xbb\xbf<")):
        lines = data.decode("utf-8", "replace").removeprefix("\ufeff").split()
        pages = tuple((line, None) for line in lines if line.startswith(("http://", "https://")))
        return Sitemap(pages[:_MAX_ENTRIES], ()) if pages and len(pages) == len(lines) else None
    try:
        entries = list(islice(_iterate_entries(data), _MAX_ENTRIES))
    except etree.XMLSyntaxError:
        return None
    if not entries and b"urlset" not in data[:1000] and b"sitemapindex" not in data[:1000]:
        return None
    return Sitemap(
        tuple((url, changed) for kind, url, changed in entries if kind == "url"),
        tuple(url for kind, url, _ in entries if kind == "sitemap"),
    )


def _decompress_bytes(data: bytes) -> bytes:
    if not data.startswith(_GZIP):
        return data
    return b"".join(ContentDecoder("gzip", MAX_SITEMAP_BYTES).decode(data))


def _iterate_entries(data: bytes) -> Iterator[tuple[str, str, datetime | None]]:
    """Yield ``url`` or ``sitemap``, its address and its date; the parser loads nothing outside the file."""
    events = etree.iterparse(
        io.BytesIO(data), events=("end",), resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False
    )
    for _, element in events:
        kind = _local_name(element)
        if kind not in {"url", "sitemap"}:
            continue
        fields = {_local_name(child): (child.text or "").strip() for child in element}
        element.clear()
        while element.getprevious() is not None:
            del element.getparent()[0]
        if fields.get("loc"):
            yield kind, fields["loc"], parse_iso_date(fields.get("lastmod", ""))


def _local_name(element: etree._Element) -> str:
    return element.tag.rpartition("}")[2] if isinstance(element.tag, str) else ""
