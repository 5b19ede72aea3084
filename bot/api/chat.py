"""OpenAI's chat completions: the last message of the user is the question."""

from __future__ import annotations

import time
import uuid
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass, field

from bot.answering.events import AnswerEvent, Finished, Notice, Offer, Text
from bot.answering.transcript import describe_offer
from bot.api.answers import AskedQuestion
from bot.api.passages import build_citation
from bot.api.requests import ChatRequest

MODEL = "kvasir"


def read_question(body: ChatRequest) -> AskedQuestion:
    """Return the question of a conversation, and the earlier ones.

    Only messages of the role ``user`` count. A system message is no instruction of the person who asks.
    """
    texts = [message.text for message in body.messages if message.role == "user"]
    return AskedQuestion(texts[-1] if texts else "", texts[:-1], profile=body.profile)


@dataclass(slots=True)
class Completion:
    """Turns the events of an answer into the text of a completion, and what comes with its last part."""

    wants_reasoning: bool
    id: str = field(default_factory=lambda: f"chatcmpl-{uuid.uuid4().hex}")
    created: int = field(default_factory=lambda: int(time.time()))
    has_text: bool = False
    more: dict[str, object] = field(default_factory=lambda: {"citations": []})
    """What the last part has in addition to OpenAI's fields."""

    def read_event(self, event: AnswerEvent) -> str:
        """Return the text that an event adds, "" for none. A notice is a line of its own in italics."""
        match event:
            case Text(markdown):
                self.has_text = True
                return markdown
            case Notice(text) if text:
                return self._format_notice(text)
            case Offer(_, question):
                return self._format_notice(describe_offer(question))
            case Finished():
                self.more["citations"] = [build_citation(passage) for passage in event.cited]
                if self.wants_reasoning:
                    self.more["reasoning"] = event.reasoning
        return ""

    def _format_notice(self, text: str) -> str:
        before = "\n\n" if self.has_text else ""
        self.has_text = True
        return f"{before}*{text}*\n\n"

    def build_part(self, delta: Mapping[str, object], *, ends: bool = False) -> dict[str, object]:
        """Return a part of a stream."""
        choice = {"index": 0, "delta": delta, "finish_reason": "stop" if ends else None}
        return self._build_body("chat.completion.chunk", choice) | (self.more if ends else {})

    def build_whole(self, text: str) -> dict[str, object]:
        """Return a completion."""
        choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
        return self._build_body("chat.completion", choice) | self.more

    def _build_body(self, kind: str, choice: Mapping[str, object]) -> dict[str, object]:
        return {"id": self.id, "object": kind, "created": self.created, "model": MODEL, "choices": [choice]}


async def repeat_text(text: str) -> AsyncGenerator[AnswerEvent, None]:
    """Yield a text as an answer that cites nothing."""
    yield Text(text)
