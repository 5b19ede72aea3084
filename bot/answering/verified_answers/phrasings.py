"""Let the engine write other ways to ask a question, in English and in Chinese, for an owner to choose from."""

from __future__ import annotations

import asyncio
import re
import uuid
from collections.abc import Sequence
from contextlib import aclosing
from typing import Final

from bot.answering.quoting import neutralise_control_tokens
from bot.answering.verified_answers.same_question import depends_on_day, has_same_facts, is_same_question
from engine.errors import EngineError
from engine.interfaces import ChatEngine, ChatMessage, ContentDelta, EngineState, Requester, Sampling

_ASK: Final = (
    "Write four other ways in which people ask the question below in English, then four in Chinese. Each must ask "
    "exactly the same: keep every number, year, name and negation. Write one question a line and nothing else.\n\n"
    "Question: {question}"
)
_WITHIN_S: Final = 25.0
_TOKENS: Final = 400
_LONGEST: Final = 200
_MOST: Final = 8
_BULLET = re.compile(r"^[\s\-*•>\"“]*(?:\(?\d{1,2}[.):、]\s*)?|[\s\"”]*$")


class PhrasingWriter:
    """Asks the engine for phrasings, without thinking; a small model writes none."""

    def __init__(self, engine: ChatEngine, *, within_s: float = _WITHIN_S) -> None:
        self._engine = engine
        self._within_s = within_s

    async def write_phrasings(self, question: str) -> Sequence[str]:
        """Return phrasings with the same facts as a question; none if the engine is not ready, late or failing."""
        status = self._engine.status()
        if status.state is not EngineState.READY or status.small_model:
            return ()
        try:
            async with asyncio.timeout(self._within_s):
                return accept_phrasings(await self._ask_engine(question), question)
        except (EngineError, TimeoutError):
            return ()

    async def _ask_engine(self, question: str) -> str:
        sampling = Sampling(temperature=0.6, max_tokens=_TOKENS, thinking_tokens=0)
        messages = (ChatMessage("user", _ASK.format(question=neutralise_control_tokens(question))),)
        deltas = self._engine.stream(
            messages,
            sampling,
            request_id=f"phrasings-{uuid.uuid4().hex}",
            requester=Requester(answer_timeout_s=self._within_s),
        )
        text = ""
        async with aclosing(deltas) as stream:  # type: ignore[type-var]  # an engine's stream is a generator
            async for delta in stream:
                if isinstance(delta, ContentDelta):
                    text += delta.text
        return text


def accept_phrasings(written: str, question: str) -> list[str]:
    """Return the lines that ask for the same facts in other words, each once."""
    phrasings: list[str] = []
    for line in written.rpartition("</think>")[2].splitlines():
        text = _BULLET.sub("", line)
        if (
            text.endswith(("?", "？"))
            and len(text) <= _LONGEST
            and has_same_facts(question, text)
            and not depends_on_day(text)
            and not any(is_same_question(text, other) for other in (question, *phrasings))
        ):
            phrasings.append(text)
    return phrasings[:_MOST]
