"""The timeouts of requests to a server, apart from the client, whose libraries take long to import."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RequestTimeouts:
    """The timeouts of requests.

    ``first_token_s`` includes the engine's queue and prefill. ``read_s`` is the time between two deltas, ``answer_s``
    that of the whole answer, and ``info_s`` that of a query about the server itself. In a health check, SGLang itself
    waits for up to 20 s.
    """

    connect_s: float = 5.0
    first_token_s: float = 180.0
    read_s: float = 60.0
    answer_s: float = 900.0
    info_s: float = 10.0
    health_s: float = 30.0
