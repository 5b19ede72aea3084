"""Takes the values of a profile out of a document: rules find them, and the engine where it can add some.

A value of the engine counts only where the text has it. An engine that does not answer costs only its own values.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Iterable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from typing import Final

import structlog

from bot.answering.events import Passage
from bot.answering.prompt import Budget, ContextTooSmall, plan_budget
from bot.languages.registry import Language
from bot.messages import answers
from bot.messages import extraction as texts
from bot.messages.errors import explain_error
from bot.messages.message import Message, join_names
from bot.profiles.document_reader import ReadDocument
from bot.profiles.extraction.extraction import Extraction, Value, make_value
from bot.profiles.extraction.profile import ExtractionProfile, Field, build_reply_schema
from bot.profiles.extraction.prompt import build_messages, parse_reply
from bot.profiles.extraction.rules import Place, find_places
from bot.profiles.spans import FoldedText, extend_to_sentences, find_value
from engine.errors import EngineError, EngineUnavailable
from engine.interfaces import (
    ANONYMOUS,
    ChatEngine,
    ChatMessage,
    ContentDelta,
    EngineState,
    ReasoningDelta,
    Requester,
    Sampling,
    StreamRestart,
)
from engine.notes import NoteCode
from knowledge.errors import EmbedderError
from knowledge.thread_pool import NamedThreadPool

_log = structlog.get_logger("kvasir.extraction")

_AT_ONCE: Final = 4
"""Fields that are asked about at the same time: a server answers several requests together."""
_FIELD_S: Final = 240.0
"""For the reply about one field."""
_MODEL_S: Final = 600.0
"""For all replies about a document; callers wait somewhat longer, and get what came until then."""
_RULES_S: Final = 120.0
"""For the rules of all fields; no passage is begun later."""
_RULES_AT_ONCE: Final = 2
"""Documents that rules read at the same time; the threads that others use stay free."""
_THINKING_TOKENS: Final = 512
"""A grammar holds only behind an open thought, so a model that thinks may think shortly."""
_ANSWER_TOKENS: Final = 768
_SMALL_ANSWER_TOKENS: Final = 160
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
    _model_s: float = _MODEL_S
    _rules_s: float = _RULES_S
    _threads: NamedThreadPool = field(default_factory=lambda: NamedThreadPool("extraction", _RULES_AT_ONCE))

    async def extract(
        self, profile: ExtractionProfile, document: ReadDocument, requester: Requester = ANONYMOUS
    ) -> Extraction:
        """Return the values of a document."""
        found, unfinished = await self._threads.run(lambda: self._find_places(profile, document.texts))
        asked = [one for one in profile.fields if self._should_ask(one)]
        replies, problem = await self._ask_fields(profile, asked, document, requester)
        values = [
            value
            for one in profile.fields
            for value in _join_places(one, document.passages, found[one.name], replies.get(one.name, _Reply()).places)
        ]
        incomplete = [one.name for one in asked if replies.get(one.name, _Reply()).is_incomplete]
        notices = [
            *([texts.CUT] if document.is_cut else []),
            *([] if document.passages else [texts.EMPTY]),
            *([texts.RULES_LATE.fill(names=join_names(unfinished, "en"))] if unfinished else []),
            *([problem] if problem is not None else []),
            *([texts.INCOMPLETE.fill(names=join_names(incomplete, "en"))] if incomplete else []),
        ]
        dropped = sum(one.dropped for one in replies.values())
        _log.info("document extracted", profile=profile.profile.name, values=len(values), dropped=dropped)
        return Extraction(document.title, profile, tuple(values), dropped, tuple(notices))

    def _find_places(
        self, profile: ExtractionProfile, passages: Sequence[str]
    ) -> tuple[dict[str, list[Place]], list[str]]:
        ends = time.monotonic() + self._rules_s
        return find_places(profile, passages, lambda: time.monotonic() >= ends)

    def _should_ask(self, field: Field) -> bool:
        """Return whether the engine may add something: a small model finds less than rules, and invents more."""
        return not (field.patterns and self._engine.status().small_model)

    async def _ask_fields(
        self, profile: ExtractionProfile, fields: Sequence[Field], document: ReadDocument, requester: Requester
    ) -> tuple[dict[str, _Reply], Message | None]:
        """Return the replies by field, and why some are missing."""
        if not fields or not document.passages:
            return {}, None
        status, places = self._engine.status(), asyncio.Semaphore(_AT_ONCE)
        if status.state not in {EngineState.READY, EngineState.DEGRADED}:
            return {}, _explain_trouble(EngineUnavailable(NoteCode.NOT_RUNNING.fill()))
        context_tokens = self._engine.context_tokens
        try:
            budget = plan_budget(context_tokens, small_model=status.small_model, depth="off")
        except ContextTooSmall:
            return {}, texts.NO_ENGINE.fill(reason=answers.CONTEXT_TOO_SMALL.fill(tokens=context_tokens))
        language, replies, troubles = document.language, dict[str, _Reply](), list[EngineError | EmbedderError]()

        async def ask(field: Field) -> None:
            async with places:
                if troubles:
                    return
                try:
                    replies[field.name] = await self._ask_field(profile, field, document, language, budget, requester)
                except (EngineError, EmbedderError) as error:
                    troubles.append(error)

        try:
            async with asyncio.timeout(self._model_s), asyncio.TaskGroup() as group:
                for one in fields:
                    group.create_task(ask(one))
        except TimeoutError:
            missing = {one.name: _Reply(is_incomplete=True) for one in fields}
            return missing | replies, texts.LATE
        return replies, _explain_trouble(troubles[0]) if troubles else None

    async def _ask_field(
        self,
        profile: ExtractionProfile,
        field: Field,
        document: ReadDocument,
        language: Language,
        budget: Budget,
        requester: Requester,
    ) -> _Reply:
        question = field.question.get(language, field.question["en"])
        passages = await document.find_passages(question, budget.passages)
        messages = build_messages(profile, field, passages, language, budget, self._engine.count_tokens)
        small = self._engine.status().small_model
        sampling = Sampling(
            temperature=0.0,
            top_p=1.0,
            max_tokens=_SMALL_ANSWER_TOKENS if small else _THINKING_TOKENS + _ANSWER_TOKENS,
            thinking_tokens=_THINKING_TOKENS,
            json_schema=build_reply_schema(min(field.most, _MAX_ASKED)),
        )
        written = parse_reply(await self._collect_reply(messages, sampling, requester))
        if written is None:  # the thought used up the tokens; without it, the grammar holds no model that thinks
            closed = replace(sampling, thinking_tokens=0, json_schema=None)
            written = parse_reply(await self._collect_reply(messages, closed, requester))
        if written is None:
            return _Reply(is_incomplete=True)
        places = await asyncio.to_thread(_find_written, field, written, passages)
        return _Reply(tuple(one for one in places if one is not None), places.count(None))

    async def _collect_reply(self, messages: Sequence[ChatMessage], sampling: Sampling, requester: Requester) -> str:
        """Return a whole reply without its thought."""
        text = thought = ""
        requester = replace(requester, answer_timeout_s=_FIELD_S, has_shown_output=lambda: False)
        stream = self._engine.stream(messages, sampling, request_id=f"extract-{uuid.uuid4().hex}", requester=requester)
        try:
            async with asyncio.timeout(_FIELD_S), aclosing(stream) as deltas:  # type: ignore[type-var]  # an engine's stream is a generator
                async for delta in deltas:
                    match delta:
                        case ContentDelta(part):
                            text += part
                        case ReasoningDelta(part):
                            thought += part
                        case StreamRestart():
                            text = thought = ""
        except TimeoutError:
            raise EngineUnavailable(NoteCode.LATE_CONTINUATION.fill()) from None
        return text or thought  # some servers send all as thinking


def _explain_trouble(trouble: EngineError | EmbedderError) -> Message:
    return texts.NO_ENGINE.fill(reason=explain_error(trouble))


def _find_written(field: Field, written: Sequence[str], passages: Sequence[Passage]) -> list[Place | None]:
    """Return where each different value of a reply stands, None for one that no passage has."""
    texts = [(one.n - 1, FoldedText(one.text)) for one in passages]
    return [_find_place(field, one, texts) for one in dict.fromkeys(written) if one.strip()]


def _find_place(field: Field, value: str, texts: Sequence[tuple[int, FoldedText]]) -> Place | None:
    for passage, text in texts:
        if (span := find_value(text, value, field.type)) is not None:
            return Place(passage, extend_to_sentences(text, span) if field.is_sentence else span)
    return None


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
    kept = values[: field.most]
    return sorted(kept, key=lambda value: (value.passage.n, value.span))
