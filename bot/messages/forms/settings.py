"""What people choose for themselves: the modal, and its summary in Home."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from bot.messages.message import Message

TITLE = Message("Your settings", "您的设置")
SAVE = Message("Save", "保存")
CANCEL = Message("Cancel", "取消")

LANGUAGE = Message("Language", "语言")
LANGUAGE_HINT = Message(
    "Of what only you see: Home, forms and notices. An answer has the language of its question.",
    "用于只有您能看到的内容：主页、表单和提示。回答使用提问的语言。",
)
SLACK_LANGUAGE = Message("As in Slack", "与 Slack 相同")
THINKING = Message("Thinking", "思考")
DEFAULT_THINKING = Message("As set for the channel", "与频道的设置相同")
DEPTHS: Final[Mapping[str, Message]] = {
    "deep": Message("Deep: for difficult questions, takes minutes", "深入：适合难题，需要几分钟"),
    "normal": Message("Normal", "一般"),
    "off": Message("Off: the fastest answers", "关闭：回答最快"),
}

LENGTH = Message("Length of answers", "回答长度")
LENGTH_HINT = Message(
    "Without a GPU, a small model always gives short answers.", "没有 GPU 时使用的小模型总是简短作答，不受此设置影响。"
)
LENGTHS: Final[Mapping[str, Message]] = {
    "short": Message("Short: one or two sentences", "简短：一两句话"),
    "normal": Message("Normal", "一般"),
    "long": Message("Long: with all steps, conditions and exceptions", "详细：包括全部步骤、条件和例外"),
}

AS_IN_SLACK = Message("as in Slack", "与 Slack 相同")
AS_IN_CHANNEL = Message("as set for the channel", "与频道的设置相同")
DEPTH_NAMES: Final[Mapping[str, Message]] = {
    "deep": Message("deep", "深入"),
    "normal": Message("normal", "一般"),
    "off": Message("off", "关闭"),
}
LENGTH_NAMES: Final[Mapping[str, Message]] = {
    "short": Message("short", "简短"),
    "normal": Message("normal", "一般"),
    "long": Message("long", "详细"),
}

PRIVACY = Message("Privacy", "隐私")
PRIVACY_HINT = Message(
    "An answer that is not kept is not in your recent questions, and nobody can rate it.",
    "未保留的回答不会出现在您最近的提问中，也无法评价。",
)
NO_ANSWERS_KEPT = Message("Do not keep my questions and answers", "不保留我的提问和回答")
ERASE = Message(
    "Delete now what is stored about me: {count} answers and my votes",
    "立即删除所保留的内容：{count} 个回答和我的评价",
    "Delete now what is stored about me: 1 answer and my votes",
)
