"""The answers of benchmarks of turns: an engine quotes 600 words of the passages in its prompt, all at once."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator, Sequence
from functools import cache

from engine.interfaces import (
    ANONYMOUS,
    ChatMessage,
    ContentDelta,
    Delta,
    EngineState,
    EngineStatus,
    Requester,
    Sampling,
    StreamEnd,
)

CHUNKS = 600
_QUESTION_NUMBER = re.compile(r"bench (\d+)\b")
_PASSAGE = re.compile(r"<passage (\d+): [^\n]*\n(.*?)</passage>", re.DOTALL)
_SENTENCE = re.compile(r"\b[A-Z](?:[^.|#>`]|\.(?=\S)){20,400}\.(?=\s|$)")


class QuotingEngine:
    """A ChatEngine that answers with sentences of its passages, each once, because a repetition ends an answer.

    Each word is a chunk. It records when each question arrived, and how many answers were read to their end. With
    ``pauses``, the loop may do something else between two words, as it does with a real engine.
    """

    context_tokens = 32_768

    def __init__(self, *, pauses: bool = False) -> None:
        self.reached: dict[str, float] = {}
        self.read = 0
        self._pauses = pauses

    def status(self) -> EngineStatus:
        return EngineStatus(EngineState.READY, model="bench")

    def count_tokens(self, text: str) -> int:
        return len(text) // 4

    async def stream(
        self,
        messages: Sequence[ChatMessage],
        sampling: Sampling,
        *,
        request_id: str,
        requester: Requester = ANONYMOUS,  # noqa: ARG002
    ) -> AsyncIterator[Delta]:
        at = time.perf_counter()
        del sampling, request_id
        if found := _QUESTION_NUMBER.findall(messages[-1].content):
            self.reached[found[-1]] = at
        for word in _quote_words(messages):
            yield ContentDelta(word)
            if self._pauses:
                await asyncio.sleep(0)
        self.read += 1
        yield StreamEnd("stop")


def _quote_words(messages: Sequence[ChatMessage]) -> list[str]:
    passages = [match for message in messages for match in _PASSAGE.finditer(message.content)]
    sentences = {key: words for match in passages for key, words in _quote_sentences(match[2], match[1]).items()}
    words = [word for sentence in sentences.values() for word in sentence]
    if len(words) < CHUNKS:
        raise ValueError(f"the passages have sentences of {len(words)} words only")
    return words[:CHUNKS]


@cache
def _quote_sentences(passage: str, number: str) -> dict[str, list[str]]:
    """Return the sentences of a passage, each with the words of its quotation."""
    found = _SENTENCE.findall(passage)
    return {one: [f"{word} " for word in f"{one[:-1]} [{number}].".split()] for one in found}
