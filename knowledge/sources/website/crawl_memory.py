"""What a website source remembers of its pages, as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from knowledge.sources.web_pages import PageVisit

STATE_VERSION = 1


def encode_visits(visits: Mapping[str, PageVisit], begun: float | None) -> dict[str, Any]:
    """Return visits by document as JSON; links become numbers, because most pages share them.

    ``begun`` is the start of an unfinished crawl, in seconds since the epoch.
    """
    numbers: dict[str, int] = {}
    pages = {}
    for document, visit in visits.items():
        pages[document] = [
            visit.address, visit.version, visit.media_type, visit.etag, visit.last_modified, visit.size_bytes,
            visit.modified_at.timestamp() if visit.modified_at else None, visit.title,
            [numbers.setdefault(link, len(numbers)) for link in visit.links], visit.canonical, visit.index,
            visit.unreadable, visit.sitemap_date, visit.fetched_at,
        ]  # fmt: skip
    return {"links": list(numbers), "pages": pages, "begun": begun}


def decode_visits(state: object) -> dict[str, PageVisit]:
    """Return the visits from the JSON of ``encode_visits``; nothing if any part has another form."""
    try:
        assert isinstance(state, dict)  # noqa: S101 - caught below with every other wrong form
        links = state["links"]
        assert all(isinstance(link, str) for link in links)  # noqa: S101
        return {str(document): _decode_visit(fields, links) for document, fields in state["pages"].items()}
    except (AssertionError, KeyError, TypeError, ValueError, AttributeError, IndexError, OverflowError):
        return {}


def find_interrupted_crawl(state: object, earliest: float, latest: float) -> float | None:
    """Return when an interrupted crawl began; None if there is none, or it began outside these moments."""
    begun = state.get("begun") if isinstance(state, dict) else None
    return begun if isinstance(begun, float) and earliest <= begun <= latest else None


def _decode_visit(fields: Any, links: list[str]) -> PageVisit:  # noqa: ANN401 - any JSON value
    (
        address, version, media_type, etag, last_modified, size, modified, title, numbers, canonical, index, unreadable,
        sitemap_date, fetched_at,
    ) = fields  # fmt: skip
    texts = (address, version, media_type)
    perhaps = (etag, last_modified, title, canonical, unreadable, sitemap_date)
    assert all(isinstance(text, str) for text in texts)  # noqa: S101
    assert all(text is None or isinstance(text, str) for text in perhaps)  # noqa: S101
    assert size is None or isinstance(size, int)  # noqa: S101
    assert isinstance(index, bool)  # noqa: S101
    return PageVisit(
        address=address, version=version, media_type=media_type, etag=etag, last_modified=last_modified,
        size_bytes=size, modified_at=None if modified is None else datetime.fromtimestamp(modified, UTC), title=title,
        links=tuple(links[number] for number in numbers), canonical=canonical, index=index, unreadable=unreadable,
        sitemap_date=sitemap_date, fetched_at=float(fetched_at),
    )  # fmt: skip
