"""Which pages a crawl visits next, and where it stops on an endless site. Pure."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from knowledge.web.crawling.canonical_urls import Site

_MAX_SEGMENTS = 20
_MAX_REPEATS = 3
"""The most repeats of one part of a path: a wrong relative link repeats itself without end."""
_MAX_ADDRESS_LETTERS = 1_500
_MAX_DATES = 60
"""The most addresses of one shape that contain dates: a calendar has no end."""
_SEEN_PER_PAGE = 20
_DATE = re.compile(r"(?<!\d)(?:19|20)\d\d(?:[-/_.]?(?:0?[1-9]|1[0-2]))?(?:[-/_.]?\d\d?)?(?!\d)")
_DATE_KEY = re.compile(r"(?:^|[?&])(?:year|month|day|week|date|from|to|start|end|cal\w*)=", re.IGNORECASE)
_DIGITS = re.compile(r"\d+")
_SKIPPED_FILES = re.compile(
    r"\.(?:png|jpe?g|gif|webp|avif|svg|ico|bmp|tiff?|css|js|mjs|map|json|woff2?|ttf|eot|otf|mp[34]|m4[av]|webm|og[gv]|wav"
    r"|avi|mov|mkv|zip|tar|t?gz|bz2|xz|7z|rar|exe|msi|dmg|pkg|deb|rpm|apk|iso|bin|jar|war|whl|swf|ics|rss|atom)$",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class QueuedPage:
    """A page to visit."""

    address: str
    document: str
    sitemap_date: str | None = None


class Frontier:
    """The pages to visit, in levels by the number of links from the start; each page once."""

    def __init__(self, site: Site, takes: Callable[[str], bool], *, max_pages: int, max_depth: int) -> None:
        self._site = site
        self._is_included = takes
        self._max_pages = max_pages
        self._max_depth = max_depth
        self._seen: set[str] = set()
        self._next: dict[str, QueuedPage] = {}
        self._shapes: Counter[str] = Counter()
        self._depth = -1
        self._page_count = 0
        self.is_cut = False

    def add_pages(self, addresses: Iterable[str], *, dates: dict[str, str] | None = None) -> None:
        """Add pages to the next level, except those that were added before.

        ``dates`` holds the dates of pages in the sitemap; these pages are never taken for a trap.
        """
        for address in addresses:
            document = self._site.document_id(address)
            if document in self._seen or len(self._seen) >= self._max_pages * _SEEN_PER_PAGE:
                continue
            if not self._is_included(document) or (dates is None and self._is_trap(address)):
                continue
            self._seen.add(document)
            self._next[document] = QueuedPage(address, document, dates.get(address) if dates else None)

    def next_level(self) -> list[QueuedPage]:
        """Return the pages of the next level, sorted; none at the end."""
        self._depth += 1
        stops = [self._next[document] for document in sorted(self._next)]
        self._next = {}
        if self._depth > self._max_depth:
            return []
        room = self._max_pages - self._page_count
        self.is_cut = self.is_cut or len(stops) > room
        self._page_count += min(len(stops), room)
        return stops[:room]

    def claim_page(self, document: str) -> bool:
        """Add a page that a redirect reached; return False if the crawl visits it already."""
        if document in self._seen or not self._is_included(document):
            return False
        self._seen.add(document)
        return True

    def _is_trap(self, address: str) -> bool:
        path, _, query = address.removeprefix(self._site.origin).partition("?")
        segments = path.split("/")
        if len(address) > _MAX_ADDRESS_LETTERS or len(segments) > _MAX_SEGMENTS or _SKIPPED_FILES.search(path):
            return True
        if max(Counter(part for part in segments if part).values(), default=0) > _MAX_REPEATS:
            return True
        if _DATE_KEY.search(f"?{query}") or _DATE.search(query) or _DATE.fullmatch(_trailing_numbers(path)):
            shape = _DIGITS.sub("0", f"{path}?{query}")
            self._shapes[shape] += 1
            return self._shapes[shape] > _MAX_DATES
        return False


def _trailing_numbers(path: str) -> str:
    """Return the numbers at the end of a path."""
    found = re.search(r"(?<![\d/_.-])[/_.-]*(\d[\d/_.-]*)$", path.rstrip("/"))
    return found[1] if found else ""
