"""By which authorities a Weaviate's certificates are checked: the public ones, and a company's own."""

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
    """One set of authorities, in the two forms that REST and gRPC want."""

    rest: ssl.SSLContext = field(repr=False)
    channel: grpc.ChannelCredentials = field(repr=False)

    def given_to(self, client: WeaviateAsyncClient) -> None:
        """Let a client that is not connected yet check REST's certificates by it.

        The client has no option for that: it takes what httpx trusts. What it would mount for proxies, which it has
        none of, is where its connections can be given a context.
        """

        def mounts(_colour: object) -> dict[str, httpx.AsyncHTTPTransport]:
            return {"https://": httpx.AsyncHTTPTransport(verify=self.rest, trust_env=False)}

        client._connection._make_mounts = mounts  # type: ignore[assignment,method-assign]  # noqa: SLF001


async def load_trust_store(ca_file: Path | None) -> TrustStore | None:
    """Return what a company's file of certificates adds to the public authorities; None where there is none.

    Raises:
        OSError: the file cannot be read, or holds no certificate.

    """
    return None if ca_file is None else await asyncio.to_thread(_load_certificates, ca_file)


def _load_certificates(ca_file: Path) -> TrustStore:
    context = ssl.create_default_context()
    context.load_verify_locations(cafile=ca_file)
    roots = Path(certifi.where()).read_bytes() + b"\n" + ca_file.read_bytes()
    return TrustStore(context, grpc.ssl_channel_credentials(root_certificates=roots))
