"""The one place that a text of a document, a page, a person or the model passes before a person reads it.

Everything that decides what may leave belongs here: control characters are removed, and files for others get masks.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from bot.answering.events import AnswerEvent, Finished, InLine, Notice, Offer, Passage, Sources, Step, Text
from bot.answering.masking import Masking, Way
from knowledge.control_characters import strip_control_characters
from knowledge.masking import PRIVATE


def release_text(text: str) -> str:
    """Return what of a text may be shown."""
    return strip_control_characters(text)


def release_to(way: Way, text: str, masking: Masking) -> str:
    """Return what of a text may leave on a way out that masks personal data if it is configured to."""
    released = release_text(text)
    return masking.recogniser.mask(released, PRIVATE) if way in masking.ways else released


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
