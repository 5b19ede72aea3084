"""Texts of notes of visits."""

from __future__ import annotations

from bot.messages.message import Message

NOTHING_SAID = Message(
    "No sentence about this has support in the conversation.",
    "对话中没有可支持本节内容的句子。",
)
LEFT_OUT = Message(
    "{count} sentences without support in the conversation were left out.",
    "已略去 {count} 个在对话中没有依据的句子。",
    en_one="1 sentence without support in the conversation was left out.",
)
