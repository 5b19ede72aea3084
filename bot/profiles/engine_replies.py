"""Asks the engine questions about a document, several at once, each of which it answers in JSON.

An engine that does not answer costs only its own replies.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Any, Final, Generic, TypeVar

from bot.answering.prompt import Budget, ContextTooSmall, plan_budget
from bot.messages import answers
from bot.messages import extraction as texts
from bot.messages.errors import explain_error
from bot.messages.message import Message
from engine.errors import EngineError, EngineUnavailable
from engine.interfaces import (
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

_T = TypeVar("_T")

MODEL_S: Final = 600.0
"""For all replies about a document; callers wait somewhat longer, and get what came until then."""
RULES_S: Final = 120.0
"""For all rules about a document; no passage is begun later."""
RULES_AT_ONCE: Final = 2
"""Documents that rules read at the same time; the threads that others use stay free."""
_AT_ONCE: Final = 4
"""Questions that are asked at the same time: a server answers several requests together."""
_REPLY_S: Final = 240.0
"""For one reply."""
_THINKING_TOKENS: Final = 512
"""A grammar holds only behind an open thought, so a model that thinks may think shortly."""
_ANSWER_TOKENS: Final = 768
_SMALL_ANSWER_TOKENS: Final = 160


@dataclass(frozen=True, slots=True)
class Replies(Generic[_T]):
    """What the engine replied, and why some replies are missing."""

    by_name: Mapping[str, _T]
    problem: Message | None = None
    is_late: bool = False
    """Whether the missing ones took too long."""


async def ask_each(
    engine: ChatEngine, names: Sequence[str], ask: Callable[[str, Budget], Awaitable[_T]], total_s: float
) -> Replies[_T]:
    """Return the replies about all names; the first trouble of the engine or the embedder ends it."""
    if not names:
        return Replies({})
    status, places = engine.status(), asyncio.Semaphore(_AT_ONCE)
    if status.state not in {EngineState.READY, EngineState.DEGRADED}:
        return Replies({}, _explain_trouble(EngineUnavailable(NoteCode.NOT_RUNNING.fill())))
    context_tokens = engine.context_tokens
    try:
        budget = plan_budget(context_tokens, small_model=status.small_model, depth="off")
    except ContextTooSmall:
        reason = answers.CONTEXT_TOO_SMALL.fill(tokens=context_tokens)
        return Replies({}, texts.NO_ENGINE.fill(reason=reason))
    replies, troubles = dict[str, _T](), list[EngineError | EmbedderError]()

    async def ask_one(name: str) -> None:
        async with places:
            if troubles:
                return
            try:
                replies[name] = await ask(name, budget)
            except (EngineError, EmbedderError) as error:
                troubles.append(error)

    try:
        async with asyncio.timeout(total_s), asyncio.TaskGroup() as group:
            for one in names:
                group.create_task(ask_one(one))
    except TimeoutError:
        return Replies(replies, texts.LATE, is_late=True)
    return Replies(replies, _explain_trouble(troubles[0]) if troubles else None)


async def ask_in_json(
    engine: ChatEngine,
    messages: Sequence[ChatMessage],
    schema: Mapping[str, Any],
    parse: Callable[[str], _T | None],
    requester: Requester,
) -> _T | None:
    """Return a parsed reply; None if the model wrote no such JSON, with a thought and without.

    Raises:
        EngineError: the engine does not answer.

    """
    sampling = Sampling(
        temperature=0.0,
        top_p=1.0,
        max_tokens=_SMALL_ANSWER_TOKENS if engine.status().small_model else _THINKING_TOKENS + _ANSWER_TOKENS,
        thinking_tokens=_THINKING_TOKENS,
        json_schema=dict(schema),
    )
    reply = parse(await _collect_reply(engine, messages, sampling, requester))
    if reply is None:  # the thought used up the tokens; without it, the grammar holds no model that thinks
        closed = replace(sampling, thinking_tokens=0, json_schema=None)
        reply = parse(await _collect_reply(engine, messages, closed, requester))
    return reply


async def _collect_reply(
    engine: ChatEngine, messages: Sequence[ChatMessage], sampling: Sampling, requester: Requester
) -> str:
    """Return a whole reply without its thought."""
    text = thought = ""
    requester = replace(requester, answer_timeout_s=_REPLY_S, has_shown_output=lambda: False)
    stream = engine.stream(messages, sampling, request_id=f"extract-{uuid.uuid4().hex}", requester=requester)
    try:
        async with asyncio.timeout(_REPLY_S), aclosing(stream) as deltas:  # type: ignore[type-var]  # an engine's stream is a generator
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
