"""What Slack allows: the calls of one answer, and of a hundred at once, in a workspace with Slack's exact limits."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from pathlib import Path

import pytest

from bot.answering.events import AnswerEvent, Question, Sources, Step, Text
from bot.slack.posting.message_sink import SlackCapabilities
from bot.slack.turns.settings import TurnSettings
from bot.slack.wire.rate_limits import RateLimits
from tests.slack.running_bot import PASSAGE, RunningBot, make_finished, run_bot_in_sandbox
from tests.virtual_time import VirtualTimeLoop, run_in_virtual_time

pytestmark = pytest.mark.slow

TOKENS, TOKENS_PER_SENTENCE, TOKENS_PER_S = 600, 20, 40
MAX_CALLS = 12
AT_ONCE = 100


async def write_600_tokens(_question: Question) -> AsyncGenerator[AnswerEvent]:
    yield Step("is searching the documents…", "search")
    yield Sources((PASSAGE,))
    yield Step("is thinking…", "think")
    await asyncio.sleep(3.0)
    yield Step("is writing and checking the answer…", "write")
    for number in range(TOKENS // TOKENS_PER_SENTENCE):
        await asyncio.sleep(TOKENS_PER_SENTENCE / TOKENS_PER_S)
        yield Text("Every member of staff has thirty days of leave a year, and asks for them in the portal [1]. ",
                   (PASSAGE,) if number == 0 else ())  # fmt: skip
    yield make_finished(PASSAGE)


async def ask_all(bot: RunningBot, channels: Sequence[str]) -> None:
    """Ask once in each of the channels at the same time, and wait for complete answers."""
    question_ids = set(await asyncio.gather(*(bot.ask(channel=channel) for channel in channels)))
    assert bot.sandbox.hub is not None
    workspace = bot.sandbox.hub.workspace
    async with asyncio.timeout(6_000.0):  # of virtual time, of which a busy machine lets much pass
        while question_ids:
            await asyncio.sleep(1.0)
            complete = [one.metadata for found in workspace.messages.values() for one in found.values() if one.metadata]
            question_ids -= {one["event_payload"].get("question") for one in complete}
    await bot.wait_until_idle()


def test_calls_of_answers_stay_within_slacks_limits(tmp_path: Path) -> None:
    """Half of the hundred questions come in one channel."""

    async def answer(loop: VirtualTimeLoop) -> None:
        capabilities = SlackCapabilities(now=loop.time, limits=RateLimits(now=loop.time))
        settings = TurnSettings(drain_s=0.2, heartbeat_s=30.0)
        async with run_bot_in_sandbox(tmp_path, script=write_600_tokens, capabilities=capabilities,
                                      settings=settings, sandbox_options={"pace": "exact"}) as bot:  # fmt: skip
            assert bot.sandbox.hub is not None
            loop.clocks.append(bot.sandbox.hub.clock.advance)
            await ask_all(bot, ["#general"])  # what Slack says of the channel is known now
            before = len(await bot.sandbox.requests())
            await ask_all(bot, ["#general"])
            calls = [call["method"] for call in (await bot.sandbox.requests())[before:]]
            assert len(calls) <= MAX_CALLS, calls

            rooms = [f"C0MANY{number:04}" for number in range(AT_ONCE // 2)]
            await bot.sandbox.world(
                channels=[
                    {"id": room, "name": room.lower(), "kind": "channel", "members": ["U0ADA00001", "U0KVASIR01"]}
                    for room in rooms
                ]
            )
            await ask_all(bot, [*rooms, *["#general"] * (AT_ONCE - len(rooms))])
            refused = [call["method"] for call in await bot.sandbox.requests() if call["error"]]
            assert refused == []

    run_in_virtual_time(answer)
