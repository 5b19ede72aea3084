"""What is searched for a question of a conversation: in the documents, and on the web. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from bot.answering.events import Exchange, Question
from bot.answering.retrieval.channel_filters import add_filters
from bot.answering.retrieval.follow_ups import (
    Mask,
    build_search_query,
    build_web_query,
    find_mentioned_people,
    keep_questions_only,
    mask_people,
)
from bot.answering.retrieval.question_rewriting import accept_rewrite, is_comparable
from bot.answering.retrieval.web_routing import strip_links, strip_web_prefix
from knowledge.control_characters import strip_control_characters
from knowledge.interfaces import LiveWebRequest
from knowledge.masking import MASK, mask_secrets
from knowledge.search.query import separate_filters


@dataclass(frozen=True, slots=True)
class SearchPlan:
    """One search."""

    query: str
    """The query for the documents, with filters."""
    live: LiveWebRequest | None
    """The request for the web; None if it may not be searched."""
    within_s: float
    starts_over: bool
    """Whether the question has filters of its own, so that passages of earlier answers do not stay."""
    withheld: str = ""
    """The words with masks that are not searched, because the configuration does not let them leave; "" for none."""


def plan_search(
    typed: str,
    question: Question,
    history: Sequence[Exchange],
    rewritten: str | None,
    *,
    live: LiveWebRequest | None,
    documents_s: float,
    now: datetime,
    mask: Mask = mask_secrets,
) -> SearchPlan:
    """Return what to search.

    Args:
        typed: the question with its filters, without the words that ask for the web.
        question: what else is known of it.
        history: the exchanges before (``remove_web_wishes``).
        rewritten: the question as the engine makes it stand alone; None if it does not.
        live: what the web may be asked.
        documents_s: how long the search of the documents may take.
        now: aware.
        mask: hides what no search engine may get.

    Raises:
        InvalidFilter: no document can satisfy the filters of the question and of the channel.

    """
    words, filters = separate_filters(typed)
    web, withheld = (
        (None, "") if live is None else _word_request(live, words or typed, question, history, rewritten, mask)
    )
    query = add_filters(build_search_query(typed, history, rewritten), question.asker.within, now)
    return SearchPlan(query, web, documents_s + (web.within_s if web else 0.0), bool(filters), withheld)


def remove_web_wishes(history: Sequence[Exchange]) -> list[Exchange]:
    """Return the exchanges without the words that ask for the web; several lines may be one question."""
    return [
        replace(
            said,
            question=_strip_wishes(said.question),
            quotes=tuple(replace(quote, text=_strip_wishes(quote.text)) for quote in said.quotes),
        )
        for said in history
    ]


def _strip_wishes(text: str) -> str:
    return "\n".join(strip_web_prefix(line)[0] for line in text.splitlines())


def _word_request(
    live: LiveWebRequest, words: str, question: Question, history: Sequence[Exchange], rewritten: str | None, mask: Mask
) -> tuple[LiveWebRequest | None, str]:
    """Return it with what is searched on the web, and the words that are withheld.

    The words are those that people wrote, without links that are read anyway. The request is None if there is nothing
    else in it than what is withheld.
    """
    policy = question.asker.policy
    if question.approved_words and policy.private_words == "ask":
        return replace(live, words=mask(question.approved_words)), ""
    words = " ".join(words.split())
    history = [replace(said, question=" ".join(said.question.split())) for said in history]
    names = find_mentioned_people(words, history, question.asker.people)
    masked, questions = mask_people(words, names, mask), keep_questions_only(history, names, mask)
    # An engine that rewrites may leave the @ out, and with it what tells a colleague's name from others.
    alone = None
    if rewritten is not None and not names and is_comparable(rewritten):
        alone = accept_rewrite(rewritten, masked, questions)
    searched = strip_links(alone or build_web_query(masked, questions))
    if live.search and policy.searches and policy.private_words != "mask":
        asked, hidden = {said.question for said in history}, {said.question for said in questions}
        own = strip_links(words)
        if mask_people(own, names, mask) != own or (MASK in searched and not hidden <= asked):
            from knowledge.web.searching.web_search import shorten_query  # noqa: PLC0415 - only where the web is on

            shown = mask_people(shorten_query(strip_control_characters(searched)), names, mask)
            return (replace(live, search=False) if live.links else None), shown
    return replace(live, words=searched, search=live.search and any(map(str.isalnum, searched))), ""
