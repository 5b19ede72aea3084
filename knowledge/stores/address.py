"""How a Weaviate server and its collections are named: addresses out of URLs, collections out of indexes."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit

from knowledge.errors import StoreMisconfigured


@dataclass(frozen=True, slots=True)
class Address:
    """Where one side of the server (REST or gRPC) listens; as text it holds no password."""

    host: str
    port: int
    secure: bool

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'https' if self.secure else 'http'}://{host}:{self.port}"


def address(url: str, default_port: int) -> Address:
    """Parse a URL; one without a scheme is plain HTTP, and what it may hold besides (a password) is left out.

    Raises:
        StoreMisconfigured: it is no URL of a host.

    """
    parts = urlsplit(url if "://" in url else f"http://{url}")
    try:
        port = parts.port
    except ValueError as error:
        raise StoreMisconfigured("WEAVIATE_URL or WEAVIATE_GRPC_URL has a port that is no number.") from error
    if not parts.hostname or parts.scheme not in {"http", "https", "grpc", "grpcs"}:
        raise StoreMisconfigured("WEAVIATE_URL and WEAVIATE_GRPC_URL must look like http://host:8080.")
    secure = parts.scheme in {"https", "grpcs"}
    return Address(parts.hostname, port or (443 if secure else default_port), secure)


def collection_name(index: str) -> str:
    """Weaviate's names begin with a capital."""
    if not (index.isascii() and index.isidentifier() and index[0].isalpha()):
        raise StoreMisconfigured("An index's name must be ASCII letters, digits and underscores: set a plain one.")
    return index[0].upper() + index[1:]


def index_name(collection: str) -> str:
    """Return the index of a collection's name."""
    return collection[0].lower() + collection[1:]
