"""What every search provider looks like, and what a search finds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol


@dataclass(frozen=True, slots=True)
class SearchHit:
    """One page that a search found; nothing of it has been read yet. All of it was written by strangers."""

    url: str
    title: str
    snippet: str
    """Plain text; "" where the provider gives none."""
    published: datetime | None
    """In UTC, as the provider says; to the day where it says "3 days ago"."""


class SearchProvider(Protocol):
    """One way to search the web. A provider is asked by several tasks at the same time."""

    @property
    def name(self) -> str:
        """Return its name in the configuration."""

    @property
    def own(self) -> bool:
        """Say whether it is the operator's own, so that what it finds may lie on the operator's own hosts."""

    async def search(self, query: str, *, limit: int, domains: frozenset[str]) -> Sequence[SearchHit]:
        """Return at most ``limit`` pages, the best first.

        ``query`` is one line of at most 400 characters and 50 words, masked already. ``domains`` narrows the search to
        these hosts and what lies under them (none: any) as well as the provider can: who asks looks at each result.

        Raises:
            ProviderError: it did not answer; the error's text holds neither the key nor the query.

        """

    async def close(self) -> None:
        """Close every connection; safe to call twice."""
