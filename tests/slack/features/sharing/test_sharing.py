"""Tests of sharing the answer to a private question in the channel where it was asked."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Collection
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from bot.answering.events import AnswerEvent, Finished, Notice, Question, Sources, Text
from bot.answering.policy import WebUse
from bot.config.configuration import QuestionLimits
from bot.slack.features.sharing.share_answer import AskInChannelAction, ShareAnswerAction
from bot.storage.answers import erase_answer
from bot.storage.turns.questions import QuestionKey
from knowledge.interfaces import Viewers
from knowledge.interfaces.materials import MaterialOrigin
from knowledge.interfaces.results import WebSearchReport
from tests.slack.running_bot import (
    PASSAGE,
    FakeLibrary,
    RunningBot,
    Script,
    get_markdown,
    get_text,
    make_finished,
    run_bot,
    run_bot_in_sandbox,
)
from tests.slack_sandbox import BOT_USER, TEAM_ID, open_sandbox

pytestmark = pytest.mark.slow

ADA, BO = "U0ADA00001", "U0BO000002"
CITED = replace(PASSAGE, chunks=("c1", "c2"))
READ = replace(PASSAGE, n=2, title="Salaries", chunks=("c3",))
ASKED = "/ask how <many> days & why?"


@dataclass
class RightsLibrary(FakeLibrary):
    """A library with chunks that only Ada may read."""

    secret: frozenset[str] = frozenset()

    async def filter_current(self, chunks: Collection[str], viewers: Viewers) -> frozenset[str]:
        is_for_ada = all(ADA in principals for principals in viewers.people)
        return frozenset(chunks) if is_for_ada else frozenset(chunks) - self.secret


async def answer_from_documents(question: Question) -> AsyncGenerator[AnswerEvent]:
    """Cite one of two passages."""
    yield Sources((CITED, READ))
    yield Text(f"You asked: {question.text} [1]. ", (CITED,))
    yield Text("That is all.")
    yield make_finished(CITED)


async def ask_privately(bot: RunningBot, command: str = ASKED, person: str = "ada") -> dict[str, Any]:
    await bot.sandbox.command(person, "#general", command)
    answer = await bot.sandbox.wait_for_message(
        lambda m: "That is all." in get_text(m) and m.get("metadata"), channel="@kvasir", person=person
    )
    await bot.wait_until_idle()
    return answer


async def press(bot: RunningBot, message: dict[str, Any], action_id: str, person: str = "ada") -> None:
    await bot.sandbox.press(person, message["channel"], message["ts"], action_id)


async def wait_for_private(bot: RunningBot, contains: str) -> dict[str, Any]:
    return await bot.sandbox.wait_for_message(
        lambda m: m.get("ephemeral") and contains in get_text(m), channel="@kvasir"
    )


async def list_shared(bot: RunningBot) -> list[dict[str, Any]]:
    await bot.wait_until_idle()
    return [m for m in await bot.sandbox.messages("#general") if m["user"] == BOT_USER and not m.get("ephemeral")]


def list_actions(message: dict[str, Any]) -> list[str]:
    return [e["action_id"] for block in message["blocks"] for e in block.get("elements", ()) if "action_id" in e]


async def test_answer_is_shared_once_with_its_question_and_sources(tmp_path: Path) -> None:
    """Three presses share it once. It is the same answer, and everything works under it as under any other."""
    async with run_bot_in_sandbox(tmp_path, script=answer_from_documents, library=RightsLibrary()) as bot:
        private = await ask_privately(bot)
        assert "Share in #general" in get_text(private)
        await asyncio.gather(*(press(bot, private, ShareAnswerAction.action_id) for _ in range(3)))
        await wait_for_private(bot, "Your question and the answer are in <#C0GENERAL1> now.")
        await wait_for_private(bot, "This question is in <#C0GENERAL1> already.")
        question, answer = await list_shared(bot)
        assert question["text"].startswith(f"<@{ADA}> shares a question and my answer of 20")
        assert "> how &lt;many&gt; days &amp; why?" in question["text"]
        assert answer["root"] == question["ts"]
        assert "You asked: how &lt;many> days & why? [" in get_markdown(answer)
        assert get_markdown(answer) == get_markdown(private)
        assert "kvasir.toml" in get_text(answer)
        chunks = answer["metadata"]["event_payload"]["chunks"]
        assert sorted(chunks.split(",")) == ["c1", "c2", "c3"], "the model had read c3, so its readers count later, too"
        assert {"kvasir:rate", "kvasir:answer-again", "kvasir:delete-answer"} <= set(list_actions(answer))
        assert ShareAnswerAction.action_id not in list_actions(answer)
        assert len(bot.answerer.questions) == 1, "nothing was generated again"

        await bot.sandbox.say("bo", "#general", "@Kvasir and then?", thread_ts=question["ts"])
        await bot.wait_for_answer(question["ts"], "You asked: and then?")
        [exchange] = bot.answerer.questions[-1].history
        assert "how <many> days" in exchange.messages
        assert "That is all." in exchange.answer

        await press(bot, answer, "kvasir:delete-answer")
        await bot.sandbox.wait_until(
            lambda: is_gone(bot, question["ts"], answer["ts"]), what="end of the shared answer"
        )
        await press(bot, private, ShareAnswerAction.action_id)
        await bot.sandbox.wait_until(lambda: is_shared_again(bot, question["ts"]), what="second share")


async def test_question_that_was_deleted_in_the_channel_may_be_shared_again(tmp_path: Path) -> None:
    """An administrator of the workspace may delete Kvasir's message; then its answer is deleted, too."""
    async with run_bot_in_sandbox(tmp_path, script=answer_from_documents) as bot:
        private = await ask_privately(bot)
        await press(bot, private, ShareAnswerAction.action_id)
        await wait_for_private(bot, "are in <#C0GENERAL1> now")
        question, answer = await list_shared(bot)
        await bot.sandbox.api("chat.delete", channel="C0GENERAL1", ts=question["ts"])
        gone, before = (question["ts"], answer["ts"]), question["ts"]
        await bot.sandbox.wait_until(lambda: is_gone(bot, *gone), what="end of the first answer")
        await press(bot, private, ShareAnswerAction.action_id)
        await bot.sandbox.wait_until(lambda: is_shared_again(bot, before), what="second share")


