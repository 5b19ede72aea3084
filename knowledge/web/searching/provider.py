"""The interface of search providers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol


class SearchProvider(Protocol):
    """A way to search the web. Several tasks may use a provider at the same time."""

    @property
    def name(self) -> str:
        """Return its name in the configuration."""

    @property
    def is_self_hosted(self) -> bool:
        """Return whether the operator runs it, so that its hits may lie on the operator's private hosts."""

    async def search(self, query: str, *, limit: int, domains: frozenset[str]) -> Sequence[str]:
        """Return the addresses of at most ``limit`` pages, the best first. Nothing of them was read.

        ``query`` is one line of at most 400 characters and 50 words, and already masked. ``domains`` narrows the search
        to these hosts and their subdomains (empty: any), as far as the provider can; callers filter the addresses.

        Raises:
            ProviderError: it did not answer; the error's text contains neither the key nor the query.

        """

    async def close(self) -> None:
        """Close all connections; safe to call twice."""
