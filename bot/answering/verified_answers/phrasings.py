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


async def write_phrasings(engine: ChatEngine, question: str, *, within_s: float = _WITHIN_S) -> Sequence[str]:
    """Return phrasings with the same facts as a question, which the engine writes without thinking.

    There are none if the engine is not ready, small, late or failing.
    """
    status = engine.status()
    if status.state is not EngineState.READY or status.small_model:
        return ()
    try:
        async with asyncio.timeout(within_s):
            return accept_phrasings(await _ask_engine(engine, question, within_s), question)
    except (EngineError, TimeoutError):
        return ()


async def _ask_engine(engine: ChatEngine, question: str, within_s: float) -> str:
    sampling = Sampling(temperature=0.6, max_tokens=_TOKENS, thinking_tokens=0)
    messages = (ChatMessage("user", _ASK.format(question=neutralise_control_tokens(question))),)
    deltas = engine.stream(
        messages,
        sampling,
        request_id=f"phrasings-{uuid.uuid4().hex}",
        requester=Requester(answer_timeout_s=within_s),
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
