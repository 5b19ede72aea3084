"""Calls to a provider: guarded as every fetch is, bounded, and with errors that hold neither key nor query."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlencode

from knowledge.errors import (
    FetchError,
    FetchUnlisted,
    ProviderBusy,
    ProviderError,
    ProviderFailed,
    ProviderRefused,
)
from knowledge.web.crawling.retry_policy import parse_retry_after_s
from knowledge.web.http.fetch import FetchedResponse, Fetcher, FetchOptions
from knowledge.web.http.settings import FetchLimits

CALL_LIMITS: Final = FetchLimits(total_s=20.0, idle_s=10.0, wire_bytes=2_000_000, body_bytes=2_000_000, redirects=0)
"""Of one call; an answer of twenty results has some 50 kB. No API redirects, so a key goes nowhere else."""

_OK = 200
_TOO_MANY = 429


@dataclass(frozen=True, slots=True)
class ProviderEndpoint:
    """What is spoken to."""

    name: str
    """What people call it."""
    url: str
    """The call's own address."""
    keys: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Headers with the key."""
    refusals: frozenset[int] = frozenset({401, 402, 403})
    """Statuses that mean the key or the account."""
    remedy: str = "Look whether its key is right and its account has searches left."
    """What an operator does about a refusal."""


class ProviderApi:
    """Calls to one service."""

    def __init__(self, service: ProviderEndpoint, fetcher: Fetcher) -> None:
        self._service = service
        self._fetcher = fetcher

    async def get(self, parameters: Mapping[str, str]) -> Mapping[str, object]:
        """Return the answer to a GET.

        Raises:
            ProviderError: there is none.

        """
        return await self._call(f"{self._service.url}?{urlencode(parameters)}", None)

    async def post(self, body: Mapping[str, object]) -> Mapping[str, object]:
        """Return the answer to a POST of JSON.

        Raises:
            ProviderError: there is none.

        """
        return await self._call(self._service.url, json.dumps(body).encode())

    async def close(self) -> None:
        """Close every connection; safe to call twice."""
        await self._fetcher.close()

    async def _call(self, url: str, post: bytes | None) -> Mapping[str, object]:
        ask = FetchOptions(accept={"application/json"}, keys=self._service.keys, post=post, limits=CALL_LIMITS)
        try:
            fetched = await self._fetcher.fetch(url, ask)
        except FetchUnlisted:
            raise self._no_json() from None
        except FetchError as error:
            raise ProviderFailed(
                f"{self._service.name} did not answer the search: {error.reason}. "
                "Look whether it is up and can be reached from here."
            ) from None
        if fetched.status != _OK:
            raise self._trouble(fetched)
        try:
            answer = json.loads(fetched.data)
        except (ValueError, RecursionError):
            answer = None  # not chained: such an error quotes the answer
        if not isinstance(answer, dict):
            raise self._no_json()
        return answer

    def _trouble(self, fetched: FetchedResponse) -> ProviderError:
        name, status = self._service.name, fetched.status
        if status in self._service.refusals:
            return ProviderRefused(f"{name} refuses the search (HTTP {status}). {self._service.remedy}")
        if status == _TOO_MANY:
            wait_s = parse_wait_s(fetched.headers, time.time())
            return ProviderBusy(f"{name} has been asked too often (HTTP 429). It is left alone for a while.", wait_s)
        return ProviderFailed(
            f"{name} does not take the search (HTTP {status}). "
            "If that stays so, look at its address, its key and what its account has left."
        )

    def _no_json(self) -> ProviderFailed:
        return ProviderFailed(
            f"{self._service.name} answered with something that is no JSON, perhaps a page for people. "
            "Look whether its address is right and no login or proxy stands before it."
        )


def parse_wait_s(headers: Mapping[str, str], now: float) -> float | None:
    """Return the seconds that a busy service asks for: ``Retry-After``, else as the used-up quota is renewed.

    The latter as Brave tells it: ``X-RateLimit-Remaining: 0, 1200`` beside ``X-RateLimit-Reset: 1, 1419704``.
    """
    asked_s = parse_retry_after_s(headers.get("retry-after"), now)
    if asked_s is not None:
        return asked_s
    resets = [part.strip() for part in headers.get("x-ratelimit-reset", "").split(",")]
    left = [part.strip() for part in headers.get("x-ratelimit-remaining", "").split(",")]
    if len(resets) != len(left):
        return None
    waits = [float(reset) for reset, rest in zip(resets, left, strict=True) if rest == "0" and reset.isdecimal()]
    return max(waits, default=None)