async def is_gone(bot: RunningBot, question_ts: str, answer_ts: str) -> bool:
    left = {m["ts"]: m for m in await bot.sandbox.messages("#general")}
    return answer_ts not in left and left.get(question_ts, {}).get("user") != BOT_USER


async def is_shared_again(bot: RunningBot, before: str) -> bool:
    return any("shares a question" in get_text(m) and m["ts"] != before for m in await list_shared(bot))


@pytest.mark.parametrize("secret", ["c2", "c3"])
async def test_answer_with_a_source_that_some_may_not_read_is_asked_there_instead(tmp_path: Path, secret: str) -> None:
    """A source that the answer does not cite counts too, because the model has read it."""
    library = RightsLibrary(secret=frozenset({secret}))
    async with run_bot_in_sandbox(tmp_path, script=answer_from_documents, library=library) as bot:
        private = await ask_privately(bot)
        await press(bot, private, ShareAnswerAction.action_id)
        offer = await wait_for_private(bot, "Not everybody in <#C0GENERAL1> may read all sources of this answer")
        assert await list_shared(bot) == []
        for _ in range(2):
            await press(bot, offer, AskInChannelAction.action_id)
        await wait_for_private(bot, "Your question is in <#C0GENERAL1> now, and I answer it there.")
        await wait_for_private(bot, "This question is in <#C0GENERAL1> already.")
        question, answer = await list_shared(bot)
        assert question["text"].startswith(f"<@{ADA}> asks:\n> how &lt;many&gt;")
        assert answer["root"] == question["ts"]
        mine, public = bot.answerer.questions
        assert ADA in next(iter(mine.asker.viewers.people))
        assert not any(ADA in principals for principals in public.asker.viewers.people)
        assert public.text == mine.text == "how <many> days & why?"


async def answer_with_extracts(_question: Question) -> AsyncGenerator[AnswerEvent]:
    yield Sources((CITED,))
    yield Notice("The engine is still loading; these are extracts from the documents until then.")
    yield Text("The table says so [1]. That is all.", (CITED,))
    yield replace(make_finished(CITED), route="passages", removed_count=2)


async def test_shared_extracts_say_that_they_are_no_answer(tmp_path: Path) -> None:
    async with run_bot_in_sandbox(tmp_path, script=answer_with_extracts) as bot:
        await press(bot, await ask_privately(bot), ShareAnswerAction.action_id)
        await wait_for_private(bot, "are in <#C0GENERAL1> now")
        _, answer = await list_shared(bot)
        assert "These are extracts from the documents, not an answer." in get_text(answer)
        assert "2 sentences were left out" in get_text(answer)
        assert "still loading" not in get_text(answer)


async def answer_from_a_file(question: Question) -> AsyncGenerator[AnswerEvent]:
    material = replace(CITED, chunks=(), material=MaterialOrigin("F1", 2, "page 2"))
    yield Sources((material,))
    yield Text(f"You asked: {question.text} [1]. That is all.", (material,))
    yield make_finished(material)


async def answer_from_the_web(question: Question) -> AsyncGenerator[AnswerEvent]:
    yield Sources((CITED, replace(READ, chunks=())))
    yield Text(f"You asked: {question.text} [1]. That is all.", (CITED,))
    report = WebSearchReport("searxng", ("https://wiki.intra/",), (), None, 0.1)
    yield replace(make_finished(CITED), web=WebUse(look=report))


async def answer_without_sources(question: Question) -> AsyncGenerator[AnswerEvent]:
    yield Text(f"You asked: {question.text}. That is all.")
    yield Finished("engine", (), {})


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        (answer_from_a_file, "uses a file or a message that came with your question"),
        (answer_from_the_web, "Not everybody in"),
        (answer_without_sources, "Not everybody in"),
    ],
)
async def test_other_answers_are_not_shared(tmp_path: Path, script: Script, reason: str) -> None:
    async with run_bot_in_sandbox(tmp_path, script=script) as bot:
        await press(bot, await ask_privately(bot), ShareAnswerAction.action_id)
        await wait_for_private(bot, reason)
        assert await list_shared(bot) == []


