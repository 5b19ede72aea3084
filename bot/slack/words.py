"""The sentences that the bot says itself, in both languages."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from bot.slack.render import NOTICE_MARK


class Listener(Protocol):
    """Whoever a sentence is for."""

    chinese: bool


@dataclass(frozen=True, slots=True)
class Words:
    """One sentence."""

    english: str
    chinese: str

    def to(self, listener: Listener) -> str:
        """Return it in the language of whoever asked."""
        return self.chinese if listener.chinese else self.english


EMPTY = Words(
    "Ask me something after my name, for example: “@Kvasir how do I add a source?” `/kb help` lists what else I do.",
    "请在提及我之后写下问题，例如：“@Kvasir 如何添加来源？” 输入 `/kb 帮助` 可查看其他功能。",
)
INTERRUPTED = Words(
    f"_{NOTICE_MARK} I was interrupted here; the answer follows below._",
    f"_{NOTICE_MARK} 回答在此中断，完整的回答见下方。_",
)
GIVEN_UP = Words(
    "I was interrupted again and again and could not answer this. Please ask again; the log says why.",
    "我多次被中断，没能回答这个问题。请再问一次；原因见日志。",
)
STOPPED = Words("Stopped.", "已停止。")
DELETED = Words("The question was deleted, so I stopped here.", "问题已被删除，回答到此为止。")
FILES = Words(
    "I cannot read attached files; this answers the text alone.",
    "我无法读取附件，以下仅根据文字回答。",
)
NO_HISTORY = Words(
    "I could not read this thread, so this answers the last message alone.",
    "我无法读取此消息列，以下仅根据最后一条消息回答。",
)
NOTHING = Words("There is no answer to show.", "没有可显示的回答。")
