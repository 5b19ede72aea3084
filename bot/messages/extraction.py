"""Texts about values that are taken out of documents."""

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
