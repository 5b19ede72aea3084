"""Tests of the weekly digest to owners."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bot.answering.events import Passage
from bot.answering.verified_answers.verified_answer import VerifiedAnswer
from bot.config.configuration import Access
from bot.storage.answers import Answers, StoredAnswer, StoredPassage
from bot.storage.feedback import Feedback, Vote
from bot.storage.shared_changes import SharedChanges
from bot.storage.turns.questions import QuestionKey
from bot.storage.verified_answers import VerifiedAnswers
from tests.slack.running_bot import (
    FakeLibrary,
    RunningBot,
    get_text,
    make_library_status,
    make_source_status,
    run_bot_in_sandbox,
)
from tests.slack_sandbox import TEAM_ID

ADA, BO, CHEN = "U0ADA00001", "U0BO000002", "U0CHEN0003"
DAY_S = 86_400.0
CITED = StoredPassage(1, "docs", "a.md", "A", "", None, ("c1",))
VERIFIED = VerifiedAnswer(
    id="a1", team=TEAM_ID, question="Who verified <this>?", answer="Ada.", language="en",
    passages=(Passage(1, "docs", "a.md", "A", "", None, "", chunks=("c1",)),), owner=ADA, owner_name="Ada",
    verified_at=0.0, expires_at=time.time() + 3 * DAY_S,
)  # fmt: skip


@pytest.fixture
async def bot(tmp_path: Path, library: FakeLibrary) -> AsyncIterator[RunningBot]:
    """Run a bot with an owner of all sources, Ada, and Chen as the owner of the source ``docs``."""
    access = Access(frozenset({ADA}), {"docs": frozenset({CHEN}), "other": frozenset({BO})})
    async with run_bot_in_sandbox(tmp_path, library=library, dependencies={"access": access}) as running:
        yield running


async def store(
    bot: RunningBot, question: str, channel: str = "C0GENERAL1", *, route: str = "unknown", days: float = 1.0
) -> QuestionKey:
    """Store a question of Bo and its answer from some days ago."""
    asked_at = time.time() - days * DAY_S
    key = QuestionKey(TEAM_ID, channel, f"{asked_at:.6f}")
    cited = (CITED,) if route == "engine" else ()
    answer = StoredAnswer(key, key.ts, BO, "en", question, "No.", cited, route, "r1", created_at=asked_at)
    await Answers(bot.ledger.database).save_answer(answer)
    return key


async def read_digest(bot: RunningBot, person: str) -> str:
    """Send the digest and return what a person gets, "" for nothing."""
    await bot.app.run_scheduled("digest")
    found: list[dict[str, Any]] = await bot.sandbox.messages("@kvasir", person)
    return "\n".join(text for text in map(get_text, found) if text.startswith(("*The last week", "*Kvasir 一周")))


async def test_owner_hears_of_the_week(bot: RunningBot, library: FakeLibrary) -> None:
    await store(bot, "Where is the <key>?")
    await store(bot, "An old question?", days=8.0)
    await store(bot, "A secret of Bo?", "D0BO")
    await store(bot, "In a channel without Ada?", "C0UNKNOWN1")
    key = await store(bot, "Was this right?", route="engine")
    for voter in (BO, CHEN):
        await Feedback(bot.ledger.database).save_vote(key, voter, Vote.BAD)
    late = make_source_status("docs", hours=50.0)
    failing = make_source_status("other", error="It is down. Check it.")
    library.state = make_library_status(late, failing, make_source_status("fine"))
    verified = VerifiedAnswers(bot.ledger.database, SharedChanges(bot.ledger.database))
    for changed in (VERIFIED, replace(VERIFIED, id="a2", question="Is it fine?", expires_at=time.time() + 90 * DAY_S)):
        await verified.save_answer(changed)
    digest = await read_digest(bot, "ada")
    assert "*3 questions without an answer*" in digest
    assert "• Where is the &lt;key&gt;?\n" in digest
    assert "2 more were asked in direct messages" in digest
    assert not any(text in digest for text in ("old question", "secret of Bo", "without Ada", "Is it fine?"))
    assert "*1 answer with a bad vote*" in digest
    assert "• Was this right?" in digest
    assert "*2 sources fail or are older" in digest
    assert "other: It is down" in digest
    assert "Who verified &lt;this&gt;? · valid until" in digest
    assert await read_digest(bot, "ada") == digest, "once a day"


async def test_owner_of_one_source_hears_of_that_source_alone(bot: RunningBot, library: FakeLibrary) -> None:
    await store(bot, "Where is the key?")
    key = await store(bot, "Was this right?", route="engine")
    await Feedback(bot.ledger.database).save_vote(key, BO, Vote.BAD)
    library.state = make_library_status(
        make_source_status("docs", error="Down. Check it."), make_source_status("other")
    )
    digest = await read_digest(bot, "chen")
    assert "1 个来源出错" in digest
    assert "Was this right?" in digest
    assert "Where is the key?" not in digest
    assert await read_digest(bot, "bo") == "", "nothing of the other source"


async def test_long_digest_is_complete(bot: RunningBot, library: FakeLibrary) -> None:
    failing = [make_source_status(f"source-{n}", error=f"{'It is down. ' * 20}Check it.") for n in range(40)]
    library.state = make_library_status(*failing)
    await VerifiedAnswers(bot.ledger.database, SharedChanges(bot.ledger.database)).save_answer(VERIFIED)
    digest = await read_digest(bot, "ada")
    assert "source-39: It is down." in digest
    assert "Who verified &lt;this&gt;? · valid until" in digest


async def test_owner_without_anything_to_do_gets_no_digest(bot: RunningBot) -> None:
    assert await read_digest(bot, "ada") == ""
