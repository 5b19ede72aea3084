"""Name Weaviate's servers and collections: nodes from URLs, collections from indexes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from knowledge.errors import StoreMisconfigured

_GRPC_PORT = 50051


@dataclass(frozen=True, slots=True)
class Address:
    """The address of one server's REST or gRPC interface. Its text has no password."""

    host: str
    port: int
    secure: bool

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'https' if self.secure else 'http'}://{host}:{self.port}"


@dataclass(frozen=True, slots=True)
class NodeAddress:
    """Both interfaces of one server."""

    http: Address
    grpc: Address

    def __str__(self) -> str:
        return f"{self.http} (gRPC at {self.grpc})"


def parse_node_addresses(urls: str, grpc_urls: str | None = None) -> tuple[NodeAddress, ...]:
    """Parse WEAVIATE_URL and WEAVIATE_GRPC_URL: one URL, or one for each node, separated by commas.

    Raises:
        StoreMisconfigured: a URL has no valid host, a node is named twice, or the lists differ in length.

    """
    https = [parse_address(url.strip(), 8080) for url in urls.split(",")]
    if grpc_urls is None:
        grpcs = [Address(http.host, _GRPC_PORT, http.secure) for http in https]
    else:
        grpcs = [parse_address(url.strip(), _GRPC_PORT) for url in grpc_urls.split(",")]
    if len(https) != len(grpcs):
        raise StoreMisconfigured(
            f"WEAVIATE_URL names {len(https)} nodes and WEAVIATE_GRPC_URL {len(grpcs)}: name the same nodes in both, "
            "in the same order."
        )
    _check_distinct("WEAVIATE_URL", https)
    _check_distinct("WEAVIATE_GRPC_URL", grpcs)
    return tuple(NodeAddress(http, grpc) for http, grpc in zip(https, grpcs, strict=True))


def _check_distinct(variable: str, addresses: Sequence[Address]) -> None:
    if len(set(addresses)) != len(addresses):
        raise StoreMisconfigured(f"{variable} names a node twice: name each node once (without a URL, gRPC is 50051).")


def parse_address(url: str, default_port: int) -> Address:
    """Parse a URL. Without a scheme it is plain HTTP; a password in it is dropped.

    Raises:
        StoreMisconfigured: it is not the URL of a host.

    """
    parts = urlsplit(url if "://" in url else f"http://{url}")
    try:
        port = parts.port
    except ValueError as error:
        raise StoreMisconfigured("Correct WEAVIATE_URL or WEAVIATE_GRPC_URL: a port is not a number.") from error
    if not parts.hostname or parts.scheme not in {"http", "https", "grpc", "grpcs"}:
        raise StoreMisconfigured(
            "WEAVIATE_URL and WEAVIATE_GRPC_URL must look like http://host:8080, or several of them with commas."
        )
    secure = parts.scheme in {"https", "grpcs"}
    return Address(parts.hostname, port or (443 if secure else default_port), secure)


def make_collection_name(index: str, namespace: str = "") -> str:
    """Return an index's collection: ``kvasir_1a2b`` is ``Kvasir_1a2b``, or ``Kvasir_acme_1a2b`` in a namespace.

    Weaviate's names begin with a capital. Namespaces have no underscore, nor has an index after its prefix. So two
    installations on one server never confuse each other's collections.

    Raises:
        StoreMisconfigured: a part is not a plain name.

    """
    prefix, _, rest = index.partition("_")
    if not (index.isascii() and index.isidentifier() and prefix.isalpha() and "_" not in rest):
        raise StoreMisconfigured("An index's name must be ASCII letters, digits and one underscore: set a plain one.")
    if namespace and not (namespace.isascii() and namespace.isalnum() and namespace.islower()):
        raise StoreMisconfigured("KVASIR_NAMESPACE must be small ASCII letters and digits, and begin with a letter.")
    name = "_".join(part for part in (prefix, namespace, rest) if part)
    return name[0].upper() + name[1:]


def parse_index_name(collection: str, namespace: str = "") -> str | None:
    """Return the index of a collection's name, or None if it is not in this namespace."""
    prefix, *parts = collection.split("_")
    if len(parts) != (2 if namespace else 1) or (namespace and parts[0] != namespace):
        return None
    return f"{prefix[:1].lower()}{prefix[1:]}_{parts[-1]}"
