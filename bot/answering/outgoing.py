"""The one place that a text of a document, a page, a person or the model passes before a person reads it.

Everything that decides what may leave belongs here. Today that is the removal of control characters.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from bot.answering.events import AnswerEvent, Finished, InLine, Notice, Offer, Passage, Sources, Step, Text
from knowledge.control_characters import strip_control_characters


def release_text(text: str) -> str:
    """Return what of a text may be shown."""
    return strip_control_characters(text)


def release_event(event: AnswerEvent) -> AnswerEvent:
    """Return what of an event may be shown."""
    match event:
        case Text(markdown, cites):
            return replace(event, markdown=release_text(markdown), cites=release_passages(cites))
        case Sources(passages):
            return Sources(release_passages(passages))
        case Notice(text) | InLine(text) | Step(text):
            return replace(event, text=release_text(text))
        case Offer(_, question, passages):
            return replace(event, question=release_text(question), passages=release_passages(passages))
        case Finished():
            return replace(
                event,
                cited=release_passages(event.cited),
                extracted_passages=release_passages(event.extracted_passages),
                reasoning=release_text(event.reasoning),
            )


def release_passages(passages: Iterable[Passage]) -> tuple[Passage, ...]:
    """Return what of the names of passages may be shown."""
    return tuple(
        replace(
            one,
            source=release_text(one.source),
            document=release_text(one.document),
            title=release_text(one.title),
            heading=release_text(one.heading),
        )
        for one in passages
    )
