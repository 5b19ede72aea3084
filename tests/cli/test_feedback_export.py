"""Tests of ``kvasir feedback export``: what a line says."""

from __future__ import annotations

import json

from bot.cli.commands.feedback import describe_vote
from bot.storage.answers import StoredAnswer, StoredPassage
from bot.storage.feedback import StoredVote, Vote
from bot.storage.turns.questions import QuestionKey


def test_a_line_does_not_say_who_asked_though_the_answer_cites_her_own_file() -> None:
    """The id of a person's own file begins with the person's."""
    cited = [
        StoredPassage(number, "added", document, "MRN 1234567.md", "", None, ("c1",))
        for number, document in enumerate(("U0ADA00001/MRN 1234567.md", "handbook/leave.md"), 1)
    ]
    key = QuestionKey("T01", "C1", "1.0")
    answer = StoredAnswer(key, key.ts, "U0ADA00001", "en", "What is wrong?", "This. [1]", tuple(cited), "engine", "r1")
    line = describe_vote(StoredVote("U0ADA00001", Vote.BAD, (), "", 1.0, is_current=True, answer=answer))
    assert "U0ADA00001" not in json.dumps(line)
    assert "1234567" not in json.dumps(line)
    assert "handbook/leave.md" in json.dumps(line)
