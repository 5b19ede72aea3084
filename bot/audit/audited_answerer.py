"""Records each question before anything of its answer is shown, and how the answer ended."""

from __future__ import annotations

import re
import uuid
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Final

from bot.answering.events import AnswerEvent, Finished, Notice, Offer, Passage, Question, Sources, Step, Text
from bot.answering.verified_answers.verified_answerer import Answering
from bot.audit.entries import AuditEntry, AuditFailed, AuditLog, Event, describe_passage, name_person
from bot.languages.registry import choose_language
from bot.messages.answers import AUDIT_FAILED
from bot.messages.message import render_message
from knowledge.interfaces import Viewers

_PERSON_ID: Final = re.compile(r"(?=.*[0-9])[UW][A-Z0-9]{7,}")
_MAX_VIEWERS: Final = 20  # more viewers than this are counted and not named


@dataclass(frozen=True, slots=True)
class AuditedAnswerer:
    """Answers by another answerer. With a strict audit, a question without its record gets a sentence instead."""

    unaudited: Answering
    _audit: AuditLog

    async def answer(self, question: Question) -> AsyncGenerator[AnswerEvent, None]:
        """Yield the events of the answer; the question is recorded before its passages are named."""
        turn, is_recorded, end = uuid.uuid4().hex, False, dict[str, object]({"ended": "cut"})
        try:
            async with aclosing(self.unaudited.answer(question)) as events:
                async for event in events:
                    if not is_recorded and isinstance(event, (Sources, Text, Offer, Finished)):
                        passages = event.passages if isinstance(event, (Sources, Offer)) else ()
                        await self._audit.record(_make_question_entry(turn, question, passages), required=True)
                        is_recorded = True
                    _note_end(end, event)
                    yield event
        except AuditFailed:
            end["ended"] = "not recorded"
            language = question.asker.language or choose_language(question.text)
            yield Notice(render_message(AUDIT_FAILED, language))
            yield Finished("unknown", (), {"total": 0.0})
        finally:
            if not is_recorded:
                await self._audit.record(_make_question_entry(turn, question, ()))
            await self._audit.record(_make_answer_entry(turn, question, end))


def make_replay_entry(question: Question, events: Sequence[AnswerEvent]) -> AuditEntry:
    """Return the entry of a complete answer that is shown to other people, or again."""
    passages = [one for event in events if isinstance(event, (Sources, Offer)) for one in event.passages]
    return replace(_make_question_entry("", question, passages), event=Event.READ)


def _make_question_entry(turn: str, question: Question, passages: Sequence[Passage]) -> AuditEntry:
    """Return the entry of a question with the passages that were found for it; ``turn`` is also in the next entry."""
    asker = question.asker
    viewers, audience = _split_viewers(asker.team, asker.viewers)
    is_kept = not asker.is_confidential
    sealed = {
        "text": question.text if is_kept else "",
        "message": question.id,
        "conversation": asker.conversation,
        "files": [one.title for one in question.materials if is_kept],
        "pages": [one.url for one in passages if one.web is not None],
    }
    return AuditEntry(
        Event.QUESTION,
        name_person(asker.team, asker.person),
        {
            **_name_turn(turn, question),
            "viewer_count": len(asker.viewers.people),
            "audience": audience,
            "passages": _list_documents(passages),
        },
        {name: value for name, value in sealed.items() if value},
        {"viewers": viewers if len(viewers) <= _MAX_VIEWERS else ()},
    )


def _list_documents(passages: Sequence[Passage]) -> list[dict[str, object]]:
    return [describe_passage(one.source, one.document, one.chunks, one.as_of) for one in passages if one.is_document]


def _split_viewers(team: str, viewers: Viewers) -> tuple[list[str], list[str]]:
    """Return the viewers whose ids are known, as the audit names them, and what is known of others, as in a channel."""
    people, audience = set[str](), set[str]()
    for principals in viewers.people:
        ids = {one for one in principals if _PERSON_ID.fullmatch(one)}
        people |= ids
        audience |= set() if ids else {one for one in principals if "@" not in one}  # no addresses
    return [name_person(team, one) for one in sorted(people)], sorted(audience)


def _note_end(end: dict[str, object], event: AnswerEvent) -> None:
    """Note what an event says about the end of its answer."""
    match event:
        case Step(stage="search_web"):
            end["web"] = True
        case Offer(answer):
            end["offered"] = answer
        case Finished():
            look = event.web.look
            end |= {
                "ended": event.route,
                "seen": event.is_seen,
                "cited": _list_documents(event.cited),
                "web": look is not None,
                "provider": look.provider if look is not None else "",
                "web_query": look.query if look is not None else "",
                "pages": list(look.read) if look is not None else [],
            }


def _make_answer_entry(turn: str, question: Question, end: dict[str, object]) -> AuditEntry:
    sealed = {name: value for name in ("web_query", "pages") if (value := end.pop(name, None))}
    asker = question.asker
    facts = _name_turn(turn, question) | end
    return AuditEntry(Event.ANSWER, name_person(asker.team, asker.person), facts, sealed)


def _name_turn(turn: str, question: Question) -> dict[str, object]:
    """Return what the entries of a question share; a question by the API has the id of its key."""
    return {"turn": turn, **({"key": question.asker.key} if question.asker.key else {})}
