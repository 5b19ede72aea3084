"""How long a model may think, and its answer may be: as people choose it, and in tokens for the engine. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal, get_args

from bot.languages.registry import Language
from bot.messages import commands
from bot.messages.message import render_message
from engine.interfaces import ThinkingControl

Depth = Literal["deep", "normal", "off"]
DEPTHS: Final[tuple[Depth, ...]] = get_args(Depth)
Length = Literal["short", "normal", "long"]
LENGTHS: Final[tuple[Length, ...]] = get_args(Length)


@dataclass(frozen=True, slots=True)
class Share:
    """Tokens of the context for thinking and answer."""

    thinking: int
    answer: int


SHARES: Final[Mapping[Depth, Share]] = {
    "deep": Share(12_288, 3_072),
    "normal": Share(3_072, 1_024),
    "off": Share(0, 1_536),
}
"""R1 thinks for 300 to 3,000 tokens over passages; an answer with its sources takes up to 600."""
_ANSWER_FACTORS: Final[Mapping[Length, float]] = {"short": 0.5, "normal": 1.0, "long": 2.0}
"""What a person's choice makes of the answer's tokens."""


@dataclass(frozen=True, slots=True)
class Defaults:
    """The depth for people who did not choose one."""

    everywhere: Depth = "normal"
    channels: Mapping[str, Depth] = field(default_factory=dict)

    def find_depth(self, channel: str) -> Depth:
        """Return the depth of a channel."""
        return self.channels.get(channel, self.everywhere)


def allot_tokens(depth: Depth, length: Length, room_tokens: int) -> Share:
    """Return what an answer takes of ``room_tokens``; where that is little, half of it is kept for the answer."""
    wished = SHARES[depth]
    answer_tokens = int(wished.answer * _ANSWER_FACTORS[length])
    answer = min(answer_tokens, room_tokens // 2 if wished.thinking else room_tokens)
    return Share(min(wished.thinking, room_tokens - answer), answer)


def describe_thinking_limit(control: ThinkingControl | None, language: Language = "en") -> str:
    """Return why the engine cannot follow a chosen depth exactly; "" if it can."""
    if control is ThinkingControl.NONE:
        return render_message(commands.NOT_THINKING, language)
    return render_message(commands.THINKING_NOT_LIMITED, language) if control is ThinkingControl.SWITCH else ""
