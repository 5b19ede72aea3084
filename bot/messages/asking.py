"""Questions that are asked by the command, a shortcut or a modal."""

from __future__ import annotations

from bot.messages.message import Message

ASK_DESCRIPTION = Message("Ask a question; only you see the answer", "提问，只有您能看到回答")
SHORTCUT_DESCRIPTION = Message("Ask a question; the answer comes as a direct message", "提问，回答会发到私信中")
ASK_USAGE = Message(
    "Type your question behind the command: `/ask How many days of leave do we have?`",
    "请在命令后面写问题：`/ask 我们有多少天年假？`",
)
YOU_ASKED = Message("You asked:", "您的问题：")
ANSWERING_PRIVATELY = Message("I answer you in {place}.", "我会在{place}中回答您。")
DIRECT_MESSAGES = Message("our direct messages", "我们的私信")

TITLE = Message("Ask Kvasir", "向 Kvasir 提问")
QUESTION = Message("Your question", "您的问题")
QUESTION_HINT = Message("Only you see the answer, as a direct message.", "只有您能看到回答，它会发到私信中。")
QUESTION_MISSING = Message("Please write a question.", "请写下问题。")
ASK = Message("Ask", "提问")
CANCEL = Message("Cancel", "取消")
