"""Call the server's REST interface at the first of its addresses that answers.

Every call can be repeated: a read, or a write by fixed ids. So a call whose node fails moves to the next one.
"""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus

import aiohttp

from knowledge.errors import StoreMisconfigured, StoreUnavailable
from knowledge.stores.common import enforce_deadline
from knowledge.stores.opensearch.dialects import Dialect, Json
from knowledge.stores.opensearch.errors import ServerErrors
from knowledge.web.http.fetch import create_tls_context
from knowledge.web.http.settings import WebSettings

_PAUSE_S = 0.5
_ELASTIC = "X-Elastic-Product"
"""The header in which every answer of Elasticsearch names it."""


@dataclass(frozen=True, slots=True)
class Login:
    """How Kvasir shows who it is: by a key, by a name and a password, or not at all.

    Raises:
        StoreMisconfigured: both are set, one of name and password is missing, or the name has a colon.

    """

    dialect: Dialect
    api_key: str = field(default="", repr=False)
    user: str = ""
    password: str = field(default="", repr=False)

    def __post_init__(self) -> None:
        name = self.dialect.prefix
        if self.api_key and self.user:
            raise StoreMisconfigured(f"{name}_API_KEY and {name}_USER are both set. Unset one of them.")
        if bool(self.user) != bool(self.password):
            raise StoreMisconfigured(f"{name}_USER and {name}_PASSWORD belong together. Set both, or none.")
        if ":" in self.user:
            raise StoreMisconfigured(f"{name}_USER has a colon, which no name may have. Correct it.")

    @property
    def headers(self) -> dict[str, str]:
        """Return the headers that every call has."""
        if self.user:
            return {"Authorization": aiohttp.encode_basic_auth(self.user, self.password, "utf-8")}
        return {"Authorization": f"ApiKey {self.api_key}"} if self.api_key else {}


@dataclass(frozen=True, slots=True)
class ServerCall:
    """One call. Its path begins with the slash; a body is sent as it is."""

    method: str
    path: str
    body: Json | bytes | None = None
    parameters: tuple[tuple[str, str], ...] = ()


class ServerApi:
    """The REST interface of one cluster."""

    def __init__(self, urls: Sequence[str], login: Login, errors: ServerErrors, web: WebSettings) -> None:
        self._urls = [url.rstrip("/") for url in urls]
        self._login = login
        self._errors = errors
        self._web = web
        self._session: aiohttp.ClientSession | None = None

    async def call(self, call: ServerCall, seconds: float) -> Json:
        """Return the answer of the first address that gives one.

        Raises:
            StoreUnavailable: none answered in time.
            StoreError: the server refused.

        """
        async with enforce_deadline(seconds, self._errors.make_timeout_text(seconds)):
            return await self._call_nodes(call, seconds)

    async def change(self, call: ServerCall, seconds: float, check: Callable[[Json], None] = lambda _: None) -> None:
        """Make a change that can be repeated; wait ``seconds`` for a server that is starting or overloaded.

        ``check`` raises an error if the answer says that a part of the change failed.

        Raises:
            StoreUnavailable: no address accepted it in time.
            StoreError: the server refused.

        """
        failure: StoreUnavailable | None = None
        try:
            async with asyncio.timeout(seconds):
                while True:
                    try:
                        check(await self._call_nodes(call, seconds))
                    except StoreUnavailable as error:
                        failure = error
                    else:
                        return
                    await asyncio.sleep(_PAUSE_S)
        except TimeoutError:
            raise failure or StoreUnavailable(self._errors.make_timeout_text(seconds)) from None

    async def close(self) -> None:
        """Close the connections. It is safe to call twice."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def _call_nodes(self, call: ServerCall, seconds: float) -> Json:
        """Try each address for an equal part of the time. The one that answers is the first one next time."""
        for url in list(self._urls):
            try:
                answer = await self._call_node(url, call, seconds / len(self._urls))
            except StoreUnavailable as error:
                failure = error
            else:
                self._urls.sort(key=lambda one, best=url: one != best)  # type: ignore[misc]
                return answer
        raise failure

    async def _call_node(self, url: str, call: ServerCall, seconds: float) -> Json:
        try:
            async with asyncio.timeout(seconds):
                try:
                    return await self._send(url, call)
                except aiohttp.ServerDisconnectedError:  # by a server that has restarted since the last call
                    return await self._send(url, call)
        except aiohttp.ClientSSLError as error:
            raise self._errors.make_untrusted() from error
        except TimeoutError:
            raise StoreUnavailable(self._errors.make_timeout_text(seconds)) from None
        except (aiohttp.ClientError, OSError) as error:
            raise self._errors.make_unreachable() from error

    async def _send(self, url: str, call: ServerCall) -> Json:
        session = await self._open_session()
        body = call.body if isinstance(call.body, bytes | None) else json.dumps(call.body).encode()
        async with session.request(
            call.method, url + call.path, data=body, params=call.parameters, allow_redirects=False
        ) as answer:
            return self._read_answer(answer, await answer.read())

    async def _open_session(self) -> aiohttp.ClientSession:
        tls: ssl.SSLContext | bool = True
        if self._session is None and any(url.startswith("https:") for url in self._urls):
            tls = await asyncio.to_thread(create_tls_context, self._web)
        if self._session is None:
            headers = {"Content-Type": "application/json", "Accept-Encoding": "identity", **self._login.headers}
            timeout = aiohttp.ClientTimeout(total=None)  # the callers limit the time
            connector = aiohttp.TCPConnector(ssl=tls)
            self._session = aiohttp.ClientSession(connector=connector, headers=headers, timeout=timeout)
        return self._session

    def _read_answer(self, answer: aiohttp.ClientResponse, body: bytes) -> Json:
        try:
            content = json.loads(body)
        except ValueError:
            content = None
        if answer.status < HTTPStatus.MULTIPLE_CHOICES and isinstance(content, dict):
            if (_ELASTIC in answer.headers) != self._errors.dialect.is_elastic:
                raise self._errors.make_foreign()
            return content
        if answer.status < HTTPStatus.BAD_REQUEST:
            raise self._errors.make_foreign()
        raise self._errors.translate(answer.status, content.get("error") if isinstance(content, dict) else None)
