"""``/kb …`` and ``/think …`` → what is wanted. Pure."""

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
"""What takes a wish back."""

_DEPTH_WORDS: dict[str, Depth | Literal["default"]] = {
    "deep": "deep", "深": "deep", "深入": "deep", "深度": "deep",
    "normal": "normal", "正常": "normal", "普通": "normal",
    "off": "off", "none": "off", "关": "off", "关闭": "off", "不思考": "off",
    "default": DEFAULT_DEPTH, "默认": DEFAULT_DEPTH,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class UnknownDepth:
    """What was typed and means nothing."""

    word: str


@dataclass(frozen=True, slots=True)
class RefreshCommand:
    """Bring one source, or all of them (None), up to date."""

    source: str | None


@dataclass(frozen=True, slots=True)
class ApproveCommand:
    """Show what is held of one source, or of all of them (None), and ask whether it may go."""

    source: str | None


@dataclass(frozen=True, slots=True)
class StatusCommand:
    """Tell how the engine and the sources are."""


@dataclass(frozen=True, slots=True)
class SourcesCommand:
    """Name the sources."""


@dataclass(frozen=True, slots=True)
class SearchCommand:
    """Show the best passages for a query."""

    query: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class HelpCommand:
    """Show what there is; ``unknown`` is the word that was not understood, ``nearest`` what may have been meant."""

    unknown: str | None = None
    nearest: str | None = None


ParsedCommand = RefreshCommand | ApproveCommand | StatusCommand | SourcesCommand | SearchCommand | HelpCommand


def parse_kb(text: str) -> ParsedCommand:
    """Read what follows ``/kb``."""
    word, _, rest = text.strip().partition(" ")
    rest = rest.strip()
    meant = _KB_WORDS.get(word.lower())
    if meant is None:
        return HelpCommand(unknown=word, nearest=find_nearest(word.lower(), list(_KB_WORDS))) if word else HelpCommand()
    match meant:
        case "search":
            return SearchCommand(rest) if rest else HelpCommand(unknown=word, nearest="search …")
        case "refresh" | "approve":
            return (RefreshCommand if meant == "refresh" else ApproveCommand)(_strip_quotes(rest) or None)
        case "status":
            return StatusCommand()
        case _:
            return SourcesCommand() if meant == "sources" else HelpCommand()


def parse_think(text: str) -> Depth | Literal["default"] | UnknownDepth | None:
    """Read what follows ``/think``; None where nothing does."""
    word = text.strip()
    return _DEPTH_WORDS.get(word.lower(), UnknownDepth(word)) if word else None


def find_nearest(word: str, known: list[str]) -> str | None:
    """Return the known word that looks most like this one, or None if none does."""
    close = difflib.get_close_matches(word, known, n=1, cutoff=0.5)
    return _KB_WORDS.get(close[0], close[0]) if close else None


def _strip_quotes(text: str) -> str:
    return text.strip("\"'`“”‘’")


HELP = """\
*/kb refresh* `[source]` — bring the documents up to date now
*/kb approve* `[source]` — documents that are gone from a source and held: look at them, and let them go
*/kb status* — how the engine and the sources are
*/kb sources* — what Kvasir answers from
*/kb search* `words` — the best passages, without an answer
*/kb help* — this list
*/think* `deep` | `normal` | `off` | `default` — how long to think before an answer to you
Ask a question by mentioning Kvasir in a channel, or in a direct message. In a thread it takes part in, just go on."""

HELP_CHINESE = """\
*/kb 刷新* `[来源]`：立即更新文档
*/kb 批准* `[来源]`：查看已从来源消失、暂时保留的文档，并确认删除
*/kb 状态*：引擎与各来源的状况
*/kb 来源*：Kvasir 依据哪些文档回答
*/kb 搜索* `关键词`：只看最相关的段落
*/kb 帮助*：显示本列表
*/think* `deep` | `normal` | `off` | `default`：回答你之前思考多久
在频道里提及 Kvasir，或直接发消息，即可提问；在它参与的消息列中可直接追问。"""
