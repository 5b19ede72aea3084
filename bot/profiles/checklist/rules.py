"""Finds the clauses that entail or contradict a statement by the rules of a profile, without the engine. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from bot.profiles.checklist.profile import SIDES, Side, Statement
from bot.profiles.extraction.rules import Place
from bot.profiles.spans import HEADING_WORDS, FoldedText, count_words, find_item_mark, is_lead_in, split_clauses

_LEAD_IN_CHARACTERS: Final = 1_000


@dataclass(frozen=True, slots=True)
class ReadClause:
    """A clause as rules read it: an item of a list follows what introduces the list."""

    place: Place
    lead_in: Place | None
    said: str
    begins: int
    """Where the clause itself begins in ``said``."""


def read_clauses(texts: Sequence[str]) -> tuple[ReadClause, ...]:
    """Return the clauses of a contract; a list may go on in the next passage."""
    clauses: list[ReadClause] = []
    lead_in: tuple[Place, str] | None = None
    for number, text in enumerate(texts):
        for span in split_clauses(text):
            place, said = Place(number, span), FoldedText(span.cut(text)).text
            mark = find_item_mark(said)
            if mark and lead_in is not None:
                clauses.append(ReadClause(place, lead_in[0], lead_in[1] + said[len(mark) :], len(lead_in[1])))
            elif count_words(said) > HEADING_WORDS:
                clauses.append(ReadClause(place, None, said[len(mark) :], 0))
            if not mark or said.endswith(":"):
                lead_in = (place, f"{said[len(mark) :][-_LEAD_IN_CHARACTERS:]} ") if is_lead_in(said) else None
    return tuple(clauses)


def find_clauses(
    statement: Statement, clauses: Sequence[ReadClause], is_over: Callable[[], bool] = lambda: False
) -> tuple[Side | None, tuple[Place, ...]]:
    """Return the side on which the rules find clauses, and these in the order of the text; (None, ()) without any.

    A pattern that stands earlier in the profile goes before a later one. Once ``is_over``, no further clause is read.
    """
    for side in sorted(SIDES, key=lambda one: one != statement.prefer):
        found = dict.fromkeys(
            clause
            for pattern in statement.patterns[side]
            for clause in clauses
            if not is_over() and _matches(statement, pattern, clause)
        )
        if found:
            cited = list(found)[: statement.most]
            places = {place for one in cited for place in (one.place, one.lead_in) if place is not None}
            return side, tuple(sorted(places, key=lambda place: (place.passage, place.span)))
    return None, ()


def _matches(statement: Statement, pattern: re.Pattern[str], clause: ReadClause) -> bool:
    """Return whether a rule finds something that ends in the clause itself, and nothing excludes the clause."""
    return any(match.end() > clause.begins for match in pattern.finditer(clause.said)) and not any(
        one.search(clause.said) for one in statement.exclude
    )
