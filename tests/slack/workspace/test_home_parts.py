"""What owners, administrators, members and guests see in Home."""

from __future__ import annotations

import contextlib
import time
from collections.abc import AsyncGenerator, AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from bot.answering.events import AnswerEvent, Finished, Question, Text
from bot.audit.entries import NoAuditLog
from bot.config.configuration import Access
from bot.slack.features.operations import ReplicaHeartbeat
from bot.slack.features.refreshes.pending_deletions import APPROVE_DELETION
from bot.slack.features.refreshes.refresh_buttons import REFRESH_SOURCE
from bot.slack.wire.rate_limits import RateLimits
from bot.storage.answers import Answers, StoredAnswer, StoredPassage
from bot.storage.feedback import Feedback, Vote, VoteReason
from bot.storage.replicas import Replicas
from bot.storage.turns.ledger import open_ledger
from bot.storage.turns.questions import QuestionKey
from engine.routing.request_queue import QueueCounts
from knowledge.sync.manifest.records import PendingDeletion
from tests.slack.running_bot import FakeLibrary, RunningBot, make_library_status, make_source_status, run_bot
from tests.slack.workspace.home_views import press_in_home, read_home
from tests.slack_sandbox import TEAM_ID, open_sandbox

pytestmark = pytest.mark.slow

ADA, BO, CHEN = "U0ADA00001", "U0BO000002", "U0CHEN0003"
ACCESS = Access(frozenset({ADA}), {"board": frozenset({BO})})
PENDING = make_source_status(
    "docs",
    pending_deletions=3,
    approval_mark="three",
    first_pending_deletions=tuple(PendingDeletion(f"{n}.md", f"{n}", None) for n in range(3)),
)
FAILING = make_source_status("board", error="db.internal refuses the account.")


@contextlib.asynccontextmanager
async def run_bot_with_sources(tmp_path: Path, **dependencies: Any) -> AsyncIterator[RunningBot]:
    """Run a bot whose owner is Ada, with one source of Bo; members may read ``docs`` alone."""
    library = FakeLibrary(state=make_library_status(PENDING, FAILING), readable={"docs": 7})
    merged = {"access": ACCESS, **dependencies}
    async with (
        open_sandbox(tmp_path) as sandbox,
        run_bot(sandbox, tmp_path, library=library, dependencies=merged) as bot,
    ):
        yield bot


async def store_answer(
    bot: RunningBot, channel: str, question: str, *, user: str = BO, source: str = "", at: float = 0.0
) -> QuestionKey:
    """Store a question, with an answer if a source is cited."""
    key = QuestionKey(TEAM_ID, channel, f"{time.time():.6f}")
    passages = (StoredPassage(1, source, "a.md", "A", "", None),) if source else ()
    route = "engine" if source else "unknown"
    created_at = at or time.time()
    answer = StoredAnswer(key, key.ts, user, "en", question, "So.", passages, route, "r1", created_at=created_at)
    await Answers(bot.ledger.database).save_answer(answer)
    return key


async def find_direct_channel(bot: RunningBot, person: str) -> str:
    """Return the id of a person's direct messages with the bot."""
    ts = await bot.sandbox.say(person, "@kvasir", "thanks!")
    await bot.wait_until_idle()
    (message,) = [one for one in await bot.sandbox.messages("@kvasir", person) if one["ts"] == ts]
    return str(message["channel"])


async def test_owner_decides_in_home_what_only_owners_decide(tmp_path: Path) -> None:
    async with run_bot_with_sources(tmp_path) as bot:
        view = str(await read_home(bot, "ada", "For owners"))
        assert "3 documents are missing from the last listing" in view
        assert "*board* failed: db.internal refuses the account." in view
        assert view.count("db.internal") == 1, "the list of sources does not repeat it"
        await press_in_home(bot, "ada", REFRESH_SOURCE)
        await bot.sandbox.wait_until(lambda: bot.library.refreshed == ["board"], what="refresh")
        await bot.sandbox.wait_for_message(lambda m: "Refreshed in" in str(m), channel="@kvasir", person="ada")
        assert str(await bot.sandbox.messages("@kvasir", "ada")).count("Refreshed in") <= 2, "text and block of one"
        bot.library.state = make_library_status(PENDING, make_source_status("board"))
        await press_in_home(bot, "ada", APPROVE_DELETION)
        await bot.sandbox.wait_until(lambda: bot.library.approved == ["docs"], what="approval")


