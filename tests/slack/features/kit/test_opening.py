"""Tests that modals open in time: whatever takes long, Slack's permission lasts three seconds from the press on."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from slack_sdk.web.async_client import AsyncWebClient

from bot import slack as bot_slack
from bot.config.configuration import Access
from bot.messages.message import Message
from bot.slack.features.kit.opening import build_sentence_view, open_modal
from bot.slack.features.settings.personal_settings import OPEN_SETTINGS
from bot.slack.wire.interactions import ButtonPress
from bot.slack.wire.transport.web_api import SlackWebApi
from bot.storage.answers import erase_answer
from bot.storage.feedback import Feedback, Vote
from bot.storage.turns.questions import QuestionKey
from tests.slack.features.verified.test_verified_answers import answer_with_source, list_buttons
from tests.slack.running_bot import RunningBot, run_bot_in_sandbox, wait_for_ephemeral
from tests.slack.workspace.home_views import press_in_home, read_home
from tests.slack_sandbox import TEAM_ID, Json, SandboxClient, is_loading, open_sandbox

pytestmark = pytest.mark.slow

ADA, BO = "U0ADA00001", "U0BO000002"
READY = Message("The content.", "内容。")
Press = Callable[[RunningBot, Json], Awaitable[None]]


@pytest.fixture
async def bot(tmp_path: Path) -> AsyncIterator[RunningBot]:
    access = {"access": Access(frozenset({ADA}))}
    async with run_bot_in_sandbox(tmp_path, script=answer_with_source, dependencies=access) as running:
        yield running


@contextlib.asynccontextmanager
async def hang_database(bot: RunningBot) -> AsyncIterator[Callable[[], None]]:
    """Let every transaction wait, as behind a slow disk, until the yielded function is called."""
    release = threading.Event()
    hanging = asyncio.create_task(bot.ledger.database.write(lambda _: release.wait(50)))
    await asyncio.sleep(0)
    try:
        yield release.set
    finally:
        release.set()
        await hanging


async def press_verify(bot: RunningBot, answer: Json) -> None:
    await bot.sandbox.press("ada", "#general", answer["ts"], list_buttons(answer)["Verify…"])


async def press_bad(bot: RunningBot, answer: Json) -> None:
    await bot.sandbox.press("ada", "#general", answer["ts"], "kvasir:rate", value="negative")


async def press_settings(bot: RunningBot, _answer: Json) -> None:
    await press_in_home(bot, "ada", OPEN_SETTINGS)


async def ask_for_channel(bot: RunningBot, _answer: Json) -> None:
    await bot.sandbox.command("ada", "#random", "/kb channel")


async def wait_for_opened(bot: RunningBot, count: int = 1) -> Json:
    """Wait until the bot has opened so many modals, and return the last as it was opened."""
    opened: list[Json] = []

    async def is_opened() -> bool:
        opened[:] = await bot.sandbox.requests("views.open")
        return len(opened) >= count

    await bot.sandbox.wait_until(is_opened, what="modal")
    view: Json = opened[-1]["args"]["view"]
    return view


@pytest.mark.parametrize(
    ("press", "callback_id"),
    [
        (press_verify, "kvasir:verify"),
        (press_bad, "kvasir:feedback"),
        (press_settings, "kvasir:settings"),
        (ask_for_channel, "kvasir:channel"),
    ],
)
async def test_a_modal_opens_before_the_database_answers(bot: RunningBot, press: Press, callback_id: str) -> None:
    answer = await bot.wait_for_turn(await bot.ask())
    await read_home(bot, "ada", OPEN_SETTINGS)
    async with hang_database(bot) as release:
        await press(bot, answer)
        assert "One moment" in str(await wait_for_opened(bot))
        release()
        assert (await bot.sandbox.wait_for_modal(ADA))["callback_id"] == callback_id


async def test_a_modal_does_not_wait_for_the_persons_language(bot: RunningBot) -> None:
    """Chen has done nothing before, so the database has to say which language Chen chose."""
    async with hang_database(bot):
        await bot.sandbox.shortcut("chen", "ask_anything")
        assert (await wait_for_opened(bot))["callback_id"] == "kvasir:ask"


async def test_a_refusal_that_comes_late_is_in_the_modal(bot: RunningBot) -> None:
    answer = await bot.wait_for_turn(await bot.ask())
    key = QuestionKey(TEAM_ID, answer["channel"], answer["root"])
    await bot.ledger.database.write(lambda connection: erase_answer(connection, key))
    async with hang_database(bot) as release:
        await press_bad(bot, answer)
        await wait_for_opened(bot)
        release()
        await bot.sandbox.wait_for_modal(ADA, "I do not store this answer")


async def test_a_late_vote_counts_without_the_modal(bot: RunningBot) -> None:
    answer = await bot.wait_for_turn(await bot.ask())
    await bot.sandbox.faults({"method": "views.open", "error": "expired_trigger_id"})
    async with hang_database(bot) as release:
        await press_bad(bot, answer)
        await wait_for_opened(bot)
        release()
        await wait_for_ephemeral(bot, "Thank you for your vote.")
        assert [one.vote for one in await Feedback(bot.ledger.database).list_current()] == [Vote.BAD]


async def test_a_person_who_gets_a_message_instead_of_a_modal_learns_it_there(bot: RunningBot) -> None:
    """Slack is slow to say which channel it is, and then the person may not change its settings."""
    await bot.sandbox.faults({"method": "conversations.info", "hang_s": 3.0, "times": -1})
    await bot.sandbox.command("bo", "#random", "/kb channel")
    assert "One moment" in str(await wait_for_opened(bot))
    await wait_for_ephemeral(bot, "can change my settings", "#random", person="bo")
    await bot.sandbox.wait_for_modal(BO, "I have sent you a message instead.")


@pytest.fixture
async def sandbox(tmp_path: Path) -> AsyncIterator[SandboxClient]:
    async with open_sandbox(tmp_path) as opened:
        yield opened


async def test_what_happened_since_the_press_counts(sandbox: SandboxClient) -> None:
    """No time is left for the content, so the modal opens without it."""
    assert sandbox.hub is not None
    press = ButtonPress(
        user=ADA, channel="C0GENERAL1", language="en", message_ts="", thread_ts="", value="",
        trigger_id=sandbox.hub.new_trigger(ADA), received_at=time.monotonic() - 2.0,
    )  # fmt: skip

    async def build() -> Mapping[str, Any]:
        await sandbox.wait_until(lambda: sandbox.requests("views.open"), what="the modal without its content")
        return build_sentence_view(READY, "en")

    api = SlackWebApi(AsyncWebClient(token=sandbox.bot_token, base_url=sandbox.api_url))
    view = await open_modal(api, press, build())
    assert view is not None
    assert [is_loading(call["args"]["view"]) for call in await sandbox.requests("views.open")] == [True]
    assert "The content." in str(sandbox.view(view["id"]))


def test_every_modal_is_opened_by_one_module() -> None:
    """Elsewhere, something slow could come first."""
    root = Path(bot_slack.__file__).parent
    found = [
        path.relative_to(root) for path in root.rglob("*.py") if '"views.open"' in path.read_text(encoding="utf-8")
    ]
    assert found == [Path("features/kit/opening.py")]
