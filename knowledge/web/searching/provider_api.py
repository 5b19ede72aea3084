"""Calls to a provider's API: guarded and bounded, with errors that contain neither key nor query."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlencode

from knowledge.dates import parse_retry_after_s
from knowledge.errors import (
    FetchError,
    FetchTypeNotAllowed,
    ProviderBusy,
    ProviderError,
    ProviderFailed,
    ProviderRefused,
)
from knowledge.web.http.fetch import FetchedResponse, Fetcher, FetchOptions
from knowledge.web.http.settings import FetchLimits

CALL_LIMITS: Final = FetchLimits(total_s=20.0, idle_s=10.0, wire_bytes=2_000_000, body_bytes=2_000_000, max_redirects=0)
"""The limits of one call. A response of twenty results has about 50 kB. No API redirects, so a key stays there."""

_OK = 200
_TOO_MANY_REQUESTS = 429


@dataclass(frozen=True, slots=True)
class ProviderEndpoint:
    """A provider's search endpoint."""

    name: str
    url: str
    secret_headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    refusal_statuses: frozenset[int] = frozenset({401, 402, 403})
    """Statuses that concern the key or the account."""
    remedy: str = "Check that its key is right and that its account has searches left."
    """What an operator can do about a refusal."""


class ProviderApi:
    """The part of a ``SearchProvider`` that calls its endpoint."""

    is_self_hosted = False

    def __init__(self, endpoint: ProviderEndpoint, fetcher: Fetcher) -> None:
        self._endpoint = endpoint
        self._fetcher = fetcher

    async def get_json(self, parameters: Mapping[str, str]) -> Mapping[str, object]:
        """Return the JSON object that a GET returns.

        Raises:
            ProviderError: the call failed.

        """
        return await self._call_provider(f"{self._endpoint.url}?{urlencode(parameters)}", None)

    async def post_json(self, body: Mapping[str, object]) -> Mapping[str, object]:
        """Return the JSON object that a POST of JSON returns.

        Raises:
            ProviderError: the call failed.

        """
        return await self._call_provider(self._endpoint.url, json.dumps(body).encode())

    async def close(self) -> None:
        """Close all connections; safe to call twice."""
        await self._fetcher.close()

    async def _call_provider(self, url: str, json_body: bytes | None) -> Mapping[str, object]:
        options = FetchOptions(
            accept={"application/json"},
            secret_headers=self._endpoint.secret_headers,
            json_body=json_body,
            limits=CALL_LIMITS,
        )
        try:
            response = await self._fetcher.fetch(url, options)
        except FetchTypeNotAllowed:
            raise self._build_format_error() from None
        except FetchError as error:
            raise ProviderFailed(
                f"{self._endpoint.name} did not answer the search: {error.reason}. "
                "Check that it is up and that this machine can reach it."
            ) from None
        if response.status != _OK:
            raise self._build_status_error(response)
        try:
            result = json.loads(response.data)
        except (ValueError, RecursionError):
            result = None  # not chained, because such an error quotes the response
        if not isinstance(result, dict):
            raise self._build_format_error()
        return result

    def _build_status_error(self, response: FetchedResponse) -> ProviderError:
        name, status = self._endpoint.name, response.status
        if status in self._endpoint.refusal_statuses:
            return ProviderRefused(f"{name} refuses the search (HTTP {status}). {self._endpoint.remedy}")
        if status == _TOO_MANY_REQUESTS:
            wait_s = parse_wait_s(response.headers, time.time())
            return ProviderBusy(f"{name} got too many requests (HTTP 429). Kvasir pauses calls to it.", wait_s)
        return ProviderFailed(
            f"{name} rejects the search (HTTP {status}). "
            "If this persists, check its address, its key and its account's quota."
        )

    def _build_format_error(self) -> ProviderFailed:
        return ProviderFailed(
            f"{self._endpoint.name} did not answer with JSON. "
            "Check that its address is right and that it is not behind a login or a proxy."
        )


def parse_wait_s(headers: Mapping[str, str], now: float) -> float | None:
    """Return the seconds that a busy service asks for: its ``Retry-After``, else until its quota is renewed.

    Brave states the latter as ``X-RateLimit-Remaining: 0, 1200`` with ``X-RateLimit-Reset: 1, 1419704``.
    """
    asked_s = parse_retry_after_s(headers.get("retry-after"), now)
    if asked_s is not None:
        return asked_s
    resets = [part.strip() for part in headers.get("x-ratelimit-reset", "").split(",")]
    quotas = [part.strip() for part in headers.get("x-ratelimit-remaining", "").split(",")]
    if len(resets) != len(quotas):
        return None
    waits = [float(reset) for reset, quota in zip(resets, quotas, strict=True) if quota == "0" and reset.isdecimal()]
    return max(waits, default=None)
