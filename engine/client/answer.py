"""One answer as it arrives, from bytes to deltas; never awaits."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from engine.client import wire
from engine.client.reasoning import ReasoningDecoder
from engine.client.sse import EventTooLong, SseDecoder
from engine.errors import EngineInterrupted
from engine.interfaces import Delta, Done, Usage

_ANSWER_BYTES = 64 << 20
"""No answer's stream is longer; a server that sends more is broken."""


class AnswerDecoder:
    """One answer as it arrives: bytes in, deltas out; never awaits."""

    def __init__(self, reasoning: ReasoningDecoder) -> None:
        """Take what tells thinking from answer."""
        self.began = False
        self.ended = False
        self._sse = SseDecoder()
        self._reasoning = reasoning
        self._finish: Literal["stop", "length", "abort"] | None = None
        self._usage = Usage()
        self._bytes = 0

    @property
    def waits_for(self) -> str:
        """Return what is missing, for an error."""
        return "no next token" if self.began else "no first token"

    def take(self, chunk: bytes) -> Iterator[Delta]:
        """Yield the deltas that ``chunk`` brings, an error only after what came before it; an empty one is the end."""
        self._bytes += len(chunk)
        if self._bytes > _ANSWER_BYTES:
            raise EventTooLong
        for data in self._sse.decode(chunk) if chunk else self._sse.flush():
            yield from self._begun(self._event(data))
        if not chunk and not self.ended:
            yield from self._begun(self._end())

    def _begun(self, deltas: list[Delta]) -> list[Delta]:
        self.began = self.began or bool(deltas)
        return deltas

    def _event(self, data: str) -> list[Delta]:
        if self.ended:
            return []
        if data.strip() == "[DONE]":
            return self._end()
        event = wire.chat_event(data, began=self.began)
        self._usage = event.usage or self._usage
        self._finish = event.finish or self._finish
        return list(self._reasoning.decode(event.reasoning, event.content))

    def _end(self) -> list[Delta]:
        if self._finish is None:
            raise EngineInterrupted("The engine's answer broke off before its end. Ask again.")
        self.ended = True
        return [*self._reasoning.flush(self._finish), Done(self._finish, self._usage)]
