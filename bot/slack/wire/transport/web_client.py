"""Opens clients of Slack's Web API on one HTTP session."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import AsyncIterator, Mapping
from typing import Any
from urllib.parse import urlsplit
from urllib.request import proxy_bypass

import aiohttp
import structlog
from slack_sdk.web.async_client import AsyncWebClient

from bot.http.loopback import is_loopback
from bot.slack.wire.settings import SLACK_API_URL, SlackSettings
from bot.slack.wire.transport.web_api import CALL_TIMEOUT_S, SlackWebApi

_log = structlog.get_logger(__name__)

_MAX_CONNECTIONS = 64


@contextlib.asynccontextmanager
async def open_web_api(settings: SlackSettings) -> AsyncIterator[SlackWebApi]:
    """Open the Web API without the rest of the Slack side."""
    async with open_http_session() as session:
        yield SlackWebApi(make_web_client(settings.api_url, settings.bot_token, session))


@contextlib.asynccontextmanager
async def open_http_session() -> AsyncIterator[aiohttp.ClientSession]:
    """Open the HTTP session of all calls to Slack."""
    timeout = aiohttp.ClientTimeout(total=CALL_TIMEOUT_S, connect=5.0)
    async with aiohttp.ClientSession(
        timeout=timeout, connector=aiohttp.TCPConnector(limit=_MAX_CONNECTIONS)
    ) as session:
        yield session


def make_web_client(api_url: str | None, token: str | None, session: aiohttp.ClientSession | None) -> AsyncWebClient:
    """Return a Web API client on a shared session; ``SlackWebApi`` retries, so the client does not."""
    base_url = api_url or SLACK_API_URL
    client = AsyncWebClient(
        token=token, base_url=base_url, session=session, logger=logging.getLogger("slack_sdk"), retry_handlers=[]
    )
    if is_loopback(base_url) or proxy_bypass(urlsplit(base_url).hostname or ""):
        client.proxy = None
    return client


async def post_to_response_url(client: AsyncWebClient, url: str, payload: Mapping[str, Any]) -> bool:
    """Post an answer to an interaction's response URL; return False if Slack refuses it."""
    return await _post(client, url, json=dict(payload))


async def upload_bytes(client: AsyncWebClient, url: str, data: bytes) -> bool:
    """Send the content of a file to the address that Slack gave for it; return False if that fails."""
    return await _post(client, url, data=data)


async def _post(client: AsyncWebClient, url: str, **body: Any) -> bool:  # noqa: ANN401  # aiohttp's own
    if client.session is None:
        return False
    try:
        async with client.session.post(url, proxy=client.proxy, **body) as answer:
            return answer.ok
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        _log.info("post to slack failed", content=next(iter(body)), error=type(error).__name__)
        return False
