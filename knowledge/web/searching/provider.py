"""The interface of search providers, and what they return."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol


@dataclass(frozen=True, slots=True)
class SearchHit:
    """A page that a search found. Nothing of it was read, and strangers wrote all of it."""

    url: str
    title: str
    snippet: str
    """Plain text; "" if the provider returns none."""
    published: datetime | None
    """In UTC, as the provider states it; exact to the day for "3 days ago"."""


class SearchProvider(Protocol):
    """A way to search the web. Several tasks may use a provider at the same time."""

    @property
    def name(self) -> str:
        """Return its name in the configuration."""

    @property
    def is_self_hosted(self) -> bool:
        """Return whether the operator runs it, so that its hits may lie on the operator's private hosts."""

    async def search(self, query: str, *, limit: int, domains: frozenset[str]) -> Sequence[SearchHit]:
        """Return at most ``limit`` pages, the best first.

        ``query`` is one line of at most 400 characters and 50 words, and already masked. ``domains`` narrows the search
        to these hosts and their subdomains (empty: any), as far as the provider can; callers filter the hits.

        Raises:
            ProviderError: it did not answer; the error's text contains neither the key nor the query.

        """

    async def close(self) -> None:
        """Close all connections; safe to call twice."""
