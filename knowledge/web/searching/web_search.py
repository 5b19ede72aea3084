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
from knowledge.masking import mask
from knowledge.web.crawling.canonical import same_page
from knowledge.web.crawling.single_flight import Flights
from knowledge.web.http.domains import host_of, lies_under
from knowledge.web.searching.breaker import LONGEST_REST_S, Breaker
from knowledge.web.searching.provider import Found, Provider

_log = logging.getLogger(__name__)

QUERY_CHARACTERS: Final = 400
QUERY_WORDS: Final = 50
"""What the strictest provider takes (Brave)."""

KEPT_S: Final = 600.0
KEPT_FAILURES_S: Final = 30.0
_KEPT: Final = 256
_WIDE: Final = 20
"""Results asked for where some are dropped here: as many as the narrowest provider gives at once."""
SHARE: Final = 0.6
"""Of the time that is left, for a provider that has others behind it."""
_FAIR_S: Final = 2.0
"""A provider that had less time than this has not failed by not answering."""

NONE_CONFIGURED: Final = (
    "No search provider is configured. Set KVASIR_SEARXNG_URL, or the key of another provider (docs/operating.md)."
)
NOTHING_LEFT: Final = "Nothing of the question may leave the house, so the web was not searched. Ask in other words."


@dataclass(frozen=True, slots=True)
class Results:
    """What a search of the web found."""

    found: tuple[Found, ...]
    """The best first; no page twice."""
    provider: str
    """Whose results they are; "" where none answered."""
    troubles: tuple[str, ...]
    """Why others did not answer: sentences for an operator, without keys and without the question."""


@dataclass(frozen=True, slots=True)
class _Wish:
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
        providers: Sequence[Provider],
        *,
        inside: Callable[[str], bool] = lambda _: False,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._inside = inside
        self._providers = [(provider, Breaker(now)) for provider in providers]
        self._memory = _Memory(now)
        self._flights: Flights[Results] = Flights()

    async def search(
        self, query: str, *, limit: int = 8, domains: frozenset[str] = frozenset(), within_s: float
    ) -> Results:
        """Return what is found; nothing is raised where no provider answers, ``troubles`` tells why.

        The query is masked (``knowledge.masking``) and shortened before it leaves. ``domains`` are hosts,
        with all their subdomains.
        """
        if not self._providers:
            return Results((), "", (NONE_CONFIGURED,))
        wish = _Wish(shortened(mask(query)), limit, domains)
        if not any(character.isalnum() for character in wish.query):
            return Results((), "", (NOTHING_LEFT,))
        due = time.monotonic() + within_s
        while (known := self._memory.get(wish)) is None:
            left_s = (
                due - time.monotonic() if wish in self._flights else None
            )  # what is begun here ends in time by itself
            try:
                async with asyncio.timeout(left_s):
                    results = await self._flights.join(wish, lambda: self._remembered(wish, due))
            except TimeoutError:
                return Results((), "", (f"The same search was under way and did not end within {within_s:.1f} s.",))
            if results.provider or time.monotonic() >= due:
                return results
        return known

    async def close(self) -> None:
        """Close every provider; safe to call twice."""
        for provider, _ in self._providers:
            await provider.close()

    async def _remembered(self, wish: _Wish, due: float) -> Results:
        results = await self._ask_in_order(wish, due)
        if results.provider or time.monotonic() < due:  # who has more time is to have it
            self._memory.put(wish, results, KEPT_S if results.provider else KEPT_FAILURES_S)
        return results

    async def _ask_in_order(self, wish: _Wish, due: float) -> Results:
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
            given_s = left_s * SHARE if others else left_s
            try:
                found = await _asked(provider, breaker, wish, given_s)
                found = tuple(one for one in found if provider.own or not self._inside(one.url))[: wish.limit]
            except ProviderError as error:
                troubles.append(str(error))
                continue
            answered = answered or provider.name
            if found:
                return Results(found, provider.name, tuple(troubles))
        return Results((), answered, tuple(troubles))


async def _asked(provider: Provider, breaker: Breaker, wish: _Wish, within_s: float) -> tuple[Found, ...]:
    """Ask one provider, and tell its breaker how it went."""
    began = time.monotonic()
    try:
        async with asyncio.timeout(within_s):
            found = await provider.search(wish.query, limit=_WIDE if wish.domains else wish.limit, domains=wish.domains)
    except TimeoutError:
        breaker.failed() if within_s >= _FAIR_S else breaker.abandoned()
        raise ProviderFailed(f"{provider.name} did not answer within {within_s:.1f} s.") from None
    except ProviderError as error:
        _told(breaker, error)
        _log.warning("a search by %s failed: %s", provider.name, error)
        raise
    except BaseException:
        breaker.abandoned()
        raise
    breaker.succeeded()
    _log.info("searched by %s: %d results in %.2f s", provider.name, len(found), time.monotonic() - began)
    return tuple(chosen(found, wish.domains))


def _told(breaker: Breaker, error: ProviderError) -> None:
    match error:
        case ProviderBusy():
            breaker.asked_to_wait(error.retry_after_s)
        case ProviderRefused():
            breaker.asked_to_wait(LONGEST_REST_S)
        case _:
            breaker.failed()


def shortened(query: str) -> str:
    """Return a query on one line, as long as every provider takes it: whole words, as many as fit."""
    kept: list[str] = []
    size = 0
    for word in query.split()[:QUERY_WORDS]:
        size += len(word) + 1
        if size > QUERY_CHARACTERS:
            if not kept:  # a script without blanks is cut within
                kept.append(word[:QUERY_CHARACTERS])
            break
        kept.append(word)
    return " ".join(kept)


def chosen(found: Iterable[Found], domains: frozenset[str]) -> Iterable[Found]:
    """Yield what lies under one of ``domains`` (none: all), each page once."""
    seen: set[str] = set()
    for one in found:
        page = same_page(one.url)
        if page is None or page in seen or not (not domains or lies_under(host_of(one.url), domains)):
            continue
        seen.add(page)
        yield one


class _Memory:
    """What was found lately; a few hundred searches."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._kept: OrderedDict[_Wish, tuple[float, Results]] = OrderedDict()

    def get(self, wish: _Wish) -> Results | None:
        until, results = self._kept.get(wish, (0.0, None))
        return results if self._now() < until else None

    def put(self, wish: _Wish, results: Results, seconds: float) -> None:
        self._kept[wish] = (self._now() + seconds, results)
        self._kept.move_to_end(wish)
        if len(self._kept) > _KEPT:
            self._kept.popitem(last=False)
