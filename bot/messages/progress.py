"""The plan that shows the progress of an answer, and the reasoning behind it."""

from bot.messages.message import Message

WORKING = Message("Working on it…", "正在处理…")
ANSWERED = Message("Answered in {duration}", "用时 {duration}")
ENDED = Message("Ended after {duration}", "{duration}后结束")
CONTINUED = Message("The answer continues below", "回答在下方继续")

SEARCH = Message("Search the documents", "检索文档")
READ_WEB = Message("Read the web", "读取网页")
THINK = Message("Think", "思考")
CHECK = Message("Write and check", "撰写并核对")

PASSAGES_FOUND = Message("{count} passages · {duration}", "{count} 段资料 · {duration}", "1 passage · {duration}")
SOURCES_CITED = Message("{count} sources · {duration}", "{count} 个来源 · {duration}", "1 source · {duration}")
WAITED = Message("Waited {duration} for the engine.", "等待引擎 {duration}。")

# ── Reasoning ────────────────────────────────────────────────────────────────────────────────────────────────────────

SHOW_REASONING = Message("Show reasoning", "显示思考过程")
REASONING_TITLE = Message("Unchecked reasoning", "未经核对的思考过程")
REASONING_HEAD = Message(
    "The model wrote this for itself before it answered. Nobody has checked it against the documents.",
    "这是模型作答前写给自己的内容，没有与文档核对。",
)
REASONING_PAGE = Message("Page {page} of {pages}", "第 {page} 页，共 {pages} 页")
REASONING_CUT = Message("The reasoning was longer; the rest was not kept.", "思考过程更长，其余部分没有保留。")
NEXT_PAGE = Message("Next page", "下一页")
PREVIOUS_PAGE = Message("Previous page", "上一页")
CLOSE = Message("Close", "关闭")
OPENING = Message("One moment …", "请稍候…")
MESSAGE_SENT = Message("I have sent you a message instead.", "我已改为给您发送消息。")
REASONING_SOUGHT = Message("Looking for the reasoning …", "正在查找思考过程…")
REASONING_GONE = Message(
    "I keep the reasoning behind an answer for an hour, and it is gone now. Ask again to see that of a new answer.",
    "思考过程只保留一小时，现在已经没有了。请再问一次，新的回答会带有思考过程。",
)
REASONING_PRIVATE = Message(
    "Only the person who asked can see the reasoning behind this answer. Ask the question yourself to see yours.",
    "只有提问的人可以查看这个回答的思考过程。请自己提问，以查看您的思考过程。",
)
REASONING_CLOSED = Message(
    "The documents behind this answer or your rights to them have changed, so its reasoning is closed. Ask again.",
    "这个回答所依据的文档或您的查看权限已经改变，所以无法显示思考过程。请再问一次。",
)
