"""Search the live web by the first provider that answers, within a time limit."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from knowledge.errors import ProviderBusy, ProviderError, ProviderFailed, ProviderRefused
from knowledge.masking import DEFAULT_RECOGNISER, Recogniser
from knowledge.web.crawling.canonical_urls import build_page_key
from knowledge.web.crawling.expiring_cache import ExpiringCache
from knowledge.web.crawling.single_flight import SingleFlight
from knowledge.web.http.domains import extract_host, is_within_domains
from knowledge.web.searching.circuit_breaker import MAX_OPEN_S, CircuitBreaker
from knowledge.web.searching.provider import SearchProvider

_log = logging.getLogger(__name__)

MAX_QUERY_CHARACTERS: Final = 400
MAX_QUERY_WORDS: Final = 50
"""The limits of the strictest provider, Brave."""

CACHE_S: Final = 600.0
FAILURE_CACHE_S: Final = 30.0
_MAX_CACHED: Final = 256
_WIDE_LIMIT: Final = 20
"""Hits requested if some are filtered out here: as many as the strictest provider returns at once."""
PROVIDER_TIME_SHARE: Final = 0.6
"""The share of the remaining time for a provider, if another one follows."""
_FAIR_TIME_S: Final = 2.0
"""A timeout within less time than this does not count as a provider's failure."""

QUERY_FULLY_MASKED: Final = (
    "The question contains only words that must stay private, so the web was not searched. Ask in other words."
)
QUERY_WITHHELD: Final = "The question contains personal data or secrets, so the web was not searched. Ask without them."


@dataclass(frozen=True, slots=True)
class SearchResults:
    """The outcome of a search."""

    urls: tuple[str, ...]
    """The addresses of pages, the best first, each page once."""
    provider: str
    """The provider that answered; "" if none did."""
    problems: tuple[str, ...]
    """Why other providers did not answer: sentences for an operator, without keys and without the question."""


@dataclass(frozen=True, slots=True)
class _SearchKey:
    query: str
    limit: int
    domains: frozenset[str]


