"""Read an export of ``kvasir feedback export`` as questions of ``make eval-answers``, and sum up the votes. Pure.

A question whose answer people liked is answered well if the new answer cites a document that the liked one cited. If
they called the answer wrong or outdated, the new answer is good if it cites something and repeats no sentence of the
bad one. Follow-ups are left out, because they cannot be understood alone.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from scripts.answer_scores import Item
from scripts.answer_sets import AnswerSet
from scripts.answer_text import split_sentences

GOOD, BAD = "feedback-good", "feedback-bad"
_ANY_ANSWER = ((r"\w",),)
_MARKERS = re.compile(r"\s*\[\d+\]|\s*⚠")
_ABOUT_TEXT = frozenset({"wrong", "outdated"})
_MIN_CHARACTERS = 12
"""Shorter sentences may be right elsewhere."""

Row = Mapping[str, Any]


def read_votes(path: Path) -> list[Row]:
    """Return the votes of an export."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]


def make_feedback_set(votes: Sequence[Row]) -> AnswerSet:
    """Return the rated questions; those with as many bad votes as good ones count as bad."""
    by_answer: dict[str, list[Row]] = {}
    for vote in votes:
        if not vote["follows_up"]:
            by_answer.setdefault(vote["id"], []).append(vote)
    return AnswerSet("feedback", (), tuple(filter(None, map(_make_item, by_answer.values()))))


def _make_item(votes: Sequence[Row]) -> Item | None:
    """Return a rated question; None if its votes do not say which answers are good."""
    first = votes[0]
    bad = [vote for vote in votes if vote["vote"] == "bad"]
    documents = tuple(dict.fromkeys(passage["document"] for passage in first["passages"] if passage["chunks"]))
    if 2 * len(bad) < len(votes):
        pages = documents
        if not pages:
            return None
        return Item(first["id"], GOOD, first["language"], first["question"], facts=_ANY_ANSWER, pages=pages)
    reasons = {reason for vote in bad for reason in vote["reasons"]}
    if reasons and not reasons & _ABOUT_TEXT:
        return None
    wrong = tuple(_list_sentence_patterns(first["answer"]))
    return Item(first["id"], BAD, first["language"], first["question"], facts=_ANY_ANSWER, wrong=wrong)


def _list_sentence_patterns(answer: str) -> Iterator[str]:
    for sentence in split_sentences(answer):
        words = _MARKERS.sub("", sentence).strip(" .。!！?？*_#>-")
        if len(words) >= _MIN_CHARACTERS:
            yield r"\s+".join(map(re.escape, words.split()))


def summarise_votes(votes: Sequence[Row]) -> dict[str, dict[str, Any]]:
    """Return for each model, with its route, the votes, their reasons, and the verdicts on the rated answers."""
    groups: dict[str, list[Row]] = {}
    for vote in votes:
        groups.setdefault(f"{vote['model'] or 'no model'}, {vote['route']}", []).append(vote)
    return {name: _summarise(group) for name, group in sorted(groups.items())}


def _summarise(votes: Sequence[Row]) -> dict[str, Any]:
    answers = {vote["id"]: vote for vote in votes}.values()
    return {
        "answers": len(answers),
        **{f"{word} votes": sum(vote["vote"] == word for vote in votes) for word in ("good", "bad")},
        "reasons": dict(Counter(reason for vote in votes for reason in vote["reasons"])),
        **{verdict: sum(answer["verdicts"][verdict] for answer in answers) for verdict in ("marked", "removed")},
    }