async def test_answer_that_is_not_stored_is_asked_there_instead(tmp_path: Path) -> None:
    async with run_bot_in_sandbox(tmp_path, script=answer_from_documents) as bot:
        private = await ask_privately(bot)
        key = QuestionKey(TEAM_ID, private["channel"], private["root"])
        await bot.ledger.database.write(lambda connection: erase_answer(connection, key))
        await press(bot, private, ShareAnswerAction.action_id)
        offer = await wait_for_private(bot, "I do not store this answer")
        assert AskInChannelAction.action_id in list_actions(offer)


async def test_only_the_asker_shares_and_only_where_the_asker_is(tmp_path: Path) -> None:
    async with run_bot_in_sandbox(tmp_path, script=answer_from_documents) as bot:
        private = await ask_privately(bot)
        await press(bot, private, ShareAnswerAction.action_id, "bo")
        await bot.sandbox.wait_for_message(
            lambda m: "Only the person who asked" in get_text(m), channel=private["channel"], person="bo"
        )
        await bot.sandbox.leave("ada", "#general")
        await bot.sandbox.wait_delivered()
        await press(bot, private, ShareAnswerAction.action_id)
        offer = await wait_for_private(bot, "or I cannot find that out")
        await press(bot, offer, AskInChannelAction.action_id)
        await wait_for_private(bot, "I cannot see that you are in <#C0GENERAL1>")
        assert await list_shared(bot) == []


async def test_only_questions_from_a_channel_have_the_button(tmp_path: Path) -> None:
    async with run_bot_in_sandbox(tmp_path, script=answer_from_documents) as bot:
        await bot.sandbox.command("ada", "@kvasir", ASKED)
        answer = await bot.sandbox.wait_for_message(
            lambda m: "That is all." in get_text(m) and m.get("metadata"), channel="@kvasir"
        )
        assert ShareAnswerAction.action_id not in list_actions(answer)


async def test_refused_post_and_reached_limit_leave_the_answer_to_be_shared(tmp_path: Path) -> None:
    limits = {"question_limits": QuestionLimits(2, 0)}
    async with run_bot_in_sandbox(tmp_path, script=answer_from_documents, dependencies=limits) as bot:
        private = await ask_privately(bot)
        await bot.sandbox.channel("#general", refusal="restricted_action")
        await press(bot, private, ShareAnswerAction.action_id)
        await wait_for_private(bot, "restricted_action")
        await bot.sandbox.channel("#general", refusal="")
        await bot.wait_for_answer(await bot.ask("@Kvasir one more?"), "one more?")
        await press(bot, private, ShareAnswerAction.action_id)
        await wait_for_private(bot, "too many questions in this minute")
        assert not [m for m in await list_shared(bot) if "shares a question" in get_text(m)]


@pytest.mark.parametrize("is_posted", [False, True])
async def test_crash_while_sharing_leaves_the_answer_to_be_shared(tmp_path: Path, *, is_posted: bool) -> None:
    """A question that is in the channel already gets its answer there; no second one is posted."""
    async with run_bot_in_sandbox(tmp_path, script=answer_from_documents) as bot:
        private = await ask_privately(bot)
        fault = {"lose_reply": True} if is_posted else {"status": 500}
        await bot.sandbox.faults({"method": "chat.postMessage", "concerns": "C0GENERAL1", **fault})
        await press(bot, private, ShareAnswerAction.action_id)
        await wait_for_private(bot, "Slack")  # cannot be reached; whether the question is there, nobody knows
        await press(bot, private, ShareAnswerAction.action_id)
        await wait_for_private(bot, "This question is in <#C0GENERAL1> already.")
        later = "UPDATE bot_answer_shares SET claimed_at = claimed_at - 100"
        await bot.ledger.database.write(lambda connection: connection.exec_driver_sql(later))
        assert len(await list_shared(bot)) == is_posted
        await press(bot, private, ShareAnswerAction.action_id)
        await wait_for_private(bot, "are in <#C0GENERAL1> now")
        question, answer = await list_shared(bot)
        assert answer["root"] == question["ts"]
        assert get_markdown(answer) == get_markdown(private)
        await press(bot, private, ShareAnswerAction.action_id)
        await bot.wait_until_idle()
        assert len(await list_shared(bot)) == 2


async def test_two_replicas_share_once(tmp_path: Path) -> None:
    database = f"sqlite:///{tmp_path / 'shared.db'}"
    options: dict[str, Any] = {"database": database, "script": answer_from_documents}
    async with (
        open_sandbox(tmp_path) as sandbox,
        run_bot(sandbox, tmp_path, **options) as bot,
        run_bot(sandbox, tmp_path, **options) as other,
    ):
        private = await ask_privately(bot)
        await other.wait_until_idle()
        await asyncio.gather(*(press(bot, private, ShareAnswerAction.action_id) for _ in range(8)))
        await wait_for_private(bot, "are in <#C0GENERAL1> now")
        await other.wait_until_idle()
        assert len(await list_shared(bot)) == 2
