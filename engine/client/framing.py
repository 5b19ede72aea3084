"""Frame a conversation as token ids, so that user text cannot contain control tokens.

A server that receives text turns everything that looks like a control token into one. Token ids prevent that. Kvasir
has the server frame a test conversation once, and uses only a template that gives the same ids.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from engine.client.tokens import TokenEncoding, Vocabulary
from engine.interfaces import ChatMessage

_OPEN, _CLOSE = "<think>", "</think>"
_NO_THOUGHT: Final = (_OPEN, "\n\n", _CLOSE, "\n\n")
"""The empty thought of a model that must not think; Qwen3's own templates write the same."""


@dataclass(frozen=True, slots=True)
class ChatTemplate:
    """How a model family frames a conversation. Parts that begin with ``<`` are control tokens, others are text."""

    start: tuple[str, ...]
    user: tuple[str, ...]
    assistant: tuple[str, ...]
    user_end: tuple[str, ...] = ()
    assistant_end: tuple[str, ...] = ()
    opening: tuple[str, ...] = ()
    """The parts that follow ``assistant`` where the answer starts."""


R1: Final = ChatTemplate(
    start=("<｜begin▁of▁sentence｜>",),
    user=("<｜User｜>",),
    assistant=("<｜Assistant｜>",),
    assistant_end=("<｜end▁of▁sentence｜>",),
    opening=(_OPEN, "\n"),
)
"""R1, R1-Zero and the distills, whose template opens the thinking."""
R1_0528: Final = replace(R1, opening=())
"""R1-0528, its Qwen3-8B, and snapshots of the others before February 2025: the model opens the thinking."""
QWEN2: Final = ChatTemplate(
    start=(
        "<|im_start|>",
        "system\nYou are Qwen, created by Alibaba Cloud. You are a helpful assistant.",
        "<|im_end|>",
        "\n",
    ),
    user=("<|im_start|>", "user\n"),
    assistant=("<|im_start|>", "assistant\n"),
    user_end=("<|im_end|>", "\n"),
    assistant_end=("<|im_end|>", "\n"),
)
"""Qwen2.5's small models, which do not think; the template writes the system message."""
TEMPLATES: Final = (R1, R1_0528, QWEN2)


@dataclass(frozen=True, slots=True)
class ThinkingIds:
    """The token ids around a thought."""

    open: int
    close: int
    newline: int


@dataclass(frozen=True, slots=True)
class TokenPrompt:
    """A conversation as token ids, with further fields of its request, such as a thinking budget."""

    ids: list[int] = field(repr=False)
    starts_in_thinking: bool
    extra_fields: Mapping[str, Any] = field(default_factory=dict)


class ChatFramer:
    """Frames conversations with one template and one vocabulary."""

    def __init__(self, template: ChatTemplate, vocabulary: TokenEncoding) -> None:
        """Combine a template with a vocabulary.

        Raises:
            KeyError: the vocabulary lacks a control token of the template.

        """
        self.template = template
        self._vocabulary = vocabulary
        special = vocabulary.special
        self.think: ThinkingIds | None = None
        """None for a model that does not think."""
        if _OPEN in special and _CLOSE in special:
            (newline,) = vocabulary.encode("\n")
            self.think = ThinkingIds(special[_OPEN], special[_CLOSE], newline)
        self.frame_conversation((ChatMessage("user", ""), ChatMessage("assistant", ""), ChatMessage("user", "")))

    def frame_conversation(self, messages: Sequence[ChatMessage], *, think: bool = True) -> TokenPrompt:
        """Return the ids of a conversation up to the start of the answer.

        Args:
            messages: the turns, the last one from the user. Earlier answers lose their thinking, as in the model's own
                template.
            think: False starts the answer after an empty thought.

        """
        frame = self.template
        parts = [*frame.start]
        texts: list[tuple[int, str]] = []
        for message in messages:
            is_question = message.role == "user"
            parts += frame.user if is_question else frame.assistant
            texts.append((len(parts), self._extract_text(message)))
            parts += ("", *(frame.user_end if is_question else frame.assistant_end))
        opening = frame.opening if think or self.think is None else _NO_THOUGHT
        parts += (*frame.assistant, *opening)
        return TokenPrompt(self._encode_parts(parts, dict(texts)), bool(opening) and think and self.think is not None)

    def _extract_text(self, message: ChatMessage) -> str:
        thought = self.think is not None and message.role == "assistant"
        return message.content.rpartition(_CLOSE)[2] if thought else message.content

    def _encode_parts(self, parts: Sequence[str], texts: dict[int, str]) -> list[int]:
        """Return the ids of all parts. Adjacent texts are encoded together, as a tokenizer does."""
        ids: list[int] = []
        text: list[str] = []
        for place, part in enumerate(parts):
            if place in texts or not part.startswith("<"):
                text.append(texts.get(place, part))
                continue
            ids += self._vocabulary.encode("".join(text))
            text.clear()
            ids.append(self._vocabulary.special[part])
        return [*ids, *self._vocabulary.encode("".join(text))]


PROBE: Final = (
    ChatMessage("user", "How do I add 2 sources? 怎样添加资料来源？"),
    ChatMessage("assistant", "With `kvasir add`."),
    ChatMessage("user", "And 3?"),
)
"""The test conversation: digits, Chinese, an earlier answer."""


async def find_agreed_framer(
    vocabulary: Vocabulary, fetch_ids: Callable[[Sequence[ChatMessage]], Awaitable[list[int] | None]]
) -> ChatFramer | None:
    """Return the framer whose ids equal those of the server; None if there is none, so that text is sent.

    ``fetch_ids`` has the server frame a conversation, and returns None if it cannot.
    """
    framers = list_framers(vocabulary)
    theirs = await fetch_ids(PROBE) if framers else None
    return next((one for one in framers if one.frame_conversation(PROBE).ids == theirs), None)


def list_framers(vocabulary: Vocabulary) -> tuple[ChatFramer, ...]:
    """Return a framer for each template whose control tokens the vocabulary has."""
    framers: list[ChatFramer] = []
    if not isinstance(vocabulary, TokenEncoding):
        return ()
    for template in TEMPLATES:
        try:
            framers.append(ChatFramer(template, vocabulary))
        except KeyError:
            continue
    return tuple(framers)
