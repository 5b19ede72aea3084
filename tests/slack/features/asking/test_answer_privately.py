"""Tests of "more for you": the channel's answer is for all, and the asker alone is offered another one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import pytest

from bot.answering.events import AnswerEvent, Finished, Question, Text
from bot.slack.conversations.thread_loader import ThreadLoader
from bot.slack.features.asking.answer_privately import AnswerPrivatelyAction
from bot.slack.features.kit.private_questions import PrivateQuestions
from bot.slack.posting.ephemeral import EphemeralMessenger
from bot.slack.wire.events import BotUser
from bot.slack.wire.interactions import ButtonPress
from bot.storage.turns.answer_shares import AnswerShares
from bot.storage.turns.questions import QuestionMessage
from knowledge.errors import StoreUnavailable
from knowledge.interfaces import Viewers
from tests.slack.running_bot import (
    FakeLibrary,
    RunningBot,
    get_text,
    refuse_post,
    run_bot,
    run_bot_in_sandbox,
    wait_for_ephemeral,
)
from tests.slack_sandbox import open_sandbox
from tests.waiting import WAIT_S

pytestmark = pytest.mark.slow

ADA = "U0ADA00001"


async def answer_from_documents(question: Question) -> AsyncGenerator[AnswerEvent]:
    yield Text(f"You asked: {question.text}. That is all.")
    yield Finished("engine", (), {}, search_query=f"searched {question.text}")


def is_offer(message: dict[str, Any]) -> bool:
    return bool(message.get("ephemeral")) and "you may see, but not everybody here" in get_text(message)


async def wait_for_offer(bot: RunningBot) -> dict[str, Any]:
    return await bot.sandbox.wait_for_message(is_offer)


async def press(bot: RunningBot, offer: dict[str, Any], person: str = "ada") -> None:
    [block] = [block for block in offer["blocks"] if block["type"] == "actions"]
    await bot.sandbox.press(person, "#general", offer["ts"], block["elements"][0]["action_id"])


async def wait_for_private_answer(bot: RunningBot, contains: str) -> dict[str, Any]:
    return await bot.sandbox.wait_for_message(
        lambda m: m.get("bot_id") and contains in get_text(m) and m.get("metadata"), channel="@kvasir", person="ada"
    )


async def test_asker_gets_own_answer_in_direct_message(tmp_path: Path) -> None:
    library = FakeLibrary(more=True)
    async with run_bot_in_sandbox(tmp_path, library=library, script=answer_from_documents) as bot:
        ts = await bot.ask("@Kvasir what of <Lyon> & co?")
        await bot.wait_for_answer(ts)
        offer = await wait_for_offer(bot)
        assert offer["thread_ts"] == ts
        [(searched, person, others)] = library.compared
        assert searched == "searched what of <Lyon> & co?"
        assert (len(person.people), ADA in next(iter(person.people))) == (1, True)
        assert others == bot.answerer.questions[-1].asker.viewers
        assert not [m for m in await bot.sandbox.messages("#general", "bo") if is_offer(m)]

        await press(bot, offer)
        answer = await wait_for_private_answer(bot, "You asked: what of")
        private = bot.answerer.questions[-1]
        assert private.text == "what of <Lyon> & co?"
        assert private.asker.viewers == person
        quote = next(m for m in await bot.sandbox.messages("@kvasir") if m["ts"] == answer["root"])
        assert "You asked in <#C0GENERAL1>:\n> what of &lt;Lyon&gt; &amp; co?" in quote["text"]
        await wait_for_ephemeral(bot, "The answer is in our direct messages")
        assert not [m for m in await bot.sandbox.messages("#general") if is_offer(m)], "the button is gone"

        await bot.sandbox.say("ada", "@kvasir", "and in Paris?", thread_ts=answer["root"])
        await wait_for_private_answer(bot, "and in Paris?")
        [exchange] = bot.answerer.questions[-1].history
        assert exchange.question == "what of <Lyon> & co?"
        assert "You asked: what of" in exchange.answer
        assert len(library.compared) == 1, "in a direct message there is nothing more"


@pytest.mark.parametrize("failure", [None, StoreUnavailable("The store is down. Start it.")])
async def test_nothing_is_offered_without_more(tmp_path: Path, failure: Exception | None) -> None:
    class Library(FakeLibrary):
        async def has_more(self, query: str, person: Viewers, others: Viewers) -> bool:
            found = await super().has_more(query, person, others)
            if failure:
                raise failure
            return found

    library = Library()
    async with run_bot_in_sandbox(tmp_path, library=library, script=answer_from_documents) as bot:
        await bot.wait_for_answer(await bot.ask())
        await bot.sandbox.wait_until(lambda: bool(library.compared))
        await bot.wait_until_idle()
        assert not [m for m in await bot.sandbox.messages("#general") if m.get("ephemeral")]


async def test_slow_search_does_not_delay_the_channel(tmp_path: Path) -> None:
    resume = asyncio.Event()

    class Slow(FakeLibrary):
        async def has_more(self, query: str, person: Viewers, others: Viewers) -> bool:
            await resume.wait()
            return await super().has_more(query, person, others)

    library = Slow(more=True)
    async with run_bot_in_sandbox(tmp_path, library=library, script=answer_from_documents) as bot:
        await bot.wait_for_answer(await bot.ask())
        await bot.wait_for_answer(await bot.ask("@Kvasir why?"))
        resume.set()
        await wait_for_offer(bot)


async def test_other_person_and_deleted_question_are_refused(tmp_path: Path) -> None:
    library = FakeLibrary(more=True)
    async with run_bot_in_sandbox(tmp_path, library=library, script=answer_from_documents) as bot:
        ts = await bot.ask()
        await bot.wait_for_answer(ts)
        offer = await wait_for_offer(bot)
        await press(bot, offer, "bo")
        refused = await bot.sandbox.wait_for_message(
            lambda m: m.get("ephemeral") and "Only the person who asked" in get_text(m), person="bo"
        )
        assert "只有提出这个问题的人" not in get_text(refused), "the Slack of bo is in English"
        await bot.sandbox.delete("ada", "#general", ts)
        await bot.sandbox.wait_delivered()
        await press(bot, offer)
        await wait_for_ephemeral(bot, "was deleted")
        assert len(bot.answerer.questions) == 1


async def test_private_answer_survives_a_crash(tmp_path: Path) -> None:
    """The turn is in the ledger, so the next process answers it."""
    library = FakeLibrary(more=True)
    stuck = asyncio.Event()

    async def hang_in_private(question: Question) -> AsyncGenerator[AnswerEvent]:
        if question.id.startswith("D"):
            stuck.set()
            await asyncio.Event().wait()
        async for event in answer_from_documents(question):
            yield event

    async with open_sandbox(tmp_path) as sandbox:
        async with run_bot(sandbox, tmp_path, library=library, script=hang_in_private) as bot:
            await bot.wait_for_answer(await bot.ask())
            await press(bot, await wait_for_offer(bot))
            async with asyncio.timeout(WAIT_S):
                await stuck.wait()
        async with run_bot(sandbox, tmp_path, library=library, script=answer_from_documents) as bot:
            await wait_for_private_answer(bot, "You asked: how?")


async def test_press_after_unexpected_error_and_second_press_get_a_sentence(tmp_path: Path) -> None:
    library, failures = FakeLibrary(more=True), [TimeoutError()]

    async def submit(_message: QuestionMessage) -> bool:
        if failures:
            raise failures.pop()
        return True

    async with run_bot_in_sandbox(tmp_path, library=library, script=answer_from_documents) as bot:
        ts = await bot.ask()
        await bot.wait_for_answer(ts)
        api, me = bot.app.workspace.api, BotUser("T0SANDBOX1", "U0KVASIR01", "B0KVASIR01")
        private = PrivateQuestions(api, submit, me.team, AnswerShares(bot.ledger.database))
        threads, messenger = ThreadLoader(api, me), EphemeralMessenger(api, refuse_post)
        action = AnswerPrivatelyAction(threads, private, bot.ledger, me.team, messenger)
        pressed = ButtonPress.from_payload(
            {"user": {"id": ADA}, "channel": {"id": "C0GENERAL1"}}, {"value": f"{ts} {ts}"}
        )
        with pytest.raises(TimeoutError):  # the listener tells the person of it
            await action.run(pressed)
        for count in (1, 2):
            await action.run(pressed)
            notes = [m for m in await bot.sandbox.messages("#general") if "in our direct messages" in get_text(m)]
            assert [m["ephemeral"] for m in notes] == [True] * count


async def test_question_is_repeated_once_by_all_replicas_and_again_after_an_edit(tmp_path: Path) -> None:
    library, database = FakeLibrary(more=True), f"sqlite:///{tmp_path / 'shared.sqlite3'}"
    options: dict[str, Any] = {"library": library, "script": answer_from_documents, "database": database}
    async with (
        open_sandbox(tmp_path) as sandbox,
        run_bot(sandbox, tmp_path, **options) as bot,
        run_bot(sandbox, tmp_path, **options) as other,
    ):
        ts = await bot.ask()
        offer = await wait_for_offer(bot)
        for _ in range(4):
            await press(bot, offer)
        await wait_for_private_answer(bot, "You asked: how?")
        await sandbox.edit("ada", "#general", ts, "@Kvasir why?")
        await sandbox.wait_for_message(lambda m: is_offer(m) and m["ts"] != offer["ts"])
        [*_, again] = [m for m in await sandbox.messages("#general") if is_offer(m)]
        await press(bot, again)
        await wait_for_private_answer(bot, "You asked: why?")
        for one in (bot, other):
            await one.wait_until_idle()
        private = [m["text"] for m in await sandbox.messages("@kvasir") if "You asked in" in get_text(m)]
        assert [text.rpartition("> ")[2] for text in private] == ["how?", "why?"]
