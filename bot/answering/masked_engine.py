"""An engine on another host that gets placeholders in the place of personal data and secrets.

Each request has placeholders of its own, numbered as they appear, so that a conversation keeps its prefix cache. What
comes back was in the prompt, whose passages every viewer of the answer may read.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace

from engine.interfaces import (
    ANONYMOUS,
    ChatMessage,
    ContentDelta,
    Delta,
    EngineWrapper,
    ReasoningDelta,
    Requester,
    Sampling,
    StreamEnd,
    StreamRestart,
)
from knowledge.masking import PlaceholderDecoder, Placeholders, Recogniser

_SPARE_SHARE = 16  # one token of so many is kept for placeholders


@dataclass(frozen=True, slots=True)
class MaskedEngine(EngineWrapper):
    """Hides private text from an engine; implements ``ChatEngine`` and ``OptionScorer``."""

    _recogniser: Recogniser

    @property
    def context_tokens(self) -> int:
        """Return the length of the context window in tokens, without what placeholders may take more than originals."""
        return self._engine.context_tokens - self._engine.context_tokens // _SPARE_SHARE

    async def stream(
        self, messages: Sequence[ChatMessage], sampling: Sampling, *, request_id: str, requester: Requester = ANONYMOUS
    ) -> AsyncGenerator[Delta, None]:
        """Stream an answer with the originals; see ``engine.interfaces.ChatEngine.stream``."""
        placeholders = Placeholders(self._recogniser)
        hidden = await asyncio.to_thread(_hide_messages, placeholders, messages)  # a long prompt takes 50 ms
        thought, answer = PlaceholderDecoder(placeholders), PlaceholderDecoder(placeholders)
        async with aclosing(
            self._engine.stream(hidden, sampling, request_id=request_id, requester=requester)
        ) as deltas:
            async for delta in deltas:
                match delta:
                    case ReasoningDelta(text):
                        yield ReasoningDelta(thought.decode(text))
                        continue
                    case ContentDelta(text):
                        yield ContentDelta(answer.decode(text))
                        continue
                    case StreamRestart():
                        thought, answer = PlaceholderDecoder(placeholders), PlaceholderDecoder(placeholders)
                    case StreamEnd():
                        if rest := thought.flush():
                            yield ReasoningDelta(rest)
                        if rest := answer.flush():
                            yield ContentDelta(rest)
                yield delta

    async def score_options(
        self,
        messages: Sequence[ChatMessage],
        options: Sequence[str],
        *,
        request_id: str,
        timeout_s: float,
        requester: Requester = ANONYMOUS,
    ) -> tuple[float, ...]:
        """Return the probability of each option; see ``engine.interfaces.OptionScorer.score_options``."""
        hidden = await asyncio.to_thread(_hide_messages, Placeholders(self._recogniser), messages)
        return await self._engine.score_options(
            hidden, options, request_id=request_id, timeout_s=timeout_s, requester=requester
        )


def _hide_messages(placeholders: Placeholders, messages: Sequence[ChatMessage]) -> list[ChatMessage]:
    texts = placeholders.hide_texts([message.content for message in messages])
    return [replace(message, content=text) for message, text in zip(messages, texts, strict=True)]
