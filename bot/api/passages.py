"""Searches documents for callers of the API, and returns single passages."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Final

from pydantic import BaseModel

from bot.answering.events import Passage
from bot.answering.notices.answer_notices import explain_search_trouble
from bot.answering.outgoing import release_text
from bot.answering.retrieval.channel_filters import add_filters
from bot.answering.transcript import build_passage_json
from bot.api.access import Caller
from bot.api.answers import MOST_CHARACTERS, ApiParts, find_filters
from bot.api.errors import ApiError
from bot.audit.entries import AuditEntry, Event, describe_passage, name_person
from bot.languages.registry import choose_language
from knowledge.interfaces import Hit

_SEPARATOR: Final = "."  # between the ids of the chunks of a passage; each is a UUID
_SEARCH_S: Final = 20.0
_ID: Final = re.compile(r"[0-9a-f-]{36}(?:\.[0-9a-f-]{36}){0,31}")


class FoundPassage(BaseModel):
    """A passage of a document."""

    id: str
    """By which ``fetch`` returns it."""
    title: str
    heading: str
    source: str
    document: str
    url: str
    text: str
    as_of: str
    """When this version was last seen in its source."""


class FoundPassages(BaseModel):
    """The result of a search, best first."""

    passages: list[FoundPassage]
    related: bool
    notices: list[str]  # why passages may be missing, in the language of the query


async def search_passages(parts: ApiParts, caller: Caller, query: str, limit: int) -> FoundPassages:
    """Return the best passages that the caller may read.

    Raises:
        ApiError: the person may read nothing of the key's sources.
        KnowledgeError: the search failed, or a filter cannot be read.
        TimeoutError: the search takes too long.

    """
    within = await find_filters(parts, caller)
    if not any(char.isalnum() for char in query):
        return FoundPassages(passages=[], related=False, notices=[])
    full_query = add_filters(query[:MOST_CHARACTERS], within, datetime.now(UTC))
    async with asyncio.timeout(_SEARCH_S):
        found = await parts.search(full_query, limit=limit, viewers=caller.person.viewers)
    await _record_read(parts, caller, found.hits, {"text": query})
    notices = [] if found.trouble is None else [explain_search_trouble(found.trouble, choose_language(query))]
    return FoundPassages(passages=list(map(_release_hit, found.hits)), related=found.related, notices=notices)


async def fetch_passage(parts: ApiParts, caller: Caller, id_: str) -> FoundPassage:
    """Return the current text of a passage that a search found.

    Raises:
        ApiError: it has changed or is gone, or the caller may not read it; these look alike.
        KnowledgeError: it cannot be read.

    """
    ids, sources = id_.split(_SEPARATOR), caller.key.sources
    hit = await parts.read_passage(ids, caller.person.viewers) if _ID.fullmatch(id_) else None
    if hit is None or (sources and hit.source not in sources):
        text = "There is no such passage, or it has changed. Search again."
        raise ApiError(HTTPStatus.NOT_FOUND, text, "passage_not_found", param="id")
    await _record_read(parts, caller, [hit])
    return _release_hit(hit)


async def _record_read(
    parts: ApiParts, caller: Caller, hits: Sequence[Hit], sealed: Mapping[str, object] | None = None
) -> None:
    """Record who reads which passages, and by which key."""
    passages = [describe_passage(one.source, one.document, one.chunks or [one.id], one.synced_at) for one in hits]
    person = name_person(caller.person.team, caller.person.id)
    facts = {"key": caller.key.id, "passages": passages}
    await parts.audit.record(AuditEntry(Event.READ, person, facts, sealed or {}), required=True)


def build_citation(passage: Passage) -> dict[str, object]:
    """Return where a cited passage stands."""
    return build_passage_json(passage) | {"url": _find_public_url(passage.url)}


def _find_public_url(url: str | None) -> str | None:
    """Return an address that a client can open; None for a path of the bot's machine, whose folders are private."""
    return url if url is not None and url.startswith(("http://", "https://")) else None


def _release_hit(hit: Hit) -> FoundPassage:
    return FoundPassage(
        id=_SEPARATOR.join(hit.chunks or (hit.id,)),
        title=release_text(hit.title),
        heading=release_text(hit.heading),
        source=release_text(hit.source),
        document=release_text(hit.document),
        url=_find_public_url(hit.url) or "",
        text=release_text(hit.context or hit.text),
        as_of=hit.synced_at.isoformat(),
    )
