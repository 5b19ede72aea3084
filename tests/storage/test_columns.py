"""Tests that every text of people can be stored, whatever characters it has."""

from __future__ import annotations

import time
from dataclasses import replace

import sqlalchemy as sa
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from bot.storage.answers import Answers
from bot.storage.channels.channel_settings import ChannelSettings, ChannelSettingsStore
from bot.storage.columns import make_storable
from bot.storage.feedback import Feedback, Vote, VoteReason
from bot.storage.refresh_records import RefreshRecord, RefreshRecords
from bot.storage.shared_changes import SharedChanges
from bot.storage.tables import tables
from bot.storage.turns.ledger import Ledger
from bot.storage.turns.questions import QuestionKey, QuestionMessage
from bot.storage.verified_answers import VerifiedAnswers
from tests.storage.test_answers import KEY, PASSAGE, make_answer
from tests.storage.test_verified_answers import ANSWER

anything = st.text(st.characters(categories=None), max_size=20)


async def store_everywhere(ledger: Ledger, text: str) -> list[str]:
    """Store a text wherever people's texts are stored; return what is read back."""
    database, changes = ledger.database, SharedChanges(ledger.database)
    message = QuestionMessage(QuestionKey("T1", "C1", f"{time.time_ns()}"), "1.1", "U1", text)
    await ledger.claim_question(message)
    await ledger.edit_question(replace(message, text=f"{text} new"), "2")
    answers = Answers(database)
    passage = replace(PASSAGE, title=text, document=text)
    await answers.save_answer(replace(make_answer(text=text), question=text, passages=(passage,)))
    votes = Feedback(database)
    await votes.save_vote(KEY, "U1", Vote.BAD)
    await votes.save_reasons(KEY, "U1", [VoteReason.OTHER], text)
    verified = VerifiedAnswers(database, changes)
    cited = replace(ANSWER.passages[0], title=text)
    fields = {"question": text, "answer": text, "owner_name": text}
    await verified.save_answer(replace(ANSWER, **fields, phrasings=(text,), passages=(cited,)))
    await ChannelSettingsStore(database, "T1", changes).save_settings("C1", ChannelSettings(sources=(text,)), "U1")
    await RefreshRecords(database, "T1").save_record(
        RefreshRecord("C1", message.key.ts, text, approves=False, language="en")
    )
    turn, answer = await ledger.find_turn(message.key), await answers.find_answer(KEY)
    [vote, *_] = await votes.list_bad("T1", 1)
    [stored] = await verified.list_answers("T1")
    assert turn is not None
    assert answer is not None
    return [
        turn.message.text.removesuffix(" new"),
        answer.question,
        answer.answer,
        vote.comment,
        stored.question,
        stored.answer,
        stored.owner_name,
    ]


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=anything)
@example("NUL \x00 and \ud83d half")
async def test_every_text_can_be_stored(ledger: Ledger, text: str) -> None:
    stored = await store_everywhere(ledger, text)
    assert set(stored) == {make_storable(text)}


def test_no_column_of_the_bot_has_another_kind_of_text() -> None:
    plain = [
        f"{table.name}.{column.name}"
        for table in tables.sorted_tables
        for column in table.c
        if isinstance(column.type, sa.Text)
    ]
    assert plain == []
