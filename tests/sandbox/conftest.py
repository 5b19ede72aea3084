"""A sandbox for each test, the real slack_sdk clients against it, and one browser for the tests of a module."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Browser
from slack_sdk.errors import SlackApiError
from slack_sdk.socket_mode.aiohttp import SocketModeClient
from slack_sdk.socket_mode.request import SocketModeRequest
from slack_sdk.socket_mode.response import SocketModeResponse
from slack_sdk.web.async_client import AsyncWebClient

from bot.sandbox.http.api import METHODS
from bot.sandbox.hub import SCOPES
from bot.sandbox.state.records import SUBSCRIPTIONS
from tests.slack_page import launch_chromium
from tests.slack_sandbox import SandboxClient, open_sandbox
from tests.waiting import WAIT_S

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run the tests of a module in one loop, in which the browser is."""
    for item in items:
        if HERE in item.path.parents and item.get_closest_marker("asyncio"):
            item.add_marker(pytest.mark.asyncio(loop_scope="module"), append=False)


async def refusal(call: Awaitable[Any]) -> str:
    """Return the error name of a call."""
    with pytest.raises(SlackApiError) as caught:
        await call
    return str(caught.value.response["error"])


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def chromium() -> AsyncIterator[Browser]:
    async with launch_chromium() as started:
        yield started


@pytest_asyncio.fixture(loop_scope="module")
async def browser(chromium: Browser) -> AsyncIterator[Browser]:
    """Return a browser whose pages close with the test."""
    yield chromium
    for context in chromium.contexts:
        await context.close()


@pytest_asyncio.fixture(loop_scope="module")
async def box(tmp_path: Path) -> AsyncIterator[SandboxClient]:
    """Serve a workspace where the app has all scopes and gets all events."""
    scopes = sorted({scope for method in METHODS.values() for scope in method.scopes} | set(SCOPES))
    events = [*SUBSCRIPTIONS, "member_joined_channel", "reaction_added", "reaction_removed"]
    async with open_sandbox(tmp_path, scopes=scopes, subscriptions=events) as served:
        yield served


@pytest.fixture
def client(box: SandboxClient) -> AsyncWebClient:
    """Return the app's Web API client."""
    return AsyncWebClient(token=box.bot_token, base_url=box.api_url)


class Listener:
    """The real Socket Mode client, which stores its requests; ``answers`` decides about acknowledgements."""

    def __init__(self, box: SandboxClient) -> None:
        web = AsyncWebClient(token=box.bot_token, base_url=box.api_url)
        self.client = SocketModeClient(app_token=box.app_token, web_client=web, ping_interval=0.5)
        self.client.socket_mode_request_listeners.append(self._take)
        self.got: list[SocketModeRequest] = []
        self.answers: Callable[[SocketModeRequest], dict[str, Any] | bool | None] = lambda _request: None
        self._news = asyncio.Condition()

    async def _take(self, client: Any, request: SocketModeRequest) -> None:
        answer = self.answers(request)
        if answer is not False:
            payload = answer if isinstance(answer, dict) else None
            await client.send_socket_mode_response(SocketModeResponse(request.envelope_id, payload))
        async with self._news:
            self.got.append(request)
            self._news.notify_all()

    async def wait(self, predicate: Callable[[SocketModeRequest], object], count: int = 1) -> list[SocketModeRequest]:
        """Wait for so many requests that satisfy a predicate; return them."""

        def found() -> list[SocketModeRequest]:
            return [request for request in self.got if predicate(request)]

        async with self._news:
            await asyncio.wait_for(self._news.wait_for(lambda: len(found()) >= count), WAIT_S)
        return found()

    def events(self, kind: str) -> list[dict[str, Any]]:
        """Return the events of a type that came so far."""
        events = [request.payload["event"] for request in self.got if request.type == "events_api"]
        return [event for event in events if event["type"] == kind]


@pytest_asyncio.fixture(loop_scope="module")
async def listen() -> AsyncIterator[Callable[[SandboxClient], Awaitable[Listener]]]:
    """Connect the app over Socket Mode."""
    listeners: list[Listener] = []

    async def connect(box: SandboxClient) -> Listener:
        listener = Listener(box)
        listeners.append(listener)
        await listener.client.connect()
        await box.wait_connected()
        return listener

    yield connect
    for listener in listeners:
        await listener.client.close()


@pytest_asyncio.fixture(loop_scope="module")
async def listener(box: SandboxClient, listen: Callable[[SandboxClient], Awaitable[Listener]]) -> Listener:
    """Return a connected app."""
    return await listen(box)
