"""Tests of the votes on an answer, of the modal for reasons, and of the buttons that replace and delete an answer."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import pytest

from bot.answering.events import AnswerEvent, Finished, Question, Text
from bot.config.configuration import Access, QuestionLimits
from bot.storage.answers import Answers, erase_answer
from bot.storage.feedback import Feedback, StoredVote, Vote, VoteReason
from bot.storage.turns.questions import QuestionKey
from knowledge.database.database import Database
from tests.slack.running_bot import (
    PausedScript,
    RunningBot,
    get_text,
    make_script,
    run_bot_in_sandbox,
    wait_for_ephemeral,
)
from tests.slack_sandbox import TEAM_ID

pytestmark = pytest.mark.slow

ADA, BO = "U0ADA00001", "U0BO000002"


def find_element(message: dict[str, Any], action_id: str) -> dict[str, Any] | None:
    elements = [one for block in message["blocks"] for one in block.get("elements") or ()]
    return next((one for one in elements if one.get("action_id") == action_id), None)


async def ask_and_wait(bot: RunningBot, text: str = "@Kvasir how?", channel: str = "#general") -> dict[str, Any]:
    root = await bot.ask(text, channel)
    return await bot.wait_for_turn(root, "That is all.", channel)


async def press(
    bot: RunningBot, answer: dict[str, Any], action: str, person: str = "ada", channel: str = "#general", **more: Any
) -> None:
    await bot.sandbox.press(person, channel, answer["ts"], f"kvasir:{action}", **more)


async def vote(bot: RunningBot, answer: dict[str, Any], value: str, person: str = "ada") -> None:
    await press(bot, answer, "rate", person, value=value)


async def list_votes(bot: RunningBot) -> dict[str, StoredVote]:
    return {one.voter: one for one in await Feedback(bot.ledger.database).list_current()}


async def wait_for_votes(bot: RunningBot, **expected: Vote) -> dict[str, StoredVote]:
    async def is_stored() -> bool:
        return {person: one.vote for person, one in (await list_votes(bot)).items()} == expected

    await bot.sandbox.wait_until(is_stored, what="votes")
    return await list_votes(bot)


# ── Votes ────────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_everybody_votes_once_and_may_change_the_vote(tmp_path: Path) -> None:
    counted: list[str] = []
    async with run_bot_in_sandbox(tmp_path, dependencies={"record_vote": counted.append}) as bot:
        answer = await ask_and_wait(bot)
        await vote(bot, answer, "positive")
        await wait_for_ephemeral(bot, "Thank you for your vote.")
        await vote(bot, answer, "positive", "bo")
        await wait_for_votes(bot, **{ADA: Vote.GOOD, BO: Vote.GOOD})
        await vote(bot, answer, "negative", "bo")
        await bot.sandbox.wait_for_modal(BO)
        votes = await wait_for_votes(bot, **{ADA: Vote.GOOD, BO: Vote.BAD})
        assert votes[BO].answer.question == "how?"
        assert counted == ["good", "good", "bad"]


async def test_a_bad_vote_has_reasons_if_the_person_gives_some(bot: RunningBot) -> None:
    answer = await ask_and_wait(bot)
    await vote(bot, answer, "negative")
    modal = await bot.sandbox.wait_for_modal(ADA)
    assert modal["title"]["text"] == "Why is it bad?"
    boxes, field = modal["blocks"]
    assert [box["value"] for box in boxes["element"]["options"]] == list(VoteReason)
    assert boxes["optional"]
    assert field["optional"]
    chosen = [box for box in boxes["element"]["options"] if box["value"] in {"wrong", "other"}]
    values = {
        "reasons": {"reasons": {"type": "checkboxes", "selected_options": chosen}},
        "comment": {"comment": {"type": "plain_text_input", "value": "The number is 7."}},
    }
    await bot.sandbox.submit("ada", modal["id"], values)
    await bot.sandbox.wait_delivered()

    async def has_reasons() -> bool:
        return bool((await list_votes(bot))[ADA].reasons)

    await bot.sandbox.wait_until(has_reasons)
    stored = (await list_votes(bot))[ADA]
    assert (stored.reasons, stored.comment) == ((VoteReason.WRONG, VoteReason.OTHER), "The number is 7.")
    await vote(bot, answer, "positive")
    votes = await wait_for_votes(bot, **{ADA: Vote.GOOD})
    assert (votes[ADA].reasons, votes[ADA].comment) == ((), "")


async def test_what_was_typed_stays_in_the_form_if_it_cannot_be_stored(bot: RunningBot) -> None:
    await vote(bot, await ask_and_wait(bot), "negative")
    modal = await bot.sandbox.wait_for_modal(ADA)
    values = {
        "reasons": {"reasons": {"type": "checkboxes", "selected_options": []}},
        "comment": {"comment": {"type": "plain_text_input", "value": "The number is 7."}},
    }
    await run_script(bot.ledger.database, "ALTER TABLE bot_feedback RENAME TO away")
    await bot.sandbox.submit("ada", modal["id"], values)
    await bot.sandbox.wait_until(lambda: bot.sandbox.view(modal["id"]).get("errors"), what="the reason in the form")
    await run_script(bot.ledger.database, "ALTER TABLE away RENAME TO bot_feedback")
    await bot.sandbox.submit("ada", modal["id"], values)
    await bot.sandbox.wait_until(lambda: not bot.sandbox.view(modal["id"]), what="the end of the form")
    assert (await list_votes(bot))[ADA].comment == "The number is 7."


async def run_script(database: Database, statement: str) -> None:
    await database.write(lambda connection: connection.exec_driver_sql(statement))


async def test_the_form_is_in_the_language_of_the_person(bot: RunningBot) -> None:
    answer = await ask_and_wait(bot)
    await vote(bot, answer, "negative", "chen")
    assert (await bot.sandbox.wait_for_modal("U0CHEN0003"))["title"]["text"] == "哪里不好？"


async def test_feedback_on_an_erased_answer_is_refused(bot: RunningBot) -> None:
    answer = await ask_and_wait(bot)
    await vote(bot, answer, "negative")
    modal = await bot.sandbox.wait_for_modal(ADA)
    key = QuestionKey(TEAM_ID, answer["channel"], answer["root"])
    await bot.ledger.database.write(lambda connection: erase_answer(connection, key))
    assert await list_votes(bot) == {}
    await bot.sandbox.submit("ada", modal["id"], {})
    await wait_for_ephemeral(bot, "I do not store this answer")
    await vote(bot, answer, "positive", "bo")
    await wait_for_ephemeral(bot, "I do not store this answer", person="bo")
    assert await list_votes(bot) == {}


@pytest.mark.parametrize(("route", "has_buttons"), [("engine", True), ("passages", True), ("unknown", False)])
async def test_answers_from_documents_have_the_buttons(tmp_path: Path, *, route: Any, has_buttons: bool) -> None:
    async def answer_by_route(_question: Question) -> AsyncGenerator[AnswerEvent]:
        yield Text("That is all.")
        yield Finished(route, (), {})

    access = {"access": Access(frozenset({BO}))}
    async with run_bot_in_sandbox(tmp_path, script=answer_by_route, dependencies=access) as bot:
        answer = await ask_and_wait(bot)
        names = ("rate", "answer-again", "delete-answer")
        assert [find_element(answer, f"kvasir:{name}") is not None for name in names] == [has_buttons] * 3
        if has_buttons:
            bin_ = find_element(answer, "kvasir:delete-answer")
            assert bin_ is not None
            assert bin_["visible_to_user_ids"] == [ADA, BO]


# ── Another answer ───────────────────────────────────────────────────────────────────────────────────────────────────


async def test_the_asker_gets_another_answer_in_place_of_the_first(bot: RunningBot) -> None:
    answer = await ask_and_wait(bot)
    await vote(bot, answer, "positive", "bo")
    await wait_for_votes(bot, **{BO: Vote.GOOD})
    bot.answerer.script = make_script("A second answer.")
    await press(bot, answer, "answer-again")
    again = await bot.wait_for_turn(answer["root"], "A second answer.")
    assert again["ts"] == answer["ts"]
    assert "Answered again, as you wished." in get_text(again)
    assert "You asked" not in get_text(again)
    assert len(await bot.list_answers(answer["root"])) == 1
    assert await list_votes(bot) == {}, "the vote was about the first answer"
    [earlier] = await Feedback(bot.ledger.database).list_of_person(TEAM_ID, BO, 9)
    assert (earlier.vote, earlier.is_current) == (Vote.GOOD, False)


async def test_an_edit_after_another_answer_says_what_it_is(bot: RunningBot) -> None:
    answer = await ask_and_wait(bot)
    await press(bot, answer, "answer-again")
    await bot.wait_for_turn(answer["root"], "Answered again")
    await bot.sandbox.edit("ada", "#general", answer["root"], "@Kvasir why?")
    revised = await bot.wait_for_answer(answer["root"], "You asked: why?")
    assert "because the question was edited" in get_text(revised)


async def test_another_answer_is_for_the_asker_and_not_while_one_is_written(bot: RunningBot) -> None:
    answer = await ask_and_wait(bot)
    await press(bot, answer, "answer-again", "bo")
    await wait_for_ephemeral(bot, "Only the person who asked", person="bo")
    bot.answerer.script = script = PausedScript()
    await press(bot, answer, "answer-again")
    await script.paused.wait()
    await press(bot, answer, "answer-again")
    await wait_for_ephemeral(bot, "I am still answering")
    script.resume.set()
    await bot.wait_for_turn(answer["root"], "The second half.")
    assert len(bot.answerer.questions) == 2


async def test_another_answer_counts_as_a_question(tmp_path: Path) -> None:
    limits = {"question_limits": QuestionLimits(1, 0)}
    async with run_bot_in_sandbox(tmp_path, dependencies=limits) as bot:
        answer = await ask_and_wait(bot)
        await press(bot, answer, "answer-again")
        await wait_for_ephemeral(bot, "within a minute")
        await bot.wait_until_idle()
        assert len(bot.answerer.questions) == 1
        [answer_text] = await bot.list_answers(answer["root"])
        assert "You asked: how?" in get_text(answer_text)


# ── Deletion ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("person", ["ada", "bo"])
async def test_the_asker_or_an_owner_deletes_an_answer_with_its_texts(tmp_path: Path, person: str) -> None:
    access = {"access": Access(frozenset({BO}))}
    async with run_bot_in_sandbox(tmp_path, dependencies=access) as bot:
        answer = await ask_and_wait(bot)
        await vote(bot, answer, "positive")
        await wait_for_votes(bot, **{ADA: Vote.GOOD})
        await press(bot, answer, "delete-answer", person)

        async def is_gone() -> bool:
            return all(one["ts"] != answer["ts"] for one in await bot.sandbox.messages())

        await bot.sandbox.wait_until(is_gone, what="deletion")
        await bot.wait_until_idle()
        key = QuestionKey(TEAM_ID, answer["channel"], answer["root"])
        assert await Answers(bot.ledger.database).find_answer(key) is None
        turn = await bot.ledger.find_turn(key)
        assert turn is not None
        assert turn.message.text == ""
        assert await Feedback(bot.ledger.database).list_of_person(TEAM_ID, ADA, 9) == []


async def test_nobody_else_deletes_an_answer(bot: RunningBot) -> None:
    answer = await ask_and_wait(bot)
    await press(bot, answer, "delete-answer", "bo")
    await wait_for_ephemeral(bot, "Only the person who asked", person="bo")
    assert len(await bot.list_answers(answer["root"])) == 1
