"""Votes on answers: the buttons, the modal for reasons, and ``/kb feedback``; another answer, and deletion."""

from __future__ import annotations

from collections.abc import Mapping

from bot.messages.message import Message

GOOD_ANSWER = Message("Good answer", "回答有帮助")
BAD_ANSWER = Message("Bad answer", "回答不好")
ANSWER_AGAIN = Message("Answer again", "重新回答")
DELETE_ANSWER = Message("Delete this answer", "删除此回答")
CONFIRM_DELETION = Message("Delete this answer?", "删除此回答？")
DELETE_EXPLANATION = Message(
    "It disappears for everybody, and I forget the question. You can ask again.",
    "所有人都不会再看到它，我也会忘记这个问题。您可以再问一次。",
)
DELETE = Message("Delete", "删除")
KEEP = Message("Keep", "保留")

THANKS = Message("Thank you for your vote. You can change it at any time.", "谢谢您的评价。您可以随时更改。")
ANSWER_GONE = Message(
    "I do not store this answer: it was deleted, is too old, or the asker wants none stored. Please ask again.",
    "我没有保存此回答：它已被删除、保存期已过，或提问者选择不保存回答。请再问一次。",
)
STILL_ANSWERING = Message(
    "I am still answering this question. Please wait until the answer is complete.",
    "我还在回答这个问题。请等回答完成后再试。",
)
NOT_YOUR_ANSWER = Message(
    "Only the person who asked can do that. You can ask the question yourself.",
    "只有提问的人才能执行此操作。您可以自己提问。",
)

# ── The modal ────────────────────────────────────────────────────────────────────────────────────────────────────────

TITLE = Message("Why is it bad?", "哪里不好？")
REASONS = Message("What is wrong with this answer?", "这个回答有什么问题？")
REASON_NAMES: Mapping[str, Message] = {
    "wrong": Message("It is wrong", "内容有误"),
    "outdated": Message("It is outdated", "内容过时"),
    "sources": Message("Sources are missing", "缺少来源"),
    "exposed": Message("It should not have been shown here", "不应在此显示"),
    "other": Message("Something else", "其他"),
}
COMMENT = Message("In your words", "具体说明")
COMMENT_HINT = Message(
    "The owners of Kvasir's documents may read this, with the question and the answer.",
    "Kvasir 文档的负责人可能会看到这些内容，以及问题和回答。",
)
SEND = Message("Send", "发送")
SKIP = Message("Skip", "跳过")

# ── /kb feedback ─────────────────────────────────────────────────────────────────────────────────────────────────────

COUNTS = Message("*Votes on answers*: {good} good, {bad} bad", "*对回答的评价*：{good} 个好评，{bad} 个差评")
NEWEST_BAD = Message("*Newest bad answers*", "*最近的差评*")
YOUR_VOTES = Message("*Your newest votes*", "*您最近的评价*")
NO_VOTES = Message(
    "You have not voted on an answer yet. Press 👍 or 👎 under one.", "您还没有评价过回答。请按回答下方的 👍 或 👎。"
)
CITED_SOURCES = Message("cites {sources}", "引用 {sources}")
ANSWERED_SINCE = Message("answered again since", "之后已重新回答")
HIDDEN_ANSWERS = Message(
    "{count} more are in conversations that you are not in.",
    "另有 {count} 个，所在的会话您不在其中。",
    "1 more is in a conversation that you are not in.",
)
