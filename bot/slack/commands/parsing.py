"""Parses the text of ``/kb`` and ``/think``. Pure."""

from __future__ import annotations

import difflib
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
    "help": "help", "帮助": "help",
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
class HelpCommand:
    """List the commands; ``unknown`` is a word that is no command, ``nearest`` the command that it resembles."""

    unknown: str | None = None
    nearest: str | None = None


ParsedCommand = RefreshCommand | ApproveCommand | StatusCommand | SourcesCommand | SearchCommand | HelpCommand


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
        case "status":
            return StatusCommand()
        case _:
            return SourcesCommand() if name == "sources" else HelpCommand()


def parse_think(text: str) -> Depth | Literal["default"] | UnknownDepth | None:
    """Parse the text after ``/think``; return None if there is none."""
    word = text.strip()
    return _DEPTH_WORDS.get(word.lower(), UnknownDepth(word)) if word else None


def find_nearest(word: str, words: list[str]) -> str | None:
    """Return the command that a word resembles most, or None if it resembles none."""
    close = difflib.get_close_matches(word, words, n=1, cutoff=0.5)
    return _KB_WORDS.get(close[0], close[0]) if close else None


def _strip_quotes(text: str) -> str:
    return text.strip("\"'`“”‘’")


HELP = """\
*/kb refresh* `[source]` — update the documents now
*/kb approve* `[source]` — show documents that are missing from a source and pending deletion, and delete them
*/kb status* — the state of the engine and the sources
*/kb sources* — the sources of Kvasir's answers
*/kb search* `words` — the best passages, without an answer
*/kb help* — this list
*/think* `deep` | `normal` | `off` | `default` — how long Kvasir thinks before it answers you
To ask a question, mention Kvasir in a channel or send it a direct message. In its threads, no mention is needed."""

HELP_CHINESE = """\
*/kb 刷新* `[来源]`：立即更新文档
*/kb 批准* `[来源]`：查看来源中已没有、等待批准删除的文档，并批准删除
*/kb 状态*：引擎与各来源的状况
*/kb 来源*：Kvasir 依据哪些文档回答
*/kb 搜索* `关键词`：只看最相关的段落
*/kb 帮助*：显示本列表
*/think* `deep` | `normal` | `off` | `default`：回答你之前思考多久
在频道里提及 Kvasir，或直接发消息，即可提问；在它参与的消息列中可直接追问。"""