class WebSearch:
    """Tries providers in order. Safe to share between tasks of one loop.

    Args:
        is_private: returns whether a URL leads to a private host of the operator. Such hits are accepted from
            self-hosted providers only, so that strangers cannot choose what Kvasir requests there.
        recogniser: finds what no provider may get.
        withholds_private: whether a query in which it finds something is not sent at all, instead of with masks.
        now: returns seconds of a monotonic clock.

    """

    def __init__(
        self,
        providers: Sequence[SearchProvider],
        *,
        is_private: Callable[[str], bool] = lambda _: False,
        recogniser: Recogniser = DEFAULT_RECOGNISER,
        withholds_private: bool = False,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._is_private = is_private
        self._recogniser = recogniser
        self._withholds_private = withholds_private
        self._providers = [(provider, CircuitBreaker(now)) for provider in providers]
        self._cache: ExpiringCache[_SearchKey, SearchResults] = ExpiringCache(_MAX_CACHED, now)
        self._searches: SingleFlight[SearchResults] = SingleFlight()

    async def search(
        self, query: str, *, limit: int = 8, domains: frozenset[str] = frozenset(), within_s: float
    ) -> SearchResults:
        """Return the hits. If no provider answers, ``problems`` says why instead of an error.

        The query is masked (``knowledge.masking``) and shortened before it is sent. ``domains`` are hosts with their
        subdomains.
        """
        key = _SearchKey(self.prepare_query(query), limit, domains)
        if not key.query:
            return SearchResults((), "", (QUERY_WITHHELD,))
        if not any(character.isalnum() for character in key.query):
            return SearchResults((), "", (QUERY_FULLY_MASKED,))
        deadline = time.monotonic() + within_s
        while (cached := self._cache.get_value(key)) is None:
            # A search that starts here ends by itself in time.
            left_s = deadline - time.monotonic() if key in self._searches else None
            try:
                async with asyncio.timeout(left_s):
                    results = await self._searches.run(key, lambda: self._search_and_cache(key, deadline))
            except TimeoutError:
                return SearchResults((), "", (f"The same search was running and did not end within {within_s:.1f} s.",))
            if results.provider or time.monotonic() >= deadline:
                return results
        return cached

    def prepare_query(self, query: str) -> str:
        """Return a query as providers get it; "" if they get none."""
        masked = self._recogniser.mask(query)
        return "" if self._withholds_private and masked != query else shorten_query(masked)

    async def close(self) -> None:
        """Close all providers; safe to call twice."""
        for provider, _ in self._providers:
            await provider.close()

    async def _search_and_cache(self, key: _SearchKey, deadline: float) -> SearchResults:
        results = await self._try_providers(key, deadline)
        if results.provider or time.monotonic() < deadline:  # else a caller with more time tries again
            self._cache.store_value(key, results, CACHE_S if results.provider else FAILURE_CACHE_S)
        return results

    async def _try_providers(self, key: _SearchKey, deadline: float) -> SearchResults:
        problems: list[str] = []
        answered = ""
        for place, (provider, breaker) in enumerate(self._providers):
            left_s = deadline - time.monotonic()
            if left_s <= 0:
                problems.append(f"There was no time left for {provider.name}.")
                break
            if not breaker.acquire():
                wait_s = breaker.remaining_open_s
                problems.append(f"{provider.name} kept failing, so Kvasir calls it again in {wait_s:.0f} s.")
                continue
            has_fallback = any(later.remaining_open_s == 0 for _, later in self._providers[place + 1 :])
            try:
                urls = await _call_provider(
                    provider, breaker, key, left_s * (PROVIDER_TIME_SHARE if has_fallback else 1)
                )
            except ProviderError as error:
                problems.append(str(error))
                continue
            urls = tuple(url for url in urls if provider.is_self_hosted or not self._is_private(url))[: key.limit]
            answered = answered or provider.name
            if urls:
                return SearchResults(urls, provider.name, tuple(problems))
        return SearchResults((), answered, tuple(problems))


async def _call_provider(
    provider: SearchProvider, breaker: CircuitBreaker, key: _SearchKey, within_s: float
) -> tuple[str, ...]:
    """Search by one provider, and record the outcome in its breaker."""
    start = time.monotonic()
    limit = _WIDE_LIMIT if key.domains else key.limit
    try:
        async with asyncio.timeout(within_s):
            urls = await provider.search(key.query, limit=limit, domains=key.domains)
    except TimeoutError:
        breaker.record_failure() if within_s >= _FAIR_TIME_S else breaker.release()
        raise ProviderFailed(f"{provider.name} did not answer within {within_s:.1f} s.") from None
    except ProviderError as error:
        _record_error(breaker, error)
        _log.warning("a search by %s failed: %s", provider.name, error)
        raise
    except BaseException:
        breaker.release()
        raise
    breaker.record_success()
    _log.info("searched by %s: %d results in %.2f s", provider.name, len(urls), time.monotonic() - start)
    return tuple(filter_urls(urls, key.domains))


def _record_error(breaker: CircuitBreaker, error: ProviderError) -> None:
    match error:
        case ProviderBusy():
            breaker.record_retry_after(error.retry_after_s)
        case ProviderRefused():
            breaker.record_retry_after(MAX_OPEN_S)
        case _:
            breaker.record_failure()


def shorten_query(query: str) -> str:
    """Return a query on one line within every provider's limits, cut between words."""
    words: list[str] = []
    characters = 0
    for word in query.split()[:MAX_QUERY_WORDS]:
        characters += len(word) + 1
        if characters > MAX_QUERY_CHARACTERS:
            if not words:  # a script without blanks is cut within a word
                words.append(word[:MAX_QUERY_CHARACTERS])
            break
        words.append(word)
    return " ".join(words)


def filter_urls(urls: Iterable[str], domains: frozenset[str]) -> Iterable[str]:
    """Yield the addresses within ``domains`` (empty: all), each page once."""
    pages: set[str] = set()
    for url in urls:
        page = build_page_key(url)
        if page is None or page in pages or (domains and not is_within_domains(extract_host(url), domains)):
            continue
        pages.add(page)
        yield url