async def test_owner_of_one_source_sees_that_source_alone(tmp_path: Path) -> None:
    """What went unanswered belongs to no source, so it is for the owners of all."""
    async with run_bot_with_sources(tmp_path) as bot:
        await store_answer(bot, "C0GENERAL1", "Where is the moon?", user=CHEN)
        for source in ("docs", "board"):
            key = await store_answer(bot, "C0GENERAL1", f"What about {source}?", user=CHEN, source=source)
            await Feedback(bot.ledger.database).save_vote(key, CHEN, Vote.BAD)
            await Feedback(bot.ledger.database).save_reasons(key, CHEN, [VoteReason.OUTDATED], "my secret comment")
        view = str(await read_home(bot, "bo", "For owners"))
        assert "db.internal refuses" in view
        assert "What about board?" in view
        for hidden in ("from the last listing", "What about docs?", "moon", "my secret comment"):
            assert hidden not in view, hidden
        owned = str(await read_home(bot, "ada", "For owners"))
        assert all(words in owned for words in ("What about board?", "What about docs?", "Where is the moon?"))
        assert "my secret comment" not in owned


@pytest.mark.parametrize("person", ["chen", "gus", "noor"])
async def test_others_see_nothing_of_what_owners_and_administrators_see(tmp_path: Path, person: str) -> None:
    """A guest and a person of another company get a Home too, without a name or a number that is not for them."""
    async with run_bot_with_sources(tmp_path) as bot:
        await store_answer(bot, "C0GENERAL1", "Where is the moon?")
        bot.library.readable = {"docs": 7} if person == "chen" else {}
        home = await read_home(bot, person)
        view = str(home)
        assert sum(block["type"] == "header" for block in home["blocks"]) == 5, "none for owners or administrators"
        for hidden in ("board", "db.internal", "the last listing", "moon", "Queue", "队列", "heartbeat", "心跳"):
            assert hidden not in view
        assert ("docs" in view) is (person == "chen")
        if person != "chen":
            assert "No source has documents that you may read" in view


async def test_questions_are_shown_to_people_of_their_conversation_alone(tmp_path: Path) -> None:
    """Those in other people's direct messages and in channels where the owner is not are only counted."""
    async with run_bot_with_sources(tmp_path) as bot:
        await bot.sandbox.channel("secret", id="C0SECRET01", kind="group", members=[CHEN, "U0KVASIR01"])
        direct = await find_direct_channel(bot, "chen")
        await store_answer(bot, direct, "Am I being fired?", user=CHEN)
        await store_answer(bot, "C0SECRET01", "Who gets the bonus?", user=CHEN)
        await store_answer(bot, "C0GENERAL1", "Where is the moon?", user=CHEN)
        view = str(await read_home(bot, "ada", "Questions without an answer"))
        assert "Where is the moon?" in view
        assert "2 more in direct messages and in channels that you cannot see" in view
        assert "fired" not in view
        assert "bonus" not in view


async def test_recent_questions_are_those_where_the_person_still_is(tmp_path: Path) -> None:
    async with run_bot_with_sources(tmp_path) as bot:
        direct = await find_direct_channel(bot, "bo")
        await store_answer(bot, "C0REORG001", "Who leaves?", source="docs")
        await store_answer(bot, direct, "May I know?", source="docs")
        await store_answer(bot, "C0GENERAL1", "Not mine?", user=CHEN, source="docs")
        view = str(await read_home(bot, "bo", "Who leaves?"))
        assert "May I know?" in view
        assert "Not mine?" not in view
        await bot.sandbox.leave("bo", "#reorg")
        await bot.sandbox.wait_delivered()

        async def is_gone() -> bool:
            return "Who leaves?" not in str(await bot.sandbox.home("bo"))

        await bot.sandbox.wait_until(is_gone, what="the question is gone")
        assert "May I know?" in str(await bot.sandbox.home("bo"))


