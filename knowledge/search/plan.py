"""Plan the search for a question: its words and its scope. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from knowledge.interfaces import ANY_MEMBER, Scope, Viewers
from knowledge.lexical.terms import query_terms
from knowledge.search.identifiers import Identifier, find_identifiers
from knowledge.search.query import match_sources, parse_query

QUERY_CHARACTERS: Final = 8192
"""Characters of a question. A longer one keeps its first and its last half of this many. The embedder reads 512
tokens."""


@dataclass(frozen=True, slots=True)
class QueryPlan:
    """A question in the forms in which it is searched, and the scope of the search."""

    question: str
    """The question as typed, with its filters."""
    words: str
    """The question without filters, and shortened."""
    terms: str
    names: tuple[Identifier, ...]
    scope: Scope
    limit: int
    join: bool
    """Whether to join hits to readable passages (``Hit.context``)."""

    @property
    def is_empty(self) -> bool:
        """Return whether there are no words or no sources to search."""
        return not (self.words and self.scope.sources and self.limit > 0)


def plan_query(
    question: str,
    sources: Mapping[str, str],
    now: datetime,
    *,
    viewers: Viewers = ANY_MEMBER,
    limit: int = 8,
    join: bool = True,
) -> QueryPlan:
    """Return the plan for a question as typed.

    Args:
        question: may have filters (``knowledge.search.query``), which narrow the scope.
        sources: the ids (``SourceKey.id``) of the allowed sources, by their names.
        now: aware; the day from which filters such as "today" count.
        viewers: all who will see the answer.
        limit: the most passages to return.
        join: whether to join hits to readable passages.

    Raises:
        UnknownSource: a filter names a source that is not allowed.
        InvalidFilter: a filter cannot be read.

    """
    parsed = parse_query(question, now)
    chosen = match_sources(parsed.sources, list(sources)) if parsed.sources else sources.keys()
    ids = frozenset(sources[name] for name in chosen)
    scope = Scope(ids, viewers, parsed.kinds, parsed.after, parsed.before)
    return plan_words(parsed.words, scope, limit=limit, join=join, question=question)


def plan_words(words: str, scope: Scope, *, limit: int = 8, join: bool = False, question: str = "") -> QueryPlan:
    """Return the plan for a question without filters."""
    text = shorten_words(words.strip(), QUERY_CHARACTERS)
    return QueryPlan(question or words, text, query_terms(text), find_identifiers(text), scope, limit, join)


def shorten_words(text: str, characters: int) -> str:
    """Return a text of about ``characters`` at most: the beginning and the end of a longer one."""
    half = characters // 2
    return text if len(text) <= characters else f"{text[:half]} {text[-half:]}"
