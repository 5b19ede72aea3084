"""A call to a hosted service, its response, and when it may be made or repeated. Pure but for the clock."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

from yarl import URL

from knowledge.dates import parse_retry_after_s
from knowledge.sources.hosted.json_form import JsonObject


@dataclass(frozen=True, slots=True)
class ApiCall:
    """One request. Every call may be repeated: the POSTs of these services only read."""

    path: str
    """The path below the service's address; its parts are percent-encoded (``quote_part``)."""
    params: tuple[tuple[str, str], ...] = ()
    body: str | None = None
    """A call with a body is a POST."""
    media_type: str = "application/json"

    @classmethod
    def get(cls, path: str, **params: str | int) -> ApiCall:
        """Return a GET call."""
        return cls(path, tuple((name, str(value)) for name, value in params.items()))

    @classmethod
    def post(cls, path: str, body: JsonObject) -> ApiCall:
        """Return a POST call with a JSON body."""
        return cls(path, (), json.dumps(body, sort_keys=True))

    @classmethod
    def post_form(cls, path: str, **values: str) -> ApiCall:
        """Return a POST call with a form as its body."""
        return cls(path, (), urlencode(values), "application/x-www-form-urlencoded")

    def with_params(self, **params: str | int) -> ApiCall:
        """Return the same call with some parameters replaced."""
        return replace(self, params=tuple((dict(self.params) | dict(ApiCall.get("", **params).params)).items()))

    def with_body(self, **values: object) -> ApiCall:
        """Return the same POST with some members of its body replaced."""
        return replace(self, body=json.dumps({**json.loads(self.body or "{}"), **values}, sort_keys=True))

    def follow_link(self, link: str) -> ApiCall:
        """Return the call for the page that a link names: the same path with the link's parameters."""
        return ApiCall(self.path, tuple(parse_qsl(urlsplit(link).query)), self.body)


def quote_part(name: str) -> str:
    """Return a name percent-encoded as one part of a path."""
    return quote(name, safe="")


def quote_link(address: str) -> str:
    """Return an address from a service so that any text can hold it: ASCII, without quotes, spaces or brackets."""
    return quote(address, safe="%/:?#&=+,;@~!$*()-._")


def parse_secure_url(address: str) -> URL:
    """Return a service's address as a URL.

    Raises:
        ValueError: credentials may not be sent there, as it is not https (http is allowed for this machine only).

    """
    url = URL(address.rstrip("/"))
    local = url.host in {"127.0.0.1", "::1", "localhost"}
    if url.scheme not in ({"http", "https"} if local else {"https"}) or not url.host:
        raise ValueError("it does not begin with https://")
    if url.user or url.password or url.query_string or url.fragment:
        raise ValueError("it holds more than a host and a path")
    return url


@dataclass(frozen=True, slots=True)
class ServiceResponse:
    """A response with its whole body."""

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class RetryLimits:
    """How long Kvasir waits for a service."""

    call_s: float = 60.0
    """The time limit for one call with its redirects, from the connection to the last byte."""
    download_s: float = 300.0
    """The time limit for a call that downloads a document."""
    attempts: int = 6
    waits_s: float = 300.0
    """The limit for all waits between the attempts of a call; a service that asks for more gets no retry."""


QUESTION_PATIENCE: Final = RetryLimits(call_s=20.0, attempts=3, waits_s=10.0)
"""The limits for the calls of a question, which has a deadline of its own."""


class CallPacer:
    """Keeps calls to an average rate; calls of one second may come at once."""

    def __init__(self, per_second: float, sleep: Callable[[float], Awaitable[None]]) -> None:
        self._gap_s = 1.0 / per_second
        self._sleep = sleep
        self._due = float("-inf")

    async def wait_for_turn(self) -> None:
        """Wait until a call may start."""
        now = asyncio.get_running_loop().time()
        self._due = max(self._due + self._gap_s, now - 1.0)
        if self._due > now:
            await self._sleep(self._due - now)


def compute_wait_s(response: ServiceResponse | str, attempt: int, now: float, chance: float) -> float:
    """Return how long to wait before the next attempt: what the service asks for, else 1, 2, 4 … seconds.

    ``chance`` (0 to 1) adds jitter of up to half of the wait.
    """
    retry_after_s = None if isinstance(response, str) else parse_retry_after_s(response.headers.get("Retry-After"), now)
    base = float(2 ** (attempt - 1)) if retry_after_s is None else retry_after_s
    return base + chance * max(base / 2 if retry_after_s is None else min(base / 2, 5.0), 0.1)
