"""Choose the authorities that check Weaviate's certificates: the public ones and the company's own."""

from __future__ import annotations

import asyncio
import ssl
from dataclasses import dataclass, field
from pathlib import Path

import certifi
import grpc  # type: ignore[import-untyped]
import httpx
from weaviate import WeaviateAsyncClient


@dataclass(frozen=True, slots=True)
class TrustStore:
    """One set of authorities, in the forms that REST and gRPC need."""

    rest: ssl.SSLContext = field(repr=False)
    channel: grpc.ChannelCredentials = field(repr=False)

    def apply_to(self, client: WeaviateAsyncClient) -> None:
        """Make a client that is not connected yet check REST's certificates with these authorities.

        The client has no option for that and uses the defaults of httpx. Its mounts for proxies, which it has none of,
        accept connections with a context.
        """

        def make_mounts(_colour: object) -> dict[str, httpx.AsyncHTTPTransport]:
            return {"https://": httpx.AsyncHTTPTransport(verify=self.rest, trust_env=False)}

        client._connection._make_mounts = make_mounts  # type: ignore[assignment,method-assign]  # noqa: SLF001


async def load_trust_store(ca_file: Path | None) -> TrustStore | None:
    """Return the public authorities with those of a company's file, or None without a file.

    Raises:
        OSError: the file cannot be read, or has no certificate.

    """
    return None if ca_file is None else await asyncio.to_thread(_load_certificates, ca_file)


def _load_certificates(ca_file: Path) -> TrustStore:
    context = ssl.create_default_context()
    context.load_verify_locations(cafile=ca_file)
    roots = Path(certifi.where()).read_bytes() + b"\n" + ca_file.read_bytes()
    return TrustStore(context, grpc.ssl_channel_credentials(root_certificates=roots))
