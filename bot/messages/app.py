"""What Slack shows about the app itself."""

from __future__ import annotations

from bot.messages.message import Message

PROMPT_TITLE = Message("What can you answer?", "你能回答什么？")
PROMPT = Message("Which documents do you answer from?", "你根据哪些文档回答问题？")
"""A question that Slack suggests to a person who opens the app."""

# ── The manifest, which Slack takes in one language ──────────────────────────────────────────────────────────────────

DESCRIPTION = Message(
    "Answers questions from our own documents, with sources", "根据我们自己的文档回答问题，并注明来源"
)
AGENT_DESCRIPTION = Message(
    "Ask about anything in our documents; every answer names its sources.",
    "可以询问文档中的任何内容；每个回答都注明来源。",
)
KB = Message(
    "Search, refresh and inspect the documents that Kvasir answers from", "搜索、更新和查看 Kvasir 作答所依据的文档"
)
THINK = Message("How long Kvasir thinks before it answers you", "Kvasir 回答你之前思考多久")
