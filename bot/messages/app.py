"""What Slack shows about the app itself."""

from __future__ import annotations

from bot.messages.message import Message

PROMPT_TITLE = Message("What can you answer?", "你能回答什么？")
PROMPT = Message("Which documents do you answer from?", "你根据哪些文档回答问题？")
"""A question that Slack suggests to a person who opens the app."""
