"""Answers the statements of a checklist for a contract: by rules, and by the engine where it can add something.

A clause of the engine counts only where the text has it, word for word.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from bot.answering.events import Passage
from bot.answering.prompt import Budget
from bot.languages.registry import Language
from bot.messages import checklist as texts
from bot.messages import extraction as shared_texts
from bot.messages.message import join_names
from bot.profiles.checklist.profile import Checklist, Side, Statement
from bot.profiles.checklist.prompt import SCHEMA, Judgement, build_messages, parse_judgement
from bot.profiles.checklist.review import Clause, Label, Review, StatementAnswer
from bot.profiles.checklist.rules import find_clauses, read_clauses
from bot.profiles.document_reader import ReadDocument
from bot.profiles.engine_replies import MODEL_S, RULES_AT_ONCE, RULES_S, ask_each, ask_in_json
from bot.profiles.extraction.extraction import FoundBy
from bot.profiles.extraction.rules import Place
from bot.profiles.profile import choose_text
from bot.profiles.spans import FoldedText, count_words, find_in_texts, split_clauses
from engine.interfaces import ANONYMOUS, ChatEngine, Requester
from knowledge.thread_pool import NamedThreadPool

_MIN_QUOTE_WORDS: Final = 3
"""A shorter quote stands in many clauses."""

_ByRules = tuple[Side | None, tuple[Place, ...]]


@dataclass(frozen=True, slots=True)
class Reviewer:
    """Reviews with one engine, any number of contracts at once."""

    _engine: ChatEngine
    _model_s: float = MODEL_S
    _rules_s: float = RULES_S
    _threads: NamedThreadPool = field(default_factory=lambda: NamedThreadPool("checklist", RULES_AT_ONCE))

    async def review(self, checklist: Checklist, document: ReadDocument, requester: Requester = ANONYMOUS) -> Review:
        """Return the answers to all statements."""
        read = checklist if checklist.reads_text(document.texts) else checklist.without_rules()
        by_rules, unfinished = await self._threads.run(lambda: self._find_all(read, document.texts))
        small = self._engine.status().small_model  # judges worse than rules
        asked = {one.name: one for one in read.statements if document.passages and not (small and one.has_rules)}
        language = document.language

        async def ask(name: str, budget: Budget) -> Judgement | None:
            return await self._ask_statement(checklist, asked[name], document, language, budget, requester)

        replies = await ask_each(self._engine, tuple(asked), ask, self._model_s)
        incomplete = {one.name for one in unfinished} | {name for name, one in replies.by_name.items() if one is None}
        answers = tuple(
            join_answers(
                one,
                document.passages,
                by_rules[one.name],
                replies.by_name.get(one.name),
                is_incomplete=one.name in incomplete,
            )
            for one in read.statements
        )
        late = [one.title["en"] for one in unfinished]
        notices = [
            *([shared_texts.CUT] if document.is_cut else []),
            *([texts.OTHER_LANGUAGE] if document.passages and read is not checklist else []),
            *([] if document.passages else [shared_texts.EMPTY]),
            *([texts.RULES_LATE.fill(names=join_names(late, "en"))] if late else []),
            *([replies.problem] if replies.problem is not None else []),
        ]
        dropped = sum(one.dropped for one in replies.by_name.values() if one is not None)
        return Review(document.title, checklist, answers, dropped, tuple(notices))

    def _find_all(
        self, checklist: Checklist, passages: Sequence[str]
    ) -> tuple[Mapping[str, _ByRules], list[Statement]]:
        """Return what the rules find of each statement, and those that may lack clauses."""
        ends = time.monotonic() + self._rules_s
        found, unfinished, clauses = dict[str, _ByRules](), list[Statement](), read_clauses(passages)
        for one in checklist.statements:
            found[one.name] = find_clauses(one, clauses, lambda: time.monotonic() >= ends)
            if one.has_rules and time.monotonic() >= ends:
                unfinished.append(one)
        return found, unfinished

    async def _ask_statement(
        self,
        checklist: Checklist,
        statement: Statement,
        document: ReadDocument,
        language: Language,
        budget: Budget,
        requester: Requester,
    ) -> Judgement | None:
        """Return what the engine says of a statement; None if its reply is incomplete."""
        search = choose_text(statement.search, language)
        passages = await document.find_passages(search, budget.passages)
        messages = build_messages(checklist, statement, passages, language, budget, self._engine.count_tokens)
        said = await ask_in_json(self._engine, messages, SCHEMA, parse_judgement, requester)
        return None if said is None else await asyncio.to_thread(find_quotes, said, passages)


def find_quotes(said: Judgement, passages: Sequence[Passage]) -> Judgement:
    """Return a judgement with the clauses in which its quotes stand; a quote that no passage has is dropped."""
    folded = {one.n - 1: FoldedText(one.text) for one in passages}
    found = [_find_quote(one, folded) for one in said.quotes]
    places = dict.fromkeys(place for one in found for place in one)
    return replace(said, places=tuple(places), dropped=found.count([]))


def _find_quote(quote: str, texts: Mapping[int, FoldedText]) -> list[Place]:
    if count_words(quote) < _MIN_QUOTE_WORDS or (found := find_in_texts(texts, quote)) is None:
        return []
    number, span = found
    return [Place(number, one) for one in split_clauses(texts[number].original) if one.overlaps(span)]


def join_answers(
    statement: Statement,
    passages: Sequence[Passage],
    by_rules: _ByRules,
    judged: Judgement | None,
    *,
    is_incomplete: bool = False,
) -> StatementAnswer:
    """Return the answer of the rules and the engine together.

    Without a quote that the text has, the engine does not count. Where it contradicts the rules, the answer is unsure.
    So it is where neither found a clause, and one ``is_incomplete``: the rules were stopped, or the reply is unusable.
    """
    side, places = by_rules
    quoted = judged.places if judged is not None and judged.side is not None else ()

    def find(label: Label, found_by: FoundBy, *cited: Place) -> StatementAnswer:
        ordered = sorted(set(cited), key=lambda place: (place.passage, place.span))
        clauses = tuple(Clause(passages[place.passage], place.span) for place in ordered)
        return StatementAnswer(statement, label, clauses, found_by)

    if side is not None:
        if judged is None or not quoted:
            return find(side, "rules", *places)
        return find(side if judged.side == side else "unsure", "both", *places, *quoted)
    if judged is None:
        return find("not_mentioned" if statement.has_rules and not is_incomplete else "unsure", "rules")
    if judged.side is not None:
        return find(judged.side if quoted else "unsure", "model", *quoted)
    return find("not_mentioned", "both" if statement.has_rules and not is_incomplete else "model")
