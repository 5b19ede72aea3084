"""Tests of the Socket Mode connection: lost, refused, and never opened."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from slack_bolt.app.async_app import AsyncApp

from bot.slack.wire.errors import SlackError, SlackUnavailable
from bot.slack.wire.transport.socket_mode import SocketModeClient
from bot.slack.wire.transport.web_client import make_web_client
from tests.slack.running_bot import RunningBot, run_bot_in_sandbox


@contextlib.asynccontextmanager
async def connect_quickly(bot: RunningBot, refused: list[SlackError]) -> AsyncIterator[SocketModeClient]:
    """Connect a bot with short intervals of the watchdog."""
    first = bot.app._runner
    assert isinstance(first, SocketModeClient)
    await first.close()
    runner = SocketModeClient(
        first._bolt, bot.sandbox.app_token, first._client, on_refused=refused.append, ping_s=0.1, check_every_s=0.05
    )
    await runner.start()
    try:
        yield runner
    finally:
        await runner.close()


async def test_lost_connection_is_reopened(tmp_path: Path) -> None:
    """The SDK's tasks have ended, or Slack has closed the socket."""
    async with run_bot_in_sandbox(tmp_path) as bot, connect_quickly(bot, []) as runner:
        client = runner._handler.client  # type: ignore[union-attr]
        for task in (client.current_session_monitor, client.message_receiver):
            assert task is not None
            task.cancel()
        await bot.wait_for_answer(await bot.ask("@Kvasir one"))
        await bot.sandbox.faults(disconnect="refresh_requested")
        await bot.wait_for_answer(await bot.ask("@Kvasir two"))


async def test_revoked_app_token_is_reported(tmp_path: Path) -> None:
    refused: list[SlackError] = []
    async with run_bot_in_sandbox(tmp_path) as bot, connect_quickly(bot, refused):
        await bot.sandbox.faults(revoke=["app"])
        await bot.sandbox.wait_until(lambda: refused)
        assert "SLACK_APP_TOKEN" in str(refused[0])


async def test_start_reports_websocket_that_does_not_open() -> None:
    """The network allows HTTPS but not wss, so the address from Slack's answer cannot be reached."""

    async def opened(_request: web.Request) -> web.Response:
        return web.json_response({"ok": True, "url": "ws://127.0.0.1:9/link/?ticket=abc"})

    app = web.Application()
    app.router.add_post("/api/apps.connections.open", opened)
    async with TestServer(app) as server, aiohttp.ClientSession() as session:
        client = make_web_client(str(server.make_url("/api/")), "xoxb-1", session)
        runner = SocketModeClient(AsyncApp(client=client), "xapp-1", client, on_refused=lambda _: None, start_s=0.3)
        try:
            with pytest.raises(SlackUnavailable, match=r"websocket did not open within 0\.3 s\. Check"):
                await runner.start()
        finally:
            await runner.close()
