"""Answers questions of the API as a direct message would be answered, and checks the rights while it does."""

from __future__ import annotations

import time
import uuid
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Final, NoReturn

import structlog

from bot.answering.asker import Asker, restrict_to_guidelines
from bot.answering.events import AnswerEvent, Exchange, Finished, Notice, Offer, Passage, Question, Sources, Text
from bot.answering.guidance import Guidance
from bot.answering.policy import Policy, narrow_policy
from bot.answering.retrieval.channel_filters import restrict_sources
from bot.answering.retrieval.web_routing import strip_documents_prefix, strip_web_prefix
from bot.answering.verified_answers.verified_answerer import Answering
from bot.api.access import ApiAccess, Caller
from bot.api.errors import ApiError
from bot.audit.audited_profiles import AuditedProfiles
from bot.audit.entries import NO_AUDIT, AuditEntry, AuditLog, Event, name_person
from bot.config.configuration import Configuration
from bot.profiles.transactions.policy_passages import SearchDocuments
from bot.slack.people.viewers import may_see_answer
from bot.slack.turns.dependencies import FindPassage, FindSalt
from bot.storage.preferences import PersonalPreferences
from knowledge.errors import InvalidFilter
from knowledge.library import Library

_log = structlog.get_logger("kvasir.api")

MOST_CHARACTERS: Final = 20_000  # of a question or a search
MOST_HISTORY: Final = 20
HISTORY_CHARACTERS: Final = 4_000  # of each earlier question


@dataclass(frozen=True, slots=True)
class ApiParts:
    """The parts of the bot that the API uses."""

    access: ApiAccess
    answerer: Answering
    """Its events have passed ``release_event``."""
    library: Library
    search: SearchDocuments
    read_passage: FindPassage
    find_salt: FindSalt
    preferences: PersonalPreferences
    configuration: Configuration
    audit: AuditLog = NO_AUDIT
    guidance: Mapping[str, Guidance] = field(default_factory=dict)
    """The profiles that a request may name, by name."""
    document_profiles: AuditedProfiles | None = None
    """None where no profile is applied to files."""


@dataclass(frozen=True, slots=True)
class AskedQuestion:
    """What a request asks, in whichever format it came."""

    text: str
    history: Sequence[str] = ()
    wants_web: bool = False
    profile: str | None = None
    """The name of the profile whose guidelines answer; None for answers from all sources."""


async def find_filters(parts: ApiParts, caller: Caller) -> str:
    """Return the filters for the sources of a key, "" for all sources.

    Raises:
        ApiError: the person may read nothing of them.
        DatabaseError: what the person may read cannot be found out.

    """
    if not caller.key.sources:
        return ""
    rule = " ".join(f'in:"{name}"' for name in caller.key.sources)
    readable = await parts.library.count_readable(caller.person.viewers)
    within = restrict_sources(rule, readable, datetime.now(UTC))
    if within is None:
        await _refuse(parts, caller, "This person may read nothing of the key's sources.", "nothing_readable")
    return within


async def build_question(parts: ApiParts, caller: Caller, asked: AskedQuestion) -> Question:
    """Return the question with what applies to its person in a direct message.

    Of a conversation only what the person asked counts. Answers that a client sends back are not read: nobody knows
    which passages they were written from.

    Raises:
        ApiError: the person may read nothing of the key's sources, or the profile cannot be used.
        DatabaseError: what the person may read cannot be found out.

    """
    person = caller.person
    text, wants_web = strip_web_prefix(asked.text[:MOST_CHARACTERS])
    text, wants_documents = strip_documents_prefix(text)
    chosen = await parts.preferences.find_or_default(person.team, person.id)
    policy = Policy() if caller.key.sources else parts.configuration.web.everywhere
    asker = Asker(
        person.id,
        person.team,
        person.viewers,
        key=caller.key.id,
        cache_salt=await parts.find_salt(person.viewers),
        names=person.names,
        within=await find_filters(parts, caller),
        policy=narrow_policy(policy, person.viewers),
        depth=chosen.depth or parts.configuration.thinking.everywhere,
        length=chosen.length,
    )
    return Question(
        text,
        tuple(Exchange(question[:HISTORY_CHARACTERS], "") for question in asked.history[-MOST_HISTORY:]),
        asker if asked.profile is None else await _apply_profile(parts, caller, asker, asked.profile),
        id=f"api-{uuid.uuid4().hex}",
        wants_documents=wants_documents,
        wants_web=wants_web or asked.wants_web,
        written=(*asked.history, asked.text),
    )


