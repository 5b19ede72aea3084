"""Tests of threads that are longer than a few pages."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.answering.events import Exchange, Quote
from bot.slack.conversations.long_thread import ENOUGH, MAX_CALLS, PAGE_SIZE, Payload, read_long_thread
from bot.slack.conversations.thread_loader import ThreadMessage, build_history
from bot.slack.wire.events import BotUser
from tests.slack.running_bot import RunningBot

NOW = 1_800_000_000.0
YEAR_S = 365 * 86_400.0


class FakeThread:
    """A thread that is read by pages, as ``conversations.replies`` returns it."""

    def __init__(self, times: Sequence[float], page_size: int = PAGE_SIZE) -> None:
        self.messages = [{"ts": f"{time:.6f}"} for time in sorted(times)]
        self.page_size = page_size
        self.calls = 0

    async def fetch(self, low: str | None, high: str | None) -> tuple[list[Payload], bool]:
        self.calls += 1
        root, *others = self.messages
        window = [m for m in others if float(low or 0) <= float(m["ts"]) <= float(high or "inf")]
        return [root, *window[: self.page_size]], len(window) > self.page_size


@given(st.integers(1, 12_000), st.sampled_from([1.0, 0.2, 5.0, 12.0]))
async def test_first_and_newest_messages_are_read(count: int, bend: float) -> None:
    """``bend`` moves the messages to the beginning of a year, or to its end."""
    thread = FakeThread([NOW - YEAR_S + YEAR_S * (n / count) ** (1 / bend) + n * 1e-4 for n in range(count)])
    read = await read_long_thread(thread.fetch, NOW)
    assert thread.calls <= MAX_CALLS
    assert read[0] == thread.messages[0]
    assert read == thread.messages or (len(read) > ENOUGH and read[1:] == thread.messages[1 - len(read) :])


@given(st.lists(st.integers(0, 3_000), min_size=1, max_size=60, unique=True))
async def test_thread_of_few_pages_is_read_completely(times: list[int]) -> None:
    thread = FakeThread([NOW + time / 10 for time in times], page_size=20)
    assert await read_long_thread(thread.fetch, NOW + 300) == thread.messages


def test_long_discussion_before_an_answer_keeps_first_and_newest_quotes() -> None:
    messages = [ThreadMessage(f"{n}.0", "U2", f"{n} " + "x" * 97, is_ours=False) for n in range(1_000)]
    (exchange,) = build_history(messages, {}, BotUser("T1", "U0KVASIR", "B0KVASIR"), "U1")
    assert exchange.quotes[0].text.startswith("0 ")
    assert exchange.quotes[-1].text.startswith("999 ")
    assert len(exchange.messages) <= 24_000


@pytest.mark.slow
async def test_question_in_a_very_long_thread_has_its_newest_messages(bot: RunningBot) -> None:
    root = await bot.ask("The build is red since noon.")
    for n in range(2_100):
        await bot.sandbox.say("bo", "#general", f"m{n}", thread_ts=root)
    question = await bot.ask("@Kvasir who mends it?", thread_ts=root)
    await bot.wait_for_answer(root)
    (exchange,) = bot.answerer.questions[0].history
    assert exchange == Exchange("The build is red since noon.", "", exchange.quotes)
    assert exchange.quotes[-1] == Quote("m2099", "bo")
    calls = await bot.sandbox.requests("conversations.replies")
    assert len(calls) <= MAX_CALLS
    assert question > root
