"""Texts about values that are taken out of documents."""

from __future__ import annotations

from typing import Final

from bot.messages.message import Message

DROPPED: Final = Message(
    "{count} values of the model were dropped: not in the text.",
    "模型给出的 {count} 个值已舍弃：文中没有。",
    en_one="One value of the model was dropped: not in the text.",
)
CHECK: Final = Message(
    "Values may be missing or wrong. Check each at its place in the document.",
    "可能有遗漏或错误，请在文件原处核对每个值。",
)
NO_ENGINE: Final = Message(
    "The model does not answer ({reason}), so only rules have found values. Try again later.",
    "模型没有应答（{reason}），因此只有规则找到的值。请稍后再试。",
)
LATE: Final = Message(
    "The model took too long and was stopped. Try again later, or split the document.",
    "模型耗时过长，已停止。请稍后重试，或拆分文件。",
)
RULES_LATE: Final = Message(
    "The rules took too long and were stopped; they may have missed values of: {names}. Split the document.",
    "规则耗时过长，已停止，以下字段可能有遗漏：{names}。请拆分文件。",
)
CUT: Final = Message(
    "The document is too long; its end was not read. Split it.", "文件过长，结尾部分未读取。请拆分文件。"
)
EMPTY: Final = Message(
    "I found no text in the document. If it has pictures of text, run text recognition (OCR) on it first.",
    "文件中没有文字。如果内容是图片，请先进行文字识别（OCR）。",
)
PLACE: Final = Message("passage {n}", "第 {n} 段")
PLACE_ON_PAGE: Final = Message("page {page}, passage {n}", "第 {page} 页，第 {n} 段")
NOTHING: Final = Message("none found", "未找到")
INCOMPLETE: Final = Message(
    "The model's reply about these fields was incomplete: {names}. Try again, or ask with a larger model.",
    "模型对以下字段的回复不完整：{names}。请重试，或换用更大的模型。",
)

# ── In Slack ─────────────────────────────────────────────────────────────────────────────────────────────────────────

SHORTCUT: Final = Message("Extract values", "提取数据")
SHORTCUT_DESCRIPTION: Final = Message(
    "Take values out of a file, such as the clauses of a contract; only you see them",
    "从文件中提取数据，例如合同条款，只有您能看到",
)
PROFILE: Final = Message("What is it?", "这是什么文件？")
PROFILE_HINT: Final = Message(
    "The values come as a direct message, each with its place in the file.", "结果会发到私信中，并注明在文件中的位置。"
)
EXTRACT: Final = Message("Extract", "提取")
HEAD: Final = Message(
    "{profile}: I read {place}. The values follow in this thread, and only you see them.",
    "{profile}：我正在阅读{place}。结果将发在此消息列中，只有您能看到。",
)
NO_PROFILES: Final = Message(
    "There is no profile for extraction here. Ask the person who runs Kvasir.",
    "此处没有可用的提取方案，请联系 Kvasir 的管理员。",
)
PROFILE_WRONG: Final = Message(
    "This profile is gone or wrong. Choose another one, or ask the person who runs Kvasir to check it.",
    "此提取方案已不存在或有误。请选择其他方案，或请 Kvasir 的管理员检查。",
)
NOTHING_TO_READ: Final = Message(
    "The message has no text and no file that I can read. Choose another message.",
    "这条消息没有我能读取的文字或文件，请选择另一条消息。",
)
FIELD: Final = Message("Field", "项目")
VALUE: Final = Message("Value", "内容")
WHERE: Final = Message("Where", "位置")
MORE: Final = Message(
    "{count} more values are not shown here. `kvasir extract` or the API returns all.",
    "另有 {count} 个值未在此显示，可用 `kvasir extract` 或 API 获取全部。",
    en_one="One more value is not shown here. `kvasir extract` or the API returns all.",
)
