"""Tests of answers without a mention: when there is one, how it looks, how many there are, and how to end them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from bot.answering.events import AnswerEvent, Finished, Question, Text
from bot.audit.entries import Event
from bot.config.models import ChannelTable
from bot.slack.conversations.addressing import asks_everybody
from bot.storage.turns.questions import QuestionKey, QuestionMessage
from engine.errors import EngineUnavailable
from engine.notes import NoteCode
from knowledge.interfaces import Hit
from tests.audit.test_audited_answerer import ListedAudit
from tests.slack.features.settings.test_channel_settings import GENERAL, change, list_announcements
from tests.slack.running_bot import (
    PASSAGE,
    FakeLibrary,
    RunningBot,
    get_text,
    run_bot,
    run_bot_in_sandbox,
    wait_for_ephemeral,
)

pytestmark = pytest.mark.slow

SURE = 0.95


def make_hit(confidence: float = SURE) -> Hit:
    return Hit("1", "docs", "sources.md", "Adding a source", "", None, "Add it.", 0.9, confidence, datetime.now(UTC))


def make_library(confidence: float = SURE) -> FakeLibrary:
    return FakeLibrary(hits=(make_hit(confidence),))


def fix_per_hour(count: int) -> dict[str, Any]:
    return {"channels": {GENERAL: ChannelTable(id=GENERAL, unasked_per_hour=count)}}


async def list_answers(bot: RunningBot, root: str) -> list[str]:
    await bot.wait_until_idle()
    return [get_text(answer) for answer in await bot.list_answers(root)]


async def ask_both(bot: RunningBot, other: RunningBot, text: str) -> str:
    root = await bot.ask(text)
    await bot.wait_until_idle()
    await other.wait_until_idle()
    return root


# ── Which messages are meant for everybody ───────────────────────────────────────────────────────────────────────────


def make_message(text: str, **more: Any) -> QuestionMessage:
    return QuestionMessage(QuestionKey("T1", "C1", "1.1"), more.pop("thread_ts", "1.1"), "U1", text, **more)


@pytest.mark.parametrize(
    "text",
    [
        "How many days of leave do we have?",
        "where is the handbook",
        "我们有多少天年假？",
        "Does anyone know the VPN address?",
    ],
)
def test_question_to_everybody(text: str) -> None:
    assert asks_everybody(make_message(text))


@pytest.mark.parametrize(
    "text",
    [
        "thanks!",
        "good morning",
        "lunch is at 12",
        "<@U2> how many days of leave do we have?",
        "<!here> who broke the build?",
        "<!subteam^S1> is the site down?",
        "@bo where is the handbook?",
        "Bo, where is the handbook?",
        "can you look at this?",
        "你能看一下吗？",
        "`how many days?`",
        "",
    ],
)
def test_message_that_is_for_others_or_asks_nothing(text: str) -> None:
    assert not asks_everybody(make_message(text))


def test_only_the_first_message_of_a_thread_without_files_is_for_everybody() -> None:
    question = "How many days of leave do we have?"
    assert not asks_everybody(make_message(question, thread_ts="1.0"))
    assert not asks_everybody(make_message(question, files=1))
    assert not asks_everybody(make_message(question, is_direct=True))


# ── Answers ──────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_nothing_is_answered_unasked_unless_somebody_opts_in(tmp_path: Path) -> None:
    async with run_bot_in_sandbox(tmp_path, library=make_library()) as bot:
        root = await bot.ask("How many days of leave do we have?")
        assert not await list_answers(bot, root)
        assert not bot.library.searched
        await change(bot, unasked="1")
        answered = await bot.ask("How many days of leave do we have?")
        await bot.wait_for_answer(answered)


async def test_unasked_answer_is_marked_and_has_a_button_that_ends_them(tmp_path: Path) -> None:
    async with run_bot_in_sandbox(tmp_path, library=make_library()) as bot:
        await change(bot, unasked="5")
        root = await bot.ask("How many days of leave do we have?")
        answer = await bot.wait_for_answer(root)
        assert "Nobody asked me" in get_text(answer)
        await bot.sandbox.press("bo", "#general", answer["ts"], "kvasir:stop-unasked")

        async def is_announced() -> bool:
            return any("<@U0BO000002> changed" in line for line in await list_announcements(bot))

        await bot.sandbox.wait_until(is_announced, what="announcement")
        assert not await list_answers(bot, await bot.ask("Where is the handbook?"))
        mentioned = await bot.ask("@Kvasir where is the handbook?")
        first_answer = await bot.wait_for_answer(mentioned)
        assert "Nobody asked me" not in get_text(first_answer)
        assert "stop-unasked" not in str(first_answer)


async def test_button_cannot_change_what_kvasir_toml_fixes(tmp_path: Path) -> None:
    options = {"library": make_library(), "dependencies": fix_per_hour(5)}
    async with run_bot_in_sandbox(tmp_path, **options) as bot:
        answer = await bot.wait_for_answer(await bot.ask("How many days of leave do we have?"))
        await bot.sandbox.press("bo", "#general", answer["ts"], "kvasir:stop-unasked")
        await wait_for_ephemeral(bot, "kvasir.toml", person="bo")
        await bot.wait_for_answer(await bot.ask("Where is the handbook?"))


async def test_search_that_is_not_sure_starts_no_answer(tmp_path: Path) -> None:
    options = {"library": make_library(0.5), "dependencies": fix_per_hour(5)}
    async with run_bot_in_sandbox(tmp_path, **options) as bot:
        root = await bot.ask("How many days of leave do we have?")
        assert not await list_answers(bot, root)
        assert bot.library.searched
        assert not bot.answerer.questions


async def test_question_without_an_answer_is_deleted_in_one_step(tmp_path: Path) -> None:
    """A crash, here a database that refuses the deletion, leaves a question that is still open and goes later."""
    options = {"library": make_library(0.5), "dependencies": fix_per_hour(5)}
    async with run_bot_in_sandbox(tmp_path, **options) as bot:
        database = bot.ledger.database
        refusal = "CREATE TRIGGER refusal BEFORE DELETE ON bot_turns BEGIN SELECT RAISE(ABORT, 'no'); END"
        await database.write(lambda connection: connection.exec_driver_sql(refusal))
        await list_answers(bot, await bot.ask("How many days of leave do we have?"))
        await database.write(lambda connection: connection.exec_driver_sql("DROP TRIGGER refusal"))

        async def is_deleted() -> bool:
            return await database.fetch_rows(sa.text("SELECT * FROM bot_turns")) == []

        await bot.sandbox.wait_until(is_deleted, what="deletion")


async def say_unknown(_question: Question) -> AsyncGenerator[AnswerEvent]:
    yield Text("The documents do not say.")
    yield Finished("unknown", (), {})


async def mark_a_sentence(_question: Question) -> AsyncGenerator[AnswerEvent]:
    yield Text("Ten days [1]. ⚠ Perhaps.", (PASSAGE,))
    yield Finished("engine", (PASSAGE,), {}, marked_count=1)


@pytest.mark.parametrize("script", [say_unknown, mark_a_sentence])
async def test_doubtful_answer_is_not_shown_and_nothing_of_it_stays(tmp_path: Path, script: Any) -> None:
    audit = ListedAudit()
    options = {"library": make_library(), "dependencies": {**fix_per_hour(5), "audit_log": audit}, "script": script}
    async with run_bot_in_sandbox(tmp_path, **options) as bot:
        root = await bot.ask("How many days of leave do we have?")
        assert not await list_answers(bot, root)
        assert not audit.entries
        assert len(bot.answerer.questions) == 1
        assert await bot.ledger.find_turn(QuestionKey("T0SANDBOX1", GENERAL, root)) is None
        assert not [call for call in await bot.sandbox.requests() if "etStatus" in call["method"]]
        assert not await list_answers(bot, await bot.sandbox.say("bo", "#general", "is that so?", root))
        assert len(bot.answerer.questions) == 1, "Kvasir takes no part in the thread"


@pytest.mark.parametrize("is_full", [False, True])
async def test_an_answer_is_recorded_once_before_it_is_shown(tmp_path: Path, *, is_full: bool) -> None:
    audit = ListedAudit(is_full=is_full)
    options = {"library": make_library(), "dependencies": {**fix_per_hour(5), "audit_log": audit}}
    async with run_bot_in_sandbox(tmp_path, **options) as bot:
        root = await bot.ask("How many days of leave do we have?")
        assert len(await list_answers(bot, root)) == (not is_full)
        assert [one.event for one in audit.entries] == ([] if is_full else [Event.READ])


async def test_unasked_question_is_not_tried_again_after_a_failure(tmp_path: Path) -> None:
    async def fail(_question: Question) -> AsyncGenerator[AnswerEvent]:
        raise EngineUnavailable(NoteCode.ERROR.fill(text="gone"))
        yield

    options = {"library": make_library(), "dependencies": fix_per_hour(5), "script": fail}
    async with run_bot_in_sandbox(tmp_path, **options) as bot:
        root = await bot.ask("How many days of leave do we have?")
        assert not await list_answers(bot, root)
        assert len(bot.answerer.questions) == 1
        assert await bot.ledger.find_turn(QuestionKey("T0SANDBOX1", GENERAL, root)) is None


async def test_comment_in_the_thread_of_an_unasked_answer_is_left_alone(tmp_path: Path) -> None:
    """The person asked others, so only a question goes on with Kvasir."""
    options = {"library": make_library(), "dependencies": fix_per_hour(5)}
    async with run_bot_in_sandbox(tmp_path, **options) as bot:
        root = await bot.ask("How many days of leave do we have?")
        await bot.wait_for_answer(root)
        await bot.ask("I thought it was more", thread_ts=root)
        assert len(await list_answers(bot, root)) == 1
        await bot.ask("and how many in the first year?", thread_ts=root)
        await bot.wait_for_answer(root, "first year")


async def test_all_processes_together_answer_at_most_as_many_as_allowed_in_an_hour(tmp_path: Path) -> None:
    options = {"library": make_library(), "dependencies": fix_per_hour(2)}
    async with (
        run_bot_in_sandbox(tmp_path, **options) as bot,
        run_bot(bot.sandbox, tmp_path, owner="another", **options) as other,
    ):
        roots = [await bot.ask(f"How many days of leave are there in year {year}?") for year in range(8)]
        await bot.wait_until_idle()
        await other.wait_until_idle()
        assert sum([len(await bot.list_answers(root)) for root in roots]) == 2
        mentioned = await bot.ask("@Kvasir how many days?")
        await bot.wait_for_answer(mentioned)


async def test_question_that_is_edited_to_mention_kvasir_is_asked(tmp_path: Path) -> None:
    options = {"library": make_library(0.1), "dependencies": fix_per_hour(2)}
    async with run_bot_in_sandbox(tmp_path, **options) as bot:
        root = await bot.ask("How many days of leave do we have?")
        await bot.wait_until_idle()
        await bot.sandbox.edit("ada", "#general", root, "@Kvasir How many days of leave do we have?")
        answer = await bot.wait_for_answer(root)
        assert "Nobody asked me" not in get_text(answer)


async def test_edit_revises_an_unasked_answer_until_the_question_is_for_somebody_else(tmp_path: Path) -> None:
    options = {"library": make_library(), "dependencies": fix_per_hour(1)}
    async with run_bot_in_sandbox(tmp_path, **options) as bot:
        root = await bot.ask("How many days of leave do we have?")
        await bot.wait_for_turn(root)
        await bot.sandbox.edit("ada", "#general", root, "How many days of parental leave do we have?")
        revised = await bot.wait_for_answer(root, "parental")
        assert "Nobody asked me" in get_text(revised)
        await bot.wait_until_idle()
        await bot.sandbox.edit("ada", "#general", root, "<@U0BO000002> how many days do you have?")
        [left] = await list_answers(bot, root)
        assert "parental" in left
        assert len(bot.answerer.questions) == 2


async def test_deleted_question_gets_no_answer(tmp_path: Path) -> None:
    release = asyncio.Event()

    async def wait(_question: Question) -> AsyncGenerator[AnswerEvent]:
        await release.wait()
        yield Text("Ten days [1].", (PASSAGE,))
        yield Finished("engine", (PASSAGE,), {})

    options = {"library": make_library(), "dependencies": fix_per_hour(2), "script": wait}
    async with run_bot_in_sandbox(tmp_path, **options) as bot:
        root = await bot.ask("How many days of leave do we have?")
        await bot.sandbox.wait_until(lambda: bot.answerer.questions, what="answer")
        await bot.sandbox.delete("ada", "#general", root)
        await bot.sandbox.wait_delivered()
        release.set()
        assert not await list_answers(bot, root)


async def test_shared_channel_gets_no_unasked_answers(tmp_path: Path) -> None:
    fixed = {"channels": {"C0PARTNERS": ChannelTable(id="C0PARTNERS", unasked_per_hour=5)}}
    async with run_bot_in_sandbox(tmp_path, library=make_library(), dependencies=fixed) as bot:
        await bot.ask("How many days of leave do we have?", "#partners")
        await bot.wait_until_idle()
        assert not bot.library.searched
        assert not [m for m in await bot.sandbox.messages("#partners") if m.get("bot_id") or m.get("ephemeral")]
