"""Search the live web by the first provider that answers, within a deadline."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from knowledge.errors import ProviderBusy, ProviderError, ProviderFailed, ProviderRefused
from knowledge.masking import mask_secrets
from knowledge.web.crawling.canonical_urls import build_page_key
from knowledge.web.crawling.single_flight import SingleFlight
from knowledge.web.http.domains import extract_host, is_within_domains
from knowledge.web.searching.circuit_breaker import MAX_OPEN_S, CircuitBreaker
from knowledge.web.searching.provider import SearchHit, SearchProvider

_log = logging.getLogger(__name__)

MAX_QUERY_CHARACTERS: Final = 400
MAX_QUERY_WORDS: Final = 50
"""What the strictest provider takes (Brave)."""

CACHE_S: Final = 600.0
FAILURE_CACHE_S: Final = 30.0
_MAX_CACHED: Final = 256
_WIDE_LIMIT: Final = 20
"""Results asked for where some are dropped here: as many as the narrowest provider gives at once."""
PROVIDER_TIME_SHARE: Final = 0.6
"""Of the time that is left, for a provider that has others behind it."""
_FAIR_TIME_S: Final = 2.0
"""A provider that had less time than this has not failed by not answering."""

NO_PROVIDER_CONFIGURED: Final = (
    "No search provider is configured. Set KVASIR_SEARXNG_URL, or the key of another provider (docs/operating.md)."
)
QUERY_FULLY_MASKED: Final = (
    "Nothing of the question may leave the house, so the web was not searched. Ask in other words."
)


@dataclass(frozen=True, slots=True)
class SearchResults:
    """What a search of the web found."""

    found: tuple[SearchHit, ...]
    """The best first; no page twice."""
    provider: str
    """Whose results they are; "" where none answered."""
    troubles: tuple[str, ...]
    """Why others did not answer: sentences for an operator, without keys and without the question."""


@dataclass(frozen=True, slots=True)
class _SearchKey:
    query: str
    limit: int
    domains: frozenset[str]


class WebSearch:
    """Asks providers in order. Safe from several tasks of one loop.

    Args:
        inside: whether a URL leads to a host of the operator's own. Such results are believed of the operator's own
            providers alone: what strangers write does not choose what is asked of the operator's network.
        now: seconds of a monotonic clock.

    """

    def __init__(
        self,
        providers: Sequence[SearchProvider],
        *,
        inside: Callable[[str], bool] = lambda _: False,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._inside = inside
        self._providers = [(provider, CircuitBreaker(now)) for provider in providers]
        self._memory = _Memory(now)
        self._flights: SingleFlight[SearchResults] = SingleFlight()

    async def search(
        self, query: str, *, limit: int = 8, domains: frozenset[str] = frozenset(), within_s: float
    ) -> SearchResults:
        """Return what is found; nothing is raised where no provider answers, ``troubles`` tells why.

        The query is masked (``knowledge.masking``) and shortened before it leaves. ``domains`` are hosts,
        with all their subdomains.
        """
        if not self._providers:
            return SearchResults((), "", (NO_PROVIDER_CONFIGURED,))
        wish = _SearchKey(shorten_query(mask_secrets(query)), limit, domains)
        if not any(character.isalnum() for character in wish.query):
            return SearchResults((), "", (QUERY_FULLY_MASKED,))
        due = time.monotonic() + within_s
        while (known := self._memory.get(wish)) is None:
            left_s = (
                due - time.monotonic() if wish in self._flights else None
            )  # what is begun here ends in time by itself
            try:
                async with asyncio.timeout(left_s):
                    results = await self._flights.join(wish, lambda: self._remembered(wish, due))
            except TimeoutError:
                return SearchResults(
                    (), "", (f"The same search was under way and did not end within {within_s:.1f} s.",)
                )
            if results.provider or time.monotonic() >= due:
                return results
        return known

    async def close(self) -> None:
        """Close every provider; safe to call twice."""
        for provider, _ in self._providers:
            await provider.close()

    async def _remembered(self, wish: _SearchKey, due: float) -> SearchResults:
        results = await self._ask_in_order(wish, due)
        if results.provider or time.monotonic() < due:  # who has more time is to have it
            self._memory.put(wish, results, CACHE_S if results.provider else FAILURE_CACHE_S)
        return results

    async def _ask_in_order(self, wish: _SearchKey, due: float) -> SearchResults:
        troubles: list[str] = []
        answered = ""
        for place, (provider, breaker) in enumerate(self._providers):
            left_s = due - time.monotonic()
            if left_s <= 0:
                troubles.append(f"There was no time left to ask {provider.name}.")
                break
            if not breaker.admits():
                troubles.append(f"{provider.name} is left alone for {breaker.open_s:.0f} s more, as it kept failing.")
                continue
            others = any(later.open_s == 0 for _, later in self._providers[place + 1 :])
            given_s = left_s * PROVIDER_TIME_SHARE if others else left_s
            try:
                found = await _call_provider(provider, breaker, wish, given_s)
                found = tuple(one for one in found if provider.own or not self._inside(one.url))[: wish.limit]
            except ProviderError as error:
                troubles.append(str(error))
                continue
            answered = answered or provider.name
            if found:
                return SearchResults(found, provider.name, tuple(troubles))
        return SearchResults((), answered, tuple(troubles))


async def _call_provider(
    provider: SearchProvider, breaker: CircuitBreaker, wish: _SearchKey, within_s: float
) -> tuple[SearchHit, ...]:
    """Ask one provider, and tell its breaker how it went."""
    began = time.monotonic()
    try:
        async with asyncio.timeout(within_s):
            found = await provider.search(
                wish.query, limit=_WIDE_LIMIT if wish.domains else wish.limit, domains=wish.domains
            )
    except TimeoutError:
        breaker.failed() if within_s >= _FAIR_TIME_S else breaker.abandoned()
        raise ProviderFailed(f"{provider.name} did not answer within {within_s:.1f} s.") from None
    except ProviderError as error:
        _record_error(breaker, error)
        _log.warning("a search by %s failed: %s", provider.name, error)
        raise
    except BaseException:
        breaker.abandoned()
        raise
    breaker.succeeded()
    _log.info("searched by %s: %d results in %.2f s", provider.name, len(found), time.monotonic() - began)
    return tuple(filter_hits(found, wish.domains))


def _record_error(breaker: CircuitBreaker, error: ProviderError) -> None:
    match error:
        case ProviderBusy():
            breaker.asked_to_wait(error.retry_after_s)
        case ProviderRefused():
            breaker.asked_to_wait(MAX_OPEN_S)
        case _:
            breaker.failed()


def shorten_query(query: str) -> str:
    """Return a query on one line, as long as every provider takes it: whole words, as many as fit."""
    kept: list[str] = []
    size = 0
    for word in query.split()[:MAX_QUERY_WORDS]:
        size += len(word) + 1
        if size > MAX_QUERY_CHARACTERS:
            if not kept:  # a script without blanks is cut within
                kept.append(word[:MAX_QUERY_CHARACTERS])
            break
        kept.append(word)
    return " ".join(kept)


def filter_hits(found: Iterable[SearchHit], domains: frozenset[str]) -> Iterable[SearchHit]:
    """Yield what lies under one of ``domains`` (none: all), each page once."""
    seen: set[str] = set()
    for one in found:
        page = build_page_key(one.url)
        if page is None or page in seen or not (not domains or is_within_domains(extract_host(one.url), domains)):
            continue
        seen.add(page)
        yield one


class _Memory:
    """What was found lately; a few hundred searches."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._kept: OrderedDict[_SearchKey, tuple[float, SearchResults]] = OrderedDict()

    def get(self, wish: _SearchKey) -> SearchResults | None:
        until, results = self._kept.get(wish, (0.0, None))
        return results if self._now() < until else None

    def put(self, wish: _SearchKey, results: SearchResults, seconds: float) -> None:
        self._kept[wish] = (self._now() + seconds, results)
        self._kept.move_to_end(wish)
        if len(self._kept) > _MAX_CACHED:
            self._kept.popitem(last=False)
