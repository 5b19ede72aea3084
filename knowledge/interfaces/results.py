"""What a search may ask of the live web, and what it returns."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Literal

from knowledge.errors import KnowledgeError, UnreadableReason
from knowledge.interfaces.materials import MaterialOrigin


@dataclass(frozen=True, slots=True)
class LiveWebRequest:
    """What one question may ask of the live web."""

    when: Literal["if_weak", "always"]
    """``if_weak``: only if the documents' result is not ``answerable``."""
    links: tuple[str, ...] = ()
    """URLs of the question or the thread; they are read first, in this order."""
    domains: frozenset[str] = frozenset()
    """Only these hosts (ASCII, lower case) and their subdomains; empty for any that the configuration allows."""
    search: bool = True
    """Whether the web is searched, in addition to the links."""
    words: str = ""
    """What to search for, "" for the query's own words. Secrets in it are masked."""
    within_s: float = 12.0
    """For all of it: the search, the parallel fetches, extraction and embedding."""


@dataclass(frozen=True, slots=True)
class WebOrigin:
    """Where on the web a passage was read."""

    host: str
    published: datetime | None
    """As the page says; aware, UTC."""
    fetched_at: datetime
    stale: bool
    """Whether a newer copy was requested and did not come."""


class SkipReason(StrEnum):
    """Why a page was not read; it says nothing about the inner network."""

    LATE = "late"
    NOT_LISTED = "not listed"
    """Only some sites may be read, and its site is not one of them."""
    TOO_MANY = "too many"
    """Enough other pages are read."""
    NO_TEXT = "no text"
    NOT_FETCHED = "not fetched"
    DEFECT = "defect"


class WebTrouble(StrEnum):
    """Why the web was not searched."""

    SWITCHED_OFF = "switched off"
    NO_PROVIDER = "no provider"
    NO_ANSWER = "no answer"
    """Every provider failed."""
    LATE = "late"
    NO_SITE_ALLOWED = "no site allowed"
    ONLY_PRIVATE_WORDS = "only private words"
    PRIVATE_WORDS = "private words"
    """Some words are private, and the configuration withholds such queries."""


@dataclass(frozen=True, slots=True)
class SkippedPage:
    """A page that was not read."""

    url: str
    why: SkipReason | UnreadableReason


@dataclass(frozen=True, slots=True)
class WebSearchReport:
    """What Kvasir did on the web for one question."""

    provider: str
    """The search provider; "" if only links were read."""
    read: tuple[str, ...]
    """The final URLs of the pages that were read."""
    left_out: tuple[SkippedPage, ...]
    trouble: WebTrouble | None
    """Why the web was not searched; None if it was, or did not have to be."""
    seconds: float
    query: str = field(default="", repr=False)
    """What the search providers were asked; "" if none was."""


@dataclass(frozen=True, slots=True)
class Hit:
    """A passage for a query: of a document, confirmed by the manifest, of a page of the web, or of a material."""

    id: str
    source: str
    """The source's name; "" for a page of the web and for a material."""
    document: str
    """Its id within the source; the final URL of a page of the web."""
    title: str
    heading: str
    url: str | None
    text: str = field(repr=False)
    score: float
    """The fused score, 0 to 1, comparable within one query."""
    confidence: float
    """An absolute score, comparable across queries (``fusion.estimate_confidence``)."""
    synced_at: datetime
    """When this version of the document was last seen in its source; aware, UTC."""
    context: str = field(default="", repr=False)
    """``text`` with its neighbours, if it is short or its section was cut; else ""."""
    chunks: tuple[str, ...] = ()
    """The ids of the chunks in ``context``, in the document's order."""
    web: WebOrigin | None = None
    material: MaterialOrigin | None = None


@dataclass(frozen=True, slots=True)
class SearchResult:
    """What a search found."""

    query: str
    hits: tuple[Hit, ...]
    seconds: float
    """From the call to the return, embedding included."""
    answerable: bool
    """Whether the hits are sure enough to answer (``fusion.estimate_best_confidence``)."""
    web: WebSearchReport | None = None
    """None if the web was not searched and no link was read."""
    trouble: KnowledgeError | None = None
    """Why the documents could not be searched, if the web answers alone; or why only their words were."""
    refused_count: int = 0
    """Passages that the store proposed although the viewers may not read them; none of them is shown."""
    related: bool = True
    """Whether any passage that the viewers may read has to do with the question (``fusion.is_related``)."""
