"""Whenever an answer is cut short: no stream stays open, nothing is doubled, the answer's source is closed."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import AsyncGenerator, AsyncIterator
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from slack_bolt.app.async_app import AsyncApp

from bot.answering.events import AnswerEvent, Question, Text
from bot.slack.errors import SlackError, SlackUnavailable
from bot.slack.transport.socket_mode import SocketModeClient
from bot.slack.transport.web_client import make_web_client
from bot.slack.turns.settings import TurnSettings
from bot.storage.questions import QuestionKey
from tests.slack.room import Bot, body, finished, house
from tests.slack_sandbox import TEAM_ID


async def steps(number: int) -> None:
    for _ in range(number):
        await asyncio.sleep(0)


async def talking(_question: Question) -> AsyncGenerator[AnswerEvent]:
    for n in range(12):
        yield Text(f"Word {n}. ")
        await asyncio.sleep(0.004)
    yield finished()


async def _open_streams(bot: Bot) -> list[str]:
    return [m["ts"] for m in await bot.box.messages() if m.get("streaming") or m.get("stream") == "streaming"]


@pytest.mark.slow
@pytest.mark.parametrize("how", ["deleted", "stopped", "edited"])
async def test_cut_short_at_any_moment(tmp_path: Path, how: str) -> None:
    """Twenty answers, each cut a little later than the one before, from before its first call to after its last."""
    async with house(tmp_path, "socket", box_options={"pace": "off"}) as bot:
        bot.answerer.script = talking
        turns = bot.app._turns
        asked = []
        for number in range(20):
            ts = await bot.ask(f"@Kvasir question {number}")
            asked.append(ts)
            key = QuestionKey(TEAM_ID, "C0GENERAL1", ts)
            await bot.box.wait_until(
                lambda ts=ts: bot.answerer.questions and bot.answerer.questions[-1].id.endswith(ts)
            )
            await asyncio.sleep(0.003 * number)
            await steps(number % 5)
            if how == "deleted":
                await turns.handle_deletion(key)
            elif how == "edited":
                await turns.handle_edit(key, f"<@U0KVASIR01> edited {number}")
            else:
                turns.handle_stop("C0GENERAL1", ts)
            await bot.settled()
        assert bot.answerer.closed == len(bot.answerer.questions)
        assert not await _open_streams(bot)
        sessions = (await bot.box.state())["sessions"]
        assert {session["status"] for session in sessions} <= {"active"}
        for ts in asked:
            words = " ".join(body(m) for m in await bot.answers(ts)).replace("_", " ").split()
            numbers = [int(word.rstrip(".")) for before, word in itertools.pairwise(words) if before == "Word"]
            assert numbers == list(range(len(numbers)))
            if how == "edited":
                assert len(numbers) == 12


@pytest.mark.slow
async def test_a_deadline_at_any_moment_doubles_nothing(tmp_path: Path) -> None:
    settings = TurnSettings(deadline_s=0.03, drain_s=0.2, heartbeat_s=0.1)
    async with house(tmp_path, "socket", settings=settings, box_options={"pace": "off"}) as bot:
        bot.answerer.script = talking
        asked = [await bot.ask(f"@Kvasir question {number}") for number in range(40)]
        for ts in asked:
            await bot.answer(ts, "")
        await bot.settled()
        assert not await _open_streams(bot)
        for ts in asked:
            words = " ".join(body(m) for m in await bot.answers(ts)).replace("_", " ").split()
            numbers = [int(word.rstrip(".")) for before, word in itertools.pairwise(words) if before == "Word"]
            assert numbers == list(range(len(numbers)))


@contextlib.asynccontextmanager
async def quick_runner(bot: Bot, refused: list[SlackError]) -> AsyncIterator[SocketModeClient]:
    """Connect a bot by a runner that looks often."""
    first = bot.app._runner
    assert isinstance(first, SocketModeClient)
    await first.close()
    runner = SocketModeClient(
        first._bolt, bot.box.app_token, first._client, on_refused=refused.append, ping_s=0.1, look_s=0.05
    )
    await runner.start()
    try:
        yield runner
    finally:
        await runner.close()


async def test_socket_mode_that_went_quiet_comes_back(tmp_path: Path) -> None:
    """Its tasks ended, or its socket closed without anybody noticing."""
    async with house(tmp_path, "socket") as bot, quick_runner(bot, []) as runner:
        client = runner._handler.client  # type: ignore[union-attr]
        for task in (client.current_session_monitor, client.message_receiver):
            assert task is not None
            task.cancel()
        await bot.answer(await bot.ask("@Kvasir one"))
        await bot.box.faults(disconnect="refresh_requested")
        await bot.answer(await bot.ask("@Kvasir two"))


async def test_an_app_token_that_is_revoked_meanwhile_is_told(tmp_path: Path) -> None:
    refused: list[SlackError] = []
    async with house(tmp_path, "socket") as bot, quick_runner(bot, refused):
        await bot.box.faults(revoke=["app"])
        await bot.box.wait_until(lambda: refused)
        assert "SLACK_APP_TOKEN" in str(refused[0])


async def test_a_websocket_that_never_opens_is_told_at_the_start() -> None:
    """A network that lets HTTPS through and wss not: Slack answers, and the address that it names is not reached."""

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
