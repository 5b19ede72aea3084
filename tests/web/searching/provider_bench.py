"""The bench of a provider: its server at the wire, and the provider itself."""

from __future__ import annotations

from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

from knowledge.web.http.fetch import Fetcher
from knowledge.web.http.guard import build_rules
from knowledge.web.http.settings import WebSettings
from knowledge.web.searching.brave import Brave
from knowledge.web.searching.exa import Exa
from knowledge.web.searching.provider import SearchProvider
from knowledge.web.searching.searxng import Searxng
from knowledge.web.searching.serper import Serper
from knowledge.web.searching.tavily import Tavily
from tests.web.searching.fake_providers import KEY, Fake, FakeBrave, FakeExa, FakeSearxng, FakeSerper, FakeTavily


@dataclass(frozen=True)
class Kind:
    """The classes of a provider and its server, and what the provider's answers lack."""

    fake: type[Fake]
    provider: Any
    names_refusal: bool = True
    """Whether its status distinguishes a wrong key from other problems."""
    keyed: bool = True


KINDS = {
    "searxng": Kind(FakeSearxng, Searxng, keyed=False),
    "brave": Kind(FakeBrave, Brave, names_refusal=False),
    "tavily": Kind(FakeTavily, Tavily),
    "exa": Kind(FakeExa, Exa),
    "serper": Kind(FakeSerper, Serper),
}


@dataclass
class Bench:
    """A provider and its server."""

    kind: Kind
    fake: Fake
    stack: AsyncExitStack

    def provider(self, key: str = KEY, *, also: int | None = None) -> SearchProvider:
        """Return a provider that may connect to its server and the port ``also``; it is closed after the test."""
        ports = [self.fake.port, also] if also else [self.fake.port]
        fetcher = Fetcher(WebSettings(), build_rules([f"127.0.0.1:{port}" for port in ports]))
        if self.kind.keyed:
            made: SearchProvider = self.kind.provider(key, fetcher, self.fake.url)
        else:
            made = self.kind.provider(self.fake.url.removesuffix("/search"), fetcher)
        self.stack.push_async_callback(made.close)
        return made
