"""Test the way of a vote from the database over the export into a question of ``make eval-answers``, and its score."""

from __future__ import annotations

import asyncio
import stat
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from bot.__main__ import OK, main
from bot.storage.answers import Answers
from bot.storage.feedback import Feedback, Vote, VoteReason
from bot.storage.turns.ledger import open_ledger
from scripts.answer_feedback import BAD, GOOD, make_feedback_set, read_votes, summarise_votes
from scripts.answer_scores import Record, score
from scripts.eval_answers import settings_of
from tests.storage.test_answers import make_answer

TEXT = "Every member of staff has thirty days of leave [1]."


@dataclass(frozen=True, slots=True)
class Rated:
    """An answer to a question, and the votes on it."""

    ts: str
    votes: tuple[tuple[str, Vote], ...]
    reasons: tuple[VoteReason, ...] = ()
    thread_ts: str = ""


RATED = (
    Rated("1.0", (("U1", Vote.GOOD), ("U2", Vote.GOOD), ("U3", Vote.BAD))),
    Rated("2.0", (("U1", Vote.BAD),), (VoteReason.WRONG,)),
    Rated("3.0", (("U1", Vote.BAD),), (VoteReason.SOURCES,)),
    Rated("4.0", (("U1", Vote.GOOD),), thread_ts="1.0"),
)


@pytest.fixture
def export(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the export of some votes, written by the command."""
    (tmp_path / "docs").mkdir()
    config = tmp_path / "kvasir.toml"
    config.write_text('[[source]]\nname = "docs"\nkind = "folder"\npath = "docs"\n')
    (tmp_path / "home").mkdir()
    monkeypatch.setenv("KVASIR_HOME", str(tmp_path / "home"))
    asyncio.run(store_votes(settings_of(make_feedback_set([]), tmp_path, config).database_url))
    path = tmp_path / "votes.jsonl"
    assert main(["feedback", "export", str(path), "--config", str(config)]) == OK
    return path


async def store_votes(url: str) -> None:
    async with open_ledger(url) as ledger:
        feedback = Feedback(ledger.database)
        for rated in RATED:
            answer = replace(make_answer(rated.ts, text=TEXT), thread_ts=rated.thread_ts or rated.ts)
            await Answers(ledger.database).save_answer(answer)
            for user, vote in rated.votes:
                await feedback.save_vote(answer.key, user, vote)
                await feedback.save_reasons(answer.key, user, rated.reasons, "")


def make_record(text: str, document: str) -> Record:
    return Record("q", "kvasir", text, text, False, False, ((1, document, "Thirty days."),))


def test_an_export_says_what_was_shown_and_not_who_voted(export: Path) -> None:
    votes = read_votes(export)
    assert len(votes) == 6
    assert stat.S_IMODE(export.stat().st_mode) == 0o600
    [wrong] = [vote for vote in votes if vote["reasons"] == ["wrong"]]
    assert (wrong["question"], wrong["answer"], wrong["model"], wrong["route"]) == ("Why?", TEXT, "R1", "engine")
    assert wrong["passages"][0]["chunks"] == ["c1", "c2"]
    assert wrong["verdicts"] == {"marked": 1, "removed": 0}
    assert "U1" not in export.read_text(encoding="utf-8")
    assert summarise_votes(votes) == {
        "R1, engine": {
            "answers": 4,
            "good votes": 3,
            "bad votes": 3,
            "reasons": {"wrong": 1, "sources": 1},
            "marked": 4,
            "removed": 0,
        }
    }


def test_rated_answers_become_questions(export: Path) -> None:
    items = {item.id: item for item in make_feedback_set(read_votes(export)).items}
    assert {name: item.set for name, item in items.items()} == {"T1/C1/1.0": GOOD, "T1/C1/2.0": BAD}
    liked, wrong = items["T1/C1/1.0"], items["T1/C1/2.0"]
    assert score(liked, make_record("It is thirty [1].", "a.md")).good
    assert not score(liked, make_record("It is thirty [1].", "b.md")).good
    assert not score(liked, make_record("It is thirty.", "a.md")).good
    assert score(wrong, make_record("It is forty days now [1].", "b.md")).good
    assert not score(wrong, make_record("every member of staff  has thirty days of leave. [1]", "b.md")).good