async def _apply_profile(parts: ApiParts, caller: Caller, asker: Asker, name: str) -> Asker:
    """Return the asker who gets answers from the guidelines of a profile.

    Raises:
        ApiError: there is no such profile, the key's sources have no guideline, or the person may read none.
        DatabaseError: what the person may read cannot be found out.

    """
    if (guidance := parts.guidance.get(name)) is None:
        text = f"There is no such profile of kind guidance. There are: {', '.join(sorted(parts.guidance)) or 'none'}."
        raise ApiError(HTTPStatus.NOT_FOUND, text, "unknown_profile", param="profile")
    try:
        restricted = restrict_to_guidelines(asker, guidance, datetime.now(UTC))
    except InvalidFilter:
        text = "The sources of this key have no guideline. Use another key, or leave the profile out."
        raise ApiError(HTTPStatus.FORBIDDEN, text, "no_guidelines", param="profile") from None
    readable = await parts.library.count_readable(asker.viewers)
    within = restrict_sources(restricted.within, readable, datetime.now(UTC))
    if within is None:
        await _refuse(parts, caller, "This person may read nothing of the guidelines.", "nothing_readable")
    return replace(restricted, within=within)


async def answer_caller(parts: ApiParts, caller: Caller, asked: AskedQuestion) -> AsyncGenerator[AnswerEvent, None]:
    """Yield the events of an answer; before each that shows something, check the key, the person and the rights.

    Raises:
        ApiError: the key was revoked, or a right to the passages was lost.
        DatabaseError: these cannot be found out.

    """
    started, outcome = time.perf_counter(), "stopped"
    question = await build_question(parts, caller, asked)
    passages: tuple[Passage, ...] = ()
    try:
        async with aclosing(parts.answerer.answer(question)) as events:
            async for event in events:
                if isinstance(event, Sources):
                    passages = event.passages
                if isinstance(event, (Sources, Text, Notice, Offer, Finished)):
                    shown = event.passages if isinstance(event, Offer) else passages
                    await _confirm_rights(parts, caller, question, shown)
                outcome = event.route if isinstance(event, Finished) else outcome
                yield event
    finally:
        seconds = round(time.perf_counter() - started, 3)
        _log.info(
            "api answer", id=question.id, key=caller.key.id, user=caller.person.id, route=outcome, seconds=seconds
        )


async def _confirm_rights(parts: ApiParts, caller: Caller, question: Question, passages: Sequence[Passage]) -> None:
    """Check that the person may still see an answer from these passages.

    A person who holds less than before must be able to read every passage, and none may be a page of the web.
    """
    now = (await parts.access.confirm_caller(caller)).viewers
    chunks = frozenset(chunk for passage in passages for chunk in passage.chunks)
    holds_less = not may_see_answer(now, question.asker.viewers)
    are_documents = bool(passages) and all(passage.chunks for passage in passages)
    if (holds_less and not are_documents) or not chunks <= await parts.library.filter_current(chunks, now):
        text = "The documents, or the right to read them, changed while the answer was written. Ask again."
        await _refuse(parts, caller, text, "rights_changed")


async def _refuse(parts: ApiParts, caller: Caller, text: str, code: str) -> NoReturn:
    """Record in the audit that somebody may not read what a request needs, and raise the error."""
    person = name_person(caller.person.team, caller.person.id)
    await parts.audit.record(AuditEntry(Event.REFUSAL, person, {"key": caller.key.id, "reason": code}))
    raise ApiError(HTTPStatus.FORBIDDEN, text, code)
