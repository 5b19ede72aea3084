"""Decode the bytes of one streamed answer into deltas; never awaits."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from engine.client import wire
from engine.client.reasoning import ReasoningDecoder
from engine.client.sse import EventTooLong, SseDecoder
from engine.errors import EngineInterrupted
from engine.interfaces import Delta, StreamEnd, Usage
from engine.notes import EngineNote, NoteCode

_MAX_ANSWER_BYTES = 64 << 20
"""Limit of a whole stream; a server that sends more is broken."""


class AnswerDecoder:
    """Decodes one answer; never awaits."""

    def __init__(self, reasoning: ReasoningDecoder) -> None:
        """Use ``reasoning`` to separate thinking from content."""
        self.has_started = False
        self.is_complete = False
        self._sse = SseDecoder()
        self._reasoning = reasoning
        self._finish: Literal["stop", "length", "abort"] | None = None
        self._usage = Usage()
        self._bytes = 0

    @property
    def missing_part(self) -> EngineNote:
        """Return what is missing, for an error message."""
        return (NoteCode.LATE_CONTINUATION if self.has_started else NoteCode.LATE_BEGINNING).fill()

    def decode(self, chunk: bytes) -> Iterator[Delta]:
        """Yield the deltas of ``chunk``; an empty chunk ends the stream. Errors come after the deltas before them."""
        self._bytes += len(chunk)
        if self._bytes > _MAX_ANSWER_BYTES:
            raise EventTooLong
        for data in self._sse.decode(chunk) if chunk else self._sse.flush():
            yield from self._mark_started(self._decode_event(data))
        if not chunk and not self.is_complete:
            yield from self._mark_started(self._finish_answer())

    def _mark_started(self, deltas: list[Delta]) -> list[Delta]:
        self.has_started = self.has_started or bool(deltas)
        return deltas

    def _decode_event(self, data: str) -> list[Delta]:
        if self.is_complete:
            return []
        if data.strip() == "[DONE]":
            return self._finish_answer()
        event = wire.parse_chat_event(data, began=self.has_started)
        self._usage = event.usage or self._usage
        self._finish = event.finish or self._finish
        return list(self._reasoning.decode(event.reasoning, event.content))

    def _finish_answer(self) -> list[Delta]:
        if self._finish is None:
            raise EngineInterrupted(NoteCode.ENDED_EARLY.fill())
        self.is_complete = True
        return [*self._reasoning.flush(self._finish), StreamEnd(self._finish, self._usage)]
