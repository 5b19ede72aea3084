"""Takes the values of a profile out of a document: rules find them, and the engine where it can add some.

A value of the engine counts only where the text has it. An engine that does not answer costs only its own values.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import structlog

from bot.answering.events import Passage
from bot.answering.prompt import Budget
from bot.languages.registry import Language
from bot.messages import extraction as texts
from bot.messages.message import join_names
from bot.profiles.document_reader import ReadDocument
from bot.profiles.engine_replies import MODEL_S, RULES_AT_ONCE, RULES_S, ask_each, ask_in_json
from bot.profiles.extraction.extraction import Extraction, Value, make_value
from bot.profiles.extraction.profile import ExtractionProfile, Field, build_reply_schema
from bot.profiles.extraction.prompt import build_messages, parse_reply
from bot.profiles.extraction.rules import Place, find_places
from bot.profiles.profile import choose_text
from bot.profiles.spans import FoldedText, extend_to_sentences, find_in_texts
from engine.interfaces import ANONYMOUS, ChatEngine, Requester
from knowledge.thread_pool import NamedThreadPool

_log = structlog.get_logger("kvasir.extraction")

_MAX_ASKED: Final = 12
"""The most values of one reply: small models repeat themselves in long lists."""


@dataclass(frozen=True, slots=True)
class _Reply:
    """What the engine found of one field."""

    places: tuple[Place, ...] = ()
    dropped: int = 0
    is_incomplete: bool = False


@dataclass(frozen=True, slots=True)
class Extractor:
    """Extracts with one engine, for any number of documents at once."""

    _engine: ChatEngine
    _model_s: float = MODEL_S
    _rules_s: float = RULES_S
    _threads: NamedThreadPool = field(default_factory=lambda: NamedThreadPool("extraction", RULES_AT_ONCE))

    async def extract(
        self, profile: ExtractionProfile, document: ReadDocument, requester: Requester = ANONYMOUS
    ) -> Extraction:
        """Return the values of a document."""
        found, unfinished = await self._threads.run(lambda: self._find_places(profile, document.texts))
        # A small model finds less than rules, and invents more.
        is_small = self._engine.status().small_model
        asked = {one.name: one for one in profile.fields if document.passages and not (one.patterns and is_small)}
        language = document.language

        async def ask(name: str, budget: Budget) -> _Reply:
            return await self._ask_field(profile, asked[name], document, language, budget, requester)

        replies = await ask_each(self._engine, tuple(asked), ask, self._model_s)
        absent = _Reply(is_incomplete=replies.is_late)
        by_name = {name: replies.by_name.get(name, absent) for name in asked}
        values = [
            value
            for one in profile.fields
            for value in _join_places(one, document.passages, found[one.name], by_name.get(one.name, absent).places)
        ]
        incomplete = [name for name, reply in by_name.items() if reply.is_incomplete]
        notices = [
            *([texts.CUT] if document.is_cut else []),
            *([] if document.passages else [texts.EMPTY]),
            *([texts.RULES_LATE.fill(names=join_names(unfinished, "en"))] if unfinished else []),
            *([replies.problem] if replies.problem is not None else []),
            *([texts.INCOMPLETE.fill(names=join_names(incomplete, "en"))] if incomplete else []),
        ]
        dropped = sum(one.dropped for one in by_name.values())
        _log.info("document extracted", profile=profile.profile.name, values=len(values), dropped=dropped)
        return Extraction(document.title, profile, tuple(values), dropped, tuple(notices))

    def _find_places(
        self, profile: ExtractionProfile, passages: Sequence[str]
    ) -> tuple[dict[str, list[Place]], list[str]]:
        ends = time.monotonic() + self._rules_s
        return find_places(profile, passages, lambda: time.monotonic() >= ends)

    async def _ask_field(
        self,
        profile: ExtractionProfile,
        field: Field,
        document: ReadDocument,
        language: Language,
        budget: Budget,
        requester: Requester,
    ) -> _Reply:
        passages = await document.find_passages(choose_text(field.question, language), budget.passages)
        messages = build_messages(profile, field, passages, language, budget, self._engine.count_tokens)
        schema = build_reply_schema(min(field.most, _MAX_ASKED))
        written = await ask_in_json(self._engine, messages, schema, parse_reply, requester)
        if written is None:
            return _Reply(is_incomplete=True)
        places = await asyncio.to_thread(_find_written, field, written, passages)
        return _Reply(tuple(one for one in places if one is not None), places.count(None))


def _find_written(field: Field, written: Sequence[str], passages: Sequence[Passage]) -> list[Place | None]:
    """Return where each different value of a reply stands, None for one that no passage has."""
    texts = {one.n - 1: FoldedText(one.text) for one in passages}
    return [_find_place(field, one, texts) for one in dict.fromkeys(written) if one.strip()]


def _find_place(field: Field, value: str, texts: Mapping[int, FoldedText]) -> Place | None:
    if (found := find_in_texts(texts, value, field.type)) is None:
        return None
    passage, span = found
    return Place(passage, extend_to_sentences(texts[passage], span) if field.is_sentence else span)


def _join_places(
    field: Field, passages: Sequence[Passage], by_rules: Iterable[Place], by_model: Iterable[Place]
) -> list[Value]:
    """Return the values of a field: those of the rules, and what the engine adds elsewhere."""
    rules, model = list(by_rules), list(dict.fromkeys(by_model))
    values = [
        make_value(
            field,
            passages[place.passage],
            place.span,
            "both" if any(place.overlaps(other) for other in model) else "rules",
        )
        for place in rules
    ]
    added = [one for one in model if not any(one.overlaps(other) for other in rules)]
    values += [make_value(field, passages[one.passage], one.span, "model") for one in added]
    return sorted(values[: field.most], key=lambda value: (value.passage.n, value.span))
