"""How long a model may think: deep, normal or off, as people say it, and in tokens, as an engine is told. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal, get_args

from engine.interfaces import Control

Depth = Literal["deep", "normal", "off"]
DEPTHS: Final[tuple[Depth, ...]] = get_args(Depth)


@dataclass(frozen=True, slots=True)
class Share:
    """What of the context thinking and answer may take, in tokens."""

    thinking: int
    answer: int


SHARES: Final[Mapping[Depth, Share]] = {
    "deep": Share(12_288, 3_072),
    "normal": Share(3_072, 1_024),
    "off": Share(0, 1_536),
}
"""R1 thinks for 300 to 3,000 tokens over passages; an answer with its sources takes up to 600."""


@dataclass(frozen=True, slots=True)
class Defaults:
    """How deep is thought for people who did not say."""

    everywhere: Depth = "normal"
    channels: Mapping[str, Depth] = field(default_factory=dict)
    """By the channel's id."""

    def of(self, channel: str) -> Depth:
        """Return the depth of a channel."""
        return self.channels.get(channel, self.everywhere)


def share_of(depth: Depth, room_tokens: int) -> Share:
    """Return what a depth takes of ``room_tokens``; where that is little, half of it is kept for the answer."""
    wished = SHARES[depth]
    answer = min(wished.answer, room_tokens // 2 if wished.thinking else room_tokens)
    return Share(min(wished.thinking, room_tokens - answer), answer)


def remark(control: Control | None, *, chinese: bool = False) -> str:
    """Return what has to be said about a wish with the engine that is there, "" where it is followed to the letter."""
    match control:
        case Control.NONE:
            return _NONE_CHINESE if chinese else _NONE
        case Control.SWITCH:
            return _SWITCH_CHINESE if chinese else _SWITCH
        case _:
            return ""


_NONE = "The model that answers now does not think, so this changes nothing until one that thinks is served."
_NONE_CHINESE = "当前的模型不会思考，换成会思考的模型之后才有区别。"
_SWITCH = (
    "The engine that answers now can leave thinking out, but not bound it: deep and normal are nearly alike there."
)
_SWITCH_CHINESE = "当前的引擎只能关闭思考，不能限制长度：deep 与 normal 几乎没有区别。"
