"""Decides which part of a stored answer is shared. Pure."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import cast, get_args

from bot.answering.events import AnswerEvent, Finished, Notice, Passage, Route, Sources, Text
from bot.languages.registry import Language
from bot.messages import answers
from bot.messages.forms import sharing
from bot.messages.message import Message, render_message
from bot.slack.conversations.thread_loader import ThreadMessage
from bot.storage.answers import StoredAnswer


def find_reason_against(answer: StoredAnswer) -> Message | None:
    """Return why an answer is shared with nobody, rights apart; None if there is no such reason."""
    if any(passage.is_material for passage in answer.passages):
        return sharing.FROM_FILES
    return sharing.FROM_EARLIER if answer.thread_ts != answer.key.ts else None


def collect_chunks(answer: StoredAnswer, messages: Collection[ThreadMessage]) -> frozenset[str] | None:
    """Return the chunks from which an answer was written: those that it cites, and all that the model had read.

    ``messages`` are those of the answer's thread. None stands for unknown chunks: of a page of the web, or of an answer
    whose message does not have them.
    """
    written_from = [message.chunks for message in messages if message.is_ours and message.answers == answer.key.ts]
    if not written_from or None in written_from or not all(passage.chunks for passage in answer.passages):
        return None
    found = frozenset(chunk for chunks in written_from for chunk in chunks or ())
    return found.union(chunk for passage in answer.passages for chunk in passage.chunks)


def list_events(answer: StoredAnswer, chunks: frozenset[str], language: Language) -> tuple[AnswerEvent, ...]:
    """Return the events of an answer that a channel gets, for people who read ``language``.

    ``chunks`` are those from which it was written. The first source stands for all of them, so that rights to what the
    answer does not cite are checked, too.
    """
    passages = tuple(_read_passages(answer))
    sources = tuple(replace(one, chunks=tuple(sorted(chunks))) for one in passages[:1]) + passages[1:]
    route = cast("Route", answer.route) if answer.route in get_args(Route) else "engine"
    are_extracts = route == "passages" and not answer.marked
    under = [answers.WARNING] if answer.marked else []
    under += [answers.LEFT_OUT.fill(count=answer.removed)] if answer.removed else []
    return (
        Sources(sources),
        *([Notice(render_message(answers.EXTRACTS, language))] if are_extracts else []),
        Text(answer.answer, passages),
        *(Notice(render_message(message, language)) for message in under),
        Finished(
            route,
            passages,
            {"total": answer.seconds},
            marked_count=answer.marked,
            removed_count=answer.removed,
            extracted_passages=passages if route in {"passages", "closest"} else (),
        ),
    )


def _read_passages(answer: StoredAnswer) -> Sequence[Passage]:
    return [
        Passage(
            one.n,
            one.source,
            one.document,
            one.title,
            one.heading,
            one.url,
            "",
            datetime.fromisoformat(one.as_of).astimezone(UTC) if one.as_of else None,
            chunks=one.chunks,
        )
        for one in answer.passages
    ]


def format_day(answer: StoredAnswer) -> str:
    """Return the day of an answer."""
    return f"{datetime.fromtimestamp(answer.created_at, UTC):%Y-%m-%d}"
