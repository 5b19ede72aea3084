"""A conversation as token ids: what people wrote is ordinary text, control tokens stand where the template has them.

A server that is sent text makes control tokens of whatever looks like one; one that is sent ids cannot be talked into
it. The model's own server has the last word: it is asked once to frame a conversation, and only the template that
frames it in the same ids is used.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from engine.client.tokens import TokenEncoding, Vocabulary
from engine.interfaces import ChatMessage

_OPEN, _CLOSE = "<think>", "</think>"
_NO_THOUGHT: Final = (_OPEN, "\n\n", _CLOSE, "\n\n")
"""What a model that is not to think has said already; so do Qwen3's own templates."""


@dataclass(frozen=True, slots=True)
class ChatTemplate:
    """How a family frames a conversation. A part that begins with ``<`` is a control token; others are text."""

    start: tuple[str, ...]
    user: tuple[str, ...]
    assistant: tuple[str, ...]
    user_end: tuple[str, ...] = ()
    assistant_end: tuple[str, ...] = ()
    opening: tuple[str, ...] = ()
    """What follows ``assistant`` where an answer is asked for."""


R1: Final = ChatTemplate(
    start=("<｜begin▁of▁sentence｜>",),
    user=("<｜User｜>",),
    assistant=("<｜Assistant｜>",),
    assistant_end=("<｜end▁of▁sentence｜>",),
    opening=(_OPEN, "\n"),
)
"""R1, R1-Zero and the distills, which open the thinking themselves."""
R1_0528: Final = replace(R1, opening=())
"""R1-0528, its Qwen3-8B, and snapshots of the others from before February 2025: the model opens it."""
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
    """The ids that bound a thought."""

    open: int
    close: int
    newline: int


@dataclass(frozen=True, slots=True)
class TokenPrompt:
    """A conversation as it is sent."""

    ids: list[int] = field(repr=False)
    starts_in_thinking: bool
    """Whether the answer begins inside the thinking."""
    extra_fields: Mapping[str, Any] = field(default_factory=dict)
    """What else the request carries: a bound on the thinking."""


class ChatFramer:
    """A template in a vocabulary."""

    def __init__(self, template: ChatTemplate, vocabulary: TokenEncoding) -> None:
        """Put the two together.

        Raises:
            KeyError: the vocabulary lacks one of the template's control tokens.

        """
        self._template = template
        self._vocabulary = vocabulary
        special = vocabulary.special
        self.think: ThinkingIds | None = None
        """None for a model that does not think."""
        if _OPEN in special and _CLOSE in special:
            (newline,) = vocabulary.encode("\n")
            self.think = ThinkingIds(special[_OPEN], special[_CLOSE], newline)
        self.frame((ChatMessage("user", ""), ChatMessage("assistant", ""), ChatMessage("user", "")))

    @property
    def template(self) -> ChatTemplate:
        """Return the template."""
        return self._template

    def frame(self, messages: Sequence[ChatMessage], *, think: bool = True) -> TokenPrompt:
        """Return the ids of a conversation that ends with a question, and of what opens the answer.

        Args:
            messages: the turns; earlier answers lose their thinking, as in the model's own template.
            think: False has the model begin behind an empty thought.

        """
        parts = [*self._template.start]
        texts: list[tuple[int, str]] = []
        for message in messages:
            begins, ends = self._list_delimiters(message)
            parts += begins
            texts.append((len(parts), self._extract_text(message)))
            parts += ("", *ends)
        opening = self._template.opening if think or self.think is None else _NO_THOUGHT
        parts += (*self._template.assistant, *opening)
        return TokenPrompt(self._encode_parts(parts, dict(texts)), bool(opening) and think and self.think is not None)

    def _list_delimiters(self, message: ChatMessage) -> tuple[tuple[str, ...], tuple[str, ...]]:
        frame = self._template
        return (frame.user, frame.user_end) if message.role == "user" else (frame.assistant, frame.assistant_end)

    def _extract_text(self, message: ChatMessage) -> str:
        thought = self.think is not None and message.role == "assistant"
        return message.content.rpartition(_CLOSE)[2] if thought else message.content

    def _encode_parts(self, parts: Sequence[str], texts: dict[int, str]) -> list[int]:
        """Return the ids of control tokens and texts; texts that touch are encoded as one, as a tokenizer would."""
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
"""What a server is asked to frame: digits, Chinese, an earlier answer."""

FetchPromptIds = Callable[[Sequence[ChatMessage]], Awaitable[list[int] | None]]
"""Has the server frame a conversation; None where it cannot."""


async def find_agreed_framer(vocabulary: Vocabulary, ask: FetchPromptIds) -> ChatFramer | None:
    """Return the framing that the server agrees with to the last id; None where there is none, so that text is sent."""
    known = list_framers(vocabulary)
    theirs = await ask(PROBE) if known else None
    return next((one for one in known if one.frame(PROBE).ids == theirs), None)


def list_framers(vocabulary: Vocabulary) -> tuple[ChatFramer, ...]:
    """Return the templates whose control tokens a vocabulary has, in that vocabulary."""
    found: list[ChatFramer] = []
    if not isinstance(vocabulary, TokenEncoding):
        return ()
    for template in TEMPLATES:
        try:
            found.append(ChatFramer(template, vocabulary))
        except KeyError:
            continue
    return tuple(found)