async def test_unanswered_question_is_marked(tmp_path: Path) -> None:
    async def find_nothing(_question: Question) -> AsyncGenerator[AnswerEvent]:
        yield Text("That is all.")
        yield Finished("unknown", (), {"total": 0.1})

    async with run_bot_with_sources(tmp_path) as bot:
        bot.answerer.script = find_nothing
        await bot.wait_for_answer(await bot.ask("@Kvasir where is the moon?"))
        assert "no answer found" in str(await read_home(bot, "ada", "where is the moon?"))


async def test_administrator_sees_queue_and_replicas(tmp_path: Path) -> None:
    """Ada owns the workspace. A replica that has been silent for minutes is marked."""
    audit = NoAuditLog()
    audit.lost = 3
    counts = {"count_requests": lambda: QueueCounts(waiting=4, running=2)}
    async with run_bot_with_sources(tmp_path, audit_log=audit, **counts) as bot:
        old = Replicas(bot.ledger.database, TEAM_ID, "0.0.9", name="server-b|77|1.0|x", now=lambda: time.time() - 600)
        await old.record_heartbeat()
        view = str(await read_home(bot, "ada", "For administrators"))
        assert "4 waiting, 2 running" in view
        assert "version 0.1.0" in view
        assert "No process leads" in view
        assert ":warning: 3 entries of the audit could not be written" in view
        assert ":warning: *server-b* (process 77) · version 0.0.9" in view
        assert view.count(":warning: *server-b*") == 1
        assert "For administrators" not in str(await read_home(bot, "bo", "For owners"))


async def test_living_replicas_divide_slacks_limits(tmp_path: Path) -> None:
    """One of four has been silent for minutes."""
    async with open_ledger(f"sqlite:///{tmp_path / 'kvasir.db'}") as ledger:
        for name, age_s in (("server-b", 0.0), ("server-c", 30.0), ("server-d", 600.0)):
            now = ledger.now() - age_s
            other = Replicas(ledger.database, TEAM_ID, "1", name=f"{name}|77|1|x", now=lambda now=now: now)
            await other.record_heartbeat()
        limits = RateLimits()
        await ReplicaHeartbeat(Replicas(ledger.database, TEAM_ID, "1"), limits).run_once()
        assert sum(limits.updates.try_reserve() for _ in range(100)) == 45 // 3


async def test_largest_home_keeps_slacks_limits(tmp_path: Path) -> None:
    """With more of everything than there is room for, the rest is counted."""
    async with run_bot_with_sources(tmp_path) as bot:
        sources = [
            make_source_status(f"handbook-{n:04}", error="why " * 200, pending_deletions=2, approval_mark="two")
            for n in range(2_000)
        ]
        bot.library.state = make_library_status(*sources)
        for n in range(30):
            await store_answer(bot, "C0GENERAL1", f"{n} " + "why " * 60, user=ADA)
            key = await store_answer(bot, "C0GENERAL1", f"{n} " + "how " * 60, user=BO, source="handbook-0001")
            await Feedback(bot.ledger.database).save_vote(key, CHEN, Vote.BAD)
        for n in range(40):
            await Replicas(bot.ledger.database, TEAM_ID, "1", name=f"server-{n}|1|1.0|{'x' * 9}").record_heartbeat()
        view = await read_home(bot, "ada", "For administrators")
        assert len(view["blocks"]) <= 100
        text = str(view)
        assert "1990 more sources need attention" in text
        assert "and 25 older ones" in text
        assert "no room for" in text
        assert "and 21 more replicas" in text
