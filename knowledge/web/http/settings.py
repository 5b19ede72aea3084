"""Settings of HTTP."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path

from yarl import URL

from knowledge.web.http.guard import DEFAULT_PORTS
from knowledge.web.http.proxies import Proxies


@dataclass(frozen=True, slots=True)
class FetchLimits:
    """Limits of one fetch, including its redirects."""

    total_s: float = 30.0
    """The seconds from the call to the last byte."""
    idle_s: float = 10.0
    """The seconds between two bytes, and for connecting."""
    wire_bytes: int = 20_000_000
    """The most bytes of the body as it is transferred, compressed or not."""
    body_bytes: int = 50_000_000
    """The most bytes of the decompressed body."""
    max_headers: int = 100
    header_bytes: int = 8_190
    """The most bytes of one header, and of the status line."""
    max_redirects: int = 5


@dataclass(frozen=True, slots=True)
class WebSettings:
    """How Kvasir connects to the web."""

    proxies: Proxies = field(default_factory=Proxies)
    ports: Collection[int] = DEFAULT_PORTS
    contact: str = ""
    """A page or an e-mail address of those who run Kvasir, for the owners of sites; part of the User-Agent."""
    ca_file: Path | None = None
    """A PEM file with the company's own certificate authorities, trusted in addition to the system's."""
    limits: FetchLimits = field(default_factory=FetchLimits)

    @property
    def user_agent(self) -> str:
        """Return the User-Agent header."""
        return f"Kvasir/0.1 ({f'+{self.contact}' if self.contact else 'reads for the search of one company'})"


@dataclass(frozen=True, slots=True)
class ServerAddress:
    """A server's address, and the key that it wants."""

    url: str
    api_key: str | None = field(default=None, repr=False)
    web: WebSettings = field(default_factory=WebSettings, repr=False)

    @property
    def host(self) -> str:
        """Return host and port, for messages."""
        url = URL(self.url)
        return f"{url.host}:{url.port}"
