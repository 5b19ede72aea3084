"""Tests of the questions that Slack suggests in the direct messages."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from bot.config.models import ChannelTable
from bot.slack.features.asking.suggested_prompts import PROMPTS_METHOD, choose_own_questions
from bot.slack.posting.message_sink import SlackCapabilities
from bot.storage.answers import StoredAnswer, StoredPassage
from bot.storage.turns.questions import QuestionKey
from knowledge.readable import RecentDocument
from tests.slack.running_bot import FakeLibrary, RunningBot, run_bot_in_sandbox
from tests.slack_sandbox import Json

pytestmark = pytest.mark.slow

ADA, CHEN = "U0ADA00001", "U0CHEN0003"
RECENT = (RecentDocument("docs", "Travel  policy", 2.0), RecentDocument("docs", "Leave", 1.0))


async def wait_for_prompts(bot: RunningBot, count: int) -> list[Json]:
    async def are_there() -> bool:
        return len(await bot.sandbox.requests(PROMPTS_METHOD)) >= count

    await bot.sandbox.wait_until(are_there, what="suggested prompts")
    return [call["args"] for call in await bot.sandbox.requests(PROMPTS_METHOD)]


def list_titles(call: Json) -> list[str]:
    return [prompt["title"] for prompt in call["prompts"]]


async def test_person_gets_own_questions_and_new_documents_in_own_language(tmp_path: Path) -> None:
    """What is listed is what this person may read; another person's questions are not there."""
    library = FakeLibrary(recent=RECENT)
    async with run_bot_in_sandbox(tmp_path, library=library) as bot:
        for person, text in (("ada", "how much leave?"), ("ada", "How much leave?"), ("bo", "who is fired?")):
            ts = await bot.sandbox.say(person, "@kvasir", text)
            await bot.sandbox.wait_for_message(
                lambda m, ts=ts: m["root"] == ts and m.get("metadata"), channel="@kvasir", person=person
            )
        await bot.sandbox.open_messages("ada")
        [call] = await wait_for_prompts(bot, 1)
        assert call["channel_id"] == "D0DIRECT01"
        assert "thread_ts" not in call
        assert call["title"] == "You could ask:"
        assert list_titles(call) == ["How much leave?", "New: Travel policy", "New: Leave", "What can you answer?"]
        assert call["prompts"][1]["message"] == "What does “Travel policy” say?"
        [(viewers, within)] = library.listed
        assert (len(viewers.people), ADA in next(iter(viewers.people)), within) == (1, True, "")
        await bot.sandbox.open_messages("chen")
        _, other = await wait_for_prompts(bot, 2)
        assert list_titles(other) == ["新内容：Travel policy", "新内容：Leave", "您能回答什么？"]
        assert CHEN in next(iter(library.listed[-1][0].people))


async def test_a_hostile_title_is_inert(tmp_path: Path) -> None:
    library = FakeLibrary(recent=(RecentDocument("docs", "\x1b[31mPlan\u202e <!everyone>", 2.0),))
    async with run_bot_in_sandbox(tmp_path, library=library) as bot:
        await bot.sandbox.open_messages("ada")
        [call] = await wait_for_prompts(bot, 1)
        assert call["prompts"][0]["title"] == "New: Plan <!everyone>", "a label is plain text"
        assert "<!everyone" not in call["prompts"][0]["message"]
        assert not {"\x1b", "\u202e"} & set(str(call["prompts"][0]["title"]) + str(call["prompts"][0]["message"]))


async def test_channel_that_is_looked_at_decides_whose_documents_are_suggested(tmp_path: Path) -> None:
    """Nothing is suggested from a channel whose sources the person may not read."""
    channels = {"C0GENERAL1": ChannelTable(id="C0GENERAL1", search="in:docs")}
    library = FakeLibrary(recent=RECENT)
    async with run_bot_in_sandbox(tmp_path, library=library, dependencies={"channels": channels}) as bot:
        await bot.sandbox.open_messages("ada", "#general")
        await wait_for_prompts(bot, 1)
        assert library.listed[-1][1] == "in:docs"
        library.readable = {"other": 1}
        await bot.sandbox.open_messages("bo", "#general")
        _, call = await wait_for_prompts(bot, 2)
        assert list_titles(call) == ["What can you answer?"]
        assert len(library.listed) == 1


async def test_many_events_are_one_call(tmp_path: Path) -> None:
    library, capabilities = FakeLibrary(recent=RECENT), SlackCapabilities(prompts_every_s=0.5)
    async with run_bot_in_sandbox(tmp_path, library=library, capabilities=capabilities) as bot:
        await bot.sandbox.open_messages("ada")
        await wait_for_prompts(bot, 1)
        library.recent = RECENT[1:]
        for channel in ("#general", "#random", "#handbook") * 3:
            await bot.sandbox.look_at("ada", channel)
        await wait_for_prompts(bot, 2)
        listed = len(library.listed)
        await bot.sandbox.look_at("ada", "#random")
        await bot.sandbox.wait_until(lambda: len(library.listed) > listed, what="the same suggestions")
        await bot.sandbox.open_messages("chen")
        calls = await wait_for_prompts(bot, 3)
        assert len(calls) == 3, "nothing else is suggested to Ada"
        assert [call["channel_id"] == "D0DIRECT01" for call in calls] == [True, True, False]


@pytest.mark.parametrize("error", ["unknown_method", "not_allowed", "channel_not_found"])
async def test_refusal_changes_nothing_else(bot: RunningBot, error: str) -> None:
    await bot.sandbox.faults({"method": PROMPTS_METHOD, "error": error, "times": -1})
    await bot.sandbox.open_messages("ada")
    await wait_for_prompts(bot, 1)
    await bot.wait_for_answer(await bot.ask("how?", channel="@kvasir"), channel="@kvasir")


async def test_unknown_person_gets_no_suggestions(tmp_path: Path) -> None:
    library = FakeLibrary(recent=RECENT)
    async with run_bot_in_sandbox(tmp_path, library=library) as bot:
        await bot.sandbox.faults({"method": "users.info", "error": "user_not_found", "times": -1})
        await bot.sandbox.open_messages("ada")
        await bot.sandbox.wait_until(lambda: bot.sandbox.requests("users.info"), what="the unknown person")
        await bot.sandbox.faults(clear=True)
        await bot.sandbox.open_messages("chen")
        [call] = await wait_for_prompts(bot, 1)
        assert call["channel_id"] != "D0DIRECT01"
        assert len(library.listed) == 1


def make_answer(question: str, route: str = "engine", *passages: StoredPassage) -> StoredAnswer:
    return StoredAnswer(QuestionKey("T1", "D1", "1.0"), "1.0", ADA, "en", question, "…", passages, route, "r1")


@pytest.mark.parametrize(
    ("stored", "chosen"),
    [
        ([], []),
        ([make_answer("one?"), make_answer("two?"), make_answer("three?")], ["one?", "two?"]),
        ([make_answer("one?"), make_answer("Two  times?"), make_answer("two times?")], ["Two times?", "one?"]),
        ([make_answer("no answer?", "unknown"), make_answer("thanks", "courtesy"), make_answer("x" * 200)], []),
        ([make_answer("of my file?", "engine", StoredPassage(1, "", "", "", "", None, is_material=True))], []),
    ],
)
def test_frequent_questions_come_first(stored: Sequence[StoredAnswer], chosen: list[str]) -> None:
    assert choose_own_questions(stored) == chosen
