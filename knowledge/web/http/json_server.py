"""Post JSON to a model server that the operator chose, through the proxies and authorities of the configuration."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Mapping
from http import HTTPStatus
from typing import Final

import aiohttp
from yarl import URL

from knowledge.dates import parse_retry_after_s
from knowledge.errors import FetchError
from knowledge.web.http.connections import create_unguarded_connector
from knowledge.web.http.fetch import create_tls_context
from knowledge.web.http.guard import create_unchecked_target
from knowledge.web.http.settings import ServerAddress

_MAX_REPLY_BYTES: Final = 64_000_000
_TEMPORARY: Final = frozenset({408, 425, 429, 500, 502, 503, 504, 529})
_REASONS: Final = {
    401: "refuses the key",
    403: "refuses the key",
    404: "does not know this path or model",
    413: "says that the request is too large",
    429: "is busy",
}


class ServerFailure(Exception):
    """A call got no usable reply. The text is a phrase about the server, with neither the key nor the reply."""

    def __init__(
        self, reason: str, *, is_temporary: bool = False, retry_after_s: float | None = None, status: int = 0
    ) -> None:
        """``status`` is that of the reply, 0 without one."""
        super().__init__(reason)
        self.status = status
        self.is_temporary = is_temporary
        self.retry_after_s = retry_after_s


class JsonServer:
    """One server. The first call connects; calls after ``close`` connect again."""

    def __init__(self, address: ServerAddress) -> None:
        self.address = address
        self._session: aiohttp.ClientSession | None = None

    async def post(self, path: str, body: Mapping[str, object], *, within_s: float) -> bytes:
        """Return the body of the reply to one call, which is not repeated.

        Raises:
            ServerFailure: there is none within ``within_s``, or its status is not 200.

        """
        try:
            async with asyncio.timeout(within_s):
                return await self._send(f"{self.address.url}{path}", json.dumps(body).encode())
        except TimeoutError:
            raise ServerFailure(f"gave no answer within {within_s:g} s", is_temporary=True) from None
        except aiohttp.ClientSSLError:
            raise ServerFailure("has no certificate that Kvasir trusts (KVASIR_CA_FILE)") from None
        except (aiohttp.ClientConnectorError, aiohttp.ClientProxyConnectionError, FetchError):
            raise ServerFailure("cannot be reached", is_temporary=True) from None
        except (aiohttp.ClientError, OSError, ValueError):
            # Not chained: such an error may quote what was sent or received.
            raise ServerFailure("broke off its answer", is_temporary=True) from None

    async def close(self) -> None:
        """Close the connections; calls under way fail. It is safe to call twice."""
        if self._session is not None:
            session, self._session = self._session, None
            await session.close()

    async def _send(self, url: str, data: bytes) -> bytes:
        proxy = self.address.web.proxies.choose_proxy(create_unchecked_target(URL(url)))
        if self._session is None:
            tls = await asyncio.to_thread(create_tls_context, self.address.web)
            self._session = self._session or aiohttp.ClientSession(  # another task may have opened it meanwhile
                connector=create_unguarded_connector(proxy, tls),
                cookie_jar=aiohttp.DummyCookieJar(),
                timeout=aiohttp.ClientTimeout(total=None),
            )
        key = self.address.api_key
        async with self._session.post(
            url,
            data=data,
            headers={"Content-Type": "application/json"} | ({"Authorization": f"Bearer {key}"} if key else {}),
            proxy=URL(proxy.url) if proxy is not None and proxy.is_http else None,
            allow_redirects=False,  # a redirect must not get the key
        ) as response:
            if response.status != HTTPStatus.OK:
                why = _REASONS.get(response.status, "failed" if response.status in _TEMPORARY else "refuses the call")
                raise ServerFailure(
                    f"{why} (HTTP {response.status})",
                    is_temporary=response.status in _TEMPORARY,
                    retry_after_s=parse_retry_after_s(response.headers.get("Retry-After"), time.time()),
                    status=response.status,
                )
            pieces, size = list[bytes](), 0
            async for piece in response.content.iter_any():
                pieces.append(piece)
                size += len(piece)
                if size > _MAX_REPLY_BYTES:
                    raise ServerFailure(f"answers with more than {_MAX_REPLY_BYTES // 1_000_000} MB")
            return b"".join(pieces)
