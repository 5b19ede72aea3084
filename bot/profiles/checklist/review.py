"""The answers to a checklist for one contract, and how programs and people read them. Pure."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from bot.answering.events import Passage
from bot.answering.outgoing import release_text
from bot.languages.registry import Language
from bot.messages import checklist as texts
from bot.messages.message import Message, join_names, render_message
from bot.profiles.checklist.profile import Checklist, Statement
from bot.profiles.extraction.extraction import FoundBy, build_passage, find_page
from bot.profiles.profile import choose_text
from bot.profiles.spans import Span

Label = Literal["entailed", "contradicted", "not_mentioned", "unsure"]
COLUMNS: Final = ("file", "statement", "label", "text", "page", "passage", "start", "end", "found_by")


@dataclass(frozen=True, slots=True)
class Clause:
    """A clause where it stands. Nothing but the text of the passage is ever its text."""

    passage: Passage = dataclasses.field(repr=False)
    span: Span

    @property
    def text(self) -> str:
        """Return the clause as it stands."""
        return self.span.cut(self.passage.text)


@dataclass(frozen=True, slots=True)
class StatementAnswer:
    """The answer to one statement: "entailed" and "contradicted" have clauses, and "not_mentioned" has none."""

    statement: Statement
    label: Label
    clauses: tuple[Clause, ...] = ()
    found_by: FoundBy = "rules"


@dataclass(frozen=True, slots=True)
class Review:
    """The answers to all statements of a checklist, and how many quotes of the engine are not in the text."""

    title: str
    checklist: Checklist = dataclasses.field(repr=False)
    answers: tuple[StatementAnswer, ...] = dataclasses.field(repr=False)
    dropped: int = 0
    notices: tuple[Message, ...] = ()


def build_review_json(review: Review) -> dict[str, object]:
    """Return a review for programs, with the passages in which its offsets count code points."""
    cited = {clause.passage.n: clause.passage for one in review.answers for clause in one.clauses}
    return {
        "file": release_text(review.title),
        "profile": review.checklist.profile.name,
        "statements": {one.statement.name: _build_answer(one) for one in review.answers},
        "dropped": review.dropped,
        "notices": [render_message(one, "en") for one in list_notices(review, "en")],
        "passages": [build_passage(cited[number]) for number in sorted(cited)],
    }


def _build_answer(answer: StatementAnswer) -> dict[str, object]:
    """Return the answer to a statement for programs."""
    return {
        "statement": answer.statement.text["en"],
        "label": answer.label,
        "clauses": [_build_clause(one) for one in answer.clauses],
        "found_by": answer.found_by,
    }


def _build_clause(clause: Clause) -> dict[str, object]:
    return {
        "text": release_text(clause.text),
        "passage": clause.passage.n,
        "start": clause.span.start,
        "end": clause.span.end,
    }


def list_notices(review: Review, language: Language) -> list[Message]:
    """Return what is to be said about a review; titles of statements are in ``language``."""
    unsure = [choose_text(one.statement.title, language) for one in review.answers if one.label == "unsure"]
    return [
        *review.notices,
        *([texts.DROPPED.fill(count=review.dropped)] if review.dropped else []),
        *([texts.UNSURE.fill(names=join_names(unsure, language))] if unsure else []),
        texts.CHECK,
    ]


def list_rows(review: Review) -> Iterator[Sequence[object]]:
    """Yield a row for each clause, and one for each statement without any, for comma-separated values."""
    for one in review.answers:
        name, label, found_by = one.statement.name, one.label, one.found_by
        for clause in one.clauses:
            place = find_page(clause.passage) or "", clause.passage.n, clause.span.start, clause.span.end
            yield name, label, release_text(clause.text), *place, found_by
        if not one.clauses:
            yield name, label, "", "", "", "", "", found_by
