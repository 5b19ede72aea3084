"""Parses the text of ``/kb`` and ``/think``. Pure."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

from bot.answering.thinking import Depth

KB = "/kb"
THINK = "/think"

_KB_WORDS = {
    "refresh": "refresh", "sync": "refresh", "刷新": "refresh", "更新": "refresh", "同步": "refresh",
    "approve": "approve", "批准": "approve", "确认": "approve",
    "status": "status", "状态": "status",
    "sources": "sources", "source": "sources", "来源": "sources",
    "search": "search", "find": "search", "搜索": "search", "查找": "search",
    "share": "share", "共享": "share",
    "feedback": "feedback", "votes": "feedback", "评价": "feedback", "反馈": "feedback",
    "verified": "verified", "verify": "verified", "已核实": "verified", "核实": "verified",
    "channel": "channel", "settings": "channel", "频道": "channel", "设置": "channel",
    "help": "help", "帮助": "help",
}  # fmt: skip

_SWITCH_WORDS = {
    "on": True, "yes": True, "开": True, "开启": True, "允许": True,
    "off": False, "no": False, "关": False, "关闭": False, "禁止": False,
}  # fmt: skip

DEFAULT_DEPTH: Final = "default"
"""The word that removes a person's preference."""

_DEPTH_WORDS: dict[str, Depth | Literal["default"]] = {
    "deep": "deep", "深": "deep", "深入": "deep", "深度": "deep",
    "normal": "normal", "正常": "normal", "普通": "normal",
    "off": "off", "none": "off", "关": "off", "关闭": "off", "不思考": "off",
    "default": DEFAULT_DEPTH, "默认": DEFAULT_DEPTH,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class UnknownDepth:
    """A word that is not a depth."""

    word: str


@dataclass(frozen=True, slots=True)
class RefreshCommand:
    """Refresh one source, or all of them (None)."""

    source: str | None


@dataclass(frozen=True, slots=True)
class ApproveCommand:
    """Show the pending deletions of one source, or of all of them (None), and ask for approval."""

    source: str | None


@dataclass(frozen=True, slots=True)
class StatusCommand:
    """Show the state of the engine and the sources."""


@dataclass(frozen=True, slots=True)
class SourcesCommand:
    """List the sources."""


@dataclass(frozen=True, slots=True)
class SearchCommand:
    """Show the best passages for a query."""

    query: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class ShareCommand:
    """Allow answers in a channel that is shared with another company, or forbid them."""

    allow: bool


@dataclass(frozen=True, slots=True)
class FeedbackCommand:
    """List the votes on answers."""


@dataclass(frozen=True, slots=True)
class ListVerifiedCommand:
    """List the verified answers that contain some words, "" for all."""

    words: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class ChannelCommand:
    """Open the settings of the channel."""


@dataclass(frozen=True, slots=True)
class HelpCommand:
    """List the commands; ``unknown`` is a word that is no command, ``nearest`` the command that it resembles."""

    unknown: str | None = None
    nearest: str | None = None


ParsedCommand = (
    RefreshCommand
    | ApproveCommand
    | StatusCommand
    | SourcesCommand
    | SearchCommand
    | ShareCommand
    | FeedbackCommand
    | ListVerifiedCommand
    | ChannelCommand
    | HelpCommand
)
_PLAIN_COMMANDS: Final[Mapping[str, ParsedCommand]] = {
    "status": StatusCommand(),
    "sources": SourcesCommand(),
    "feedback": FeedbackCommand(),
    "channel": ChannelCommand(),
    "help": HelpCommand(),
}
"""The commands that take no words."""


def parse_kb(text: str) -> ParsedCommand:
    """Parse the text after ``/kb``."""
    word, _, rest = text.strip().partition(" ")
    rest = rest.strip()
    name = _KB_WORDS.get(word.lower())
    if name is None:
        return HelpCommand(unknown=word, nearest=find_nearest(word.lower(), list(_KB_WORDS))) if word else HelpCommand()
    match name:
        case "search":
            return SearchCommand(rest) if rest else HelpCommand(unknown=word, nearest="search …")
        case "refresh" | "approve":
            return (RefreshCommand if name == "refresh" else ApproveCommand)(_strip_quotes(rest) or None)
        case "share":
            allow = _SWITCH_WORDS.get(rest.lower())
            return HelpCommand(unknown=text.strip(), nearest="share on | off") if allow is None else ShareCommand(allow)
        case "verified":
            return ListVerifiedCommand(_strip_quotes(rest))
        case _:
            return _PLAIN_COMMANDS[name]


def parse_think(text: str) -> Depth | Literal["default"] | UnknownDepth | None:
    """Parse the text after ``/think``; return None if there is none."""
    word = text.strip()
    return _DEPTH_WORDS.get(word.lower(), UnknownDepth(word)) if word else None


def find_nearest(word: str, words: list[str]) -> str | None:
    """Return the command that a word resembles most, or None if it resembles none."""
    close = difflib.get_close_matches(word, words, n=1)
    return _KB_WORDS.get(close[0], close[0]) if close else None


def _strip_quotes(text: str) -> str:
    return text.strip("\"'`“”‘’")
