"""Answer with the verified answer where there is one, and from the documents otherwise."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Final, Protocol

import structlog

from bot.answering.events import AnswerEvent, Finished, Notice, Offer, Question, Sources, Text
from bot.answering.outgoing import release_event
from bot.answering.verified_answers.finder import VerifiedAnswerFinder, find_first_readable
from bot.answering.verified_answers.verified_answer import VerifiedAnswer
from bot.languages.registry import choose_language
from bot.messages.forms import verified
from bot.messages.message import render_message
from knowledge.errors import KnowledgeError

_log = structlog.get_logger("kvasir.verified")

_LOOKUP_S: Final = 1.0
"""How long a question waits for its verified answer before it is answered from the documents."""
_OFFER_S: Final = 2.0
"""How long a complete answer waits for the offer of a similar one."""
_OFFERED_ROUTES: Final = ("engine", "passages", "closest", "unknown")


class Answering(Protocol):
    """Answers from the documents; ``bot.answering.answer`` has the real one."""

    def answer(self, question: Question, /) -> AsyncGenerator[AnswerEvent, None]:
        """Answer a question; closing the generator cancels the answer."""


@dataclass(frozen=True, slots=True)
class VerifiedAnswerer:
    """Puts verified answers before those that are generated."""

    _answerer: Answering
    _finder: VerifiedAnswerFinder

    async def answer(self, question: Question) -> AsyncGenerator[AnswerEvent, None]:
        """Yield the events of the verified answer, or of another one with the offer of a similar verified one.

        All of them have passed ``release_event``.
        """
        if (found := await self._find_same(question)) is not None:
            for event in list_events(found, question):
                yield release_event(event)
            return
        similar = asyncio.create_task(self._finder.find_similar(question), name="similar verified answers")
        try:
            async with aclosing(self._answerer.answer(question)) as events:
                async for event in events:
                    if isinstance(event, Finished) and event.route in _OFFERED_ROUTES:
                        offered = await find_first_readable(self._finder, await _wait_for_similar(similar), question)
                        if offered is not None:
                            yield release_event(Offer(offered.id, offered.question, offered.passages))
                    yield release_event(event)
        finally:
            similar.cancel()
            await asyncio.gather(similar, return_exceptions=True)

    async def _find_same(self, question: Question) -> VerifiedAnswer | None:
        try:
            async with asyncio.timeout(_LOOKUP_S):
                return await self._finder.find_same(question)
        except (KnowledgeError, TimeoutError) as error:
            _log.warning("verified answer not looked up", error=str(error) or type(error).__name__)
            return None


async def _wait_for_similar(similar: asyncio.Task[Sequence[VerifiedAnswer]]) -> Sequence[VerifiedAnswer]:
    try:
        async with asyncio.timeout(_OFFER_S):
            return await asyncio.shield(similar)
    except (KnowledgeError, TimeoutError) as error:
        _log.info("similar verified answer not looked up", error=type(error).__name__)
        return ()


def list_events(found: VerifiedAnswer, question: Question) -> list[AnswerEvent]:
    """Return the events of a verified answer."""
    language = choose_language(question.text)
    notice = render_message(verified.VERIFIED_BY, language, name=found.owner_name, date=found.verified_on)
    return [
        Sources(found.passages),
        Notice(notice),
        Text(found.answer, found.cited),
        Finished("verified", found.cited, {"total": 0.0}),
    ]
