"""Texts of the shortcut that applies a profile to the files of a message, and of its results."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from bot.messages.message import Message

SHORTCUT: Final = Message("Extract, check or note", "提取、核对或撰写记录")
SHORTCUT_DESCRIPTION: Final = Message(
    "Take values out of a file, check a contract or write the note of a visit; only you see the result",
    "从文件中提取数据、核对合同或撰写就诊记录，只有您能看到结果",
)
PROFILE: Final = Message("What do you want to have done?", "您想做什么？")
PROFILE_HINT: Final = Message(
    "The result comes as a direct message, each part with its place in the file.",
    "结果会发到私信中，每一项都注明在文件中的位置。",
)
KINDS: Final[Mapping[str, Message]] = {
    "extraction": Message("Take values out", "提取数据"),
    "checklist": Message("Check a contract", "核对合同"),
    "note": Message("Write a note of a visit", "撰写就诊记录"),
}
"""What profiles of each kind do."""
START: Final = Message("Start", "开始")
HEAD: Final = Message(
    "{profile}: I read {place}. The result follows in this thread, and only you see it.",
    "{profile}：我正在阅读{place}。结果将发在此消息列中，只有您能看到。",
)
NO_PROFILES: Final = Message(
    "There is no profile for files here. Ask the person who runs Kvasir.",
    "此处没有可用于文件的方案，请联系 Kvasir 的管理员。",
)
PROFILE_WRONG: Final = Message(
    "This profile is gone or wrong. Choose another one, or ask the person who runs Kvasir to check it.",
    "此方案已不存在或有误。请选择其他方案，或请 Kvasir 的管理员检查。",
)
NOTHING_TO_READ: Final = Message(
    "The message has no text and no file that I can read. Choose another message.",
    "这条消息没有我能读取的文字或文件，请选择另一条消息。",
)

# ── Results ──────────────────────────────────────────────────────────────────────────────────────────────────────────

FIELD: Final = Message("Field", "项目")
VALUE: Final = Message("Value", "内容")
STATEMENT: Final = Message("Statement", "陈述")
ANSWER: Final = Message("Answer", "回答")
CLAUSE: Final = Message("Clause", "条款")
WHERE: Final = Message("Where", "位置")
MORE: Final = Message(
    "{count} more rows are not shown here. The command line and the API return all.",
    "另有 {count} 行未在此显示，可用命令行或 API 获取全部。",
    en_one="One more row is not shown here. The command line and the API return all.",
)
