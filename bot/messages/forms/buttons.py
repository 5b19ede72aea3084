"""The buttons under an answer, and what Kvasir says when a person presses one."""

from bot.messages.message import Message

SHOW_PASSAGE = Message("Show passage [{n}]", "显示原文 [{n}]")
SEARCH_WEB = Message("Search the web", "搜索网络")
SEND_WORDS = Message("Search the web with these words", "用这些词搜索网络")
ADD_PAGE = Message("Add this page [{n}]: {host}", "添加此网页 [{n}]：{host}")
ONLY_ME = Message("Only me", "仅自己")
EVERYBODY = Message("Everybody", "所有人")
A_CHANNEL = Message("The members of …", "某频道的成员…")
DELETE = Message("Delete {count} documents", "删除 {count} 篇文档", "Delete 1 document")

PASSAGE_GONE = Message(
    "This passage no longer exists: its document was changed or deleted. Ask again to see the current text.",
    "这段原文已不存在：文档已更改或删除。请再问一次，查看现在的内容。",
)
ROWS_CUT = Message(
    "{count} more rows of this table are in its document.",
    "此表格还有 {count} 行在原文档中。",
    "1 more row of this table is in its document.",
)
PASSAGE_CUT = Message("The passage continues in its document.", "原文在文档中还有后续内容。")

PAGE_SAVED = Message("I have saved {url} and am reading it …", "已收下 {url}，正在读取…")
PAGE_EXISTS = Message("{url} is already a document.", "{url} 之前已经添加。")
PAGE_SEARCHABLE = Message(
    "Answers can now use {url} (source {source}). To remove it: `kvasir add --remove URL`.",
    "现在可以搜到 {url}（来源 {source}）。如需移除：`kvasir add --remove URL`。",
)

WEB_ALREADY_SEARCHED = Message(
    "I have already searched the web for this question. The answer is in this thread, or will appear soon.",
    "已经为此搜索过网络，回答就在此消息列中，或正在生成。",
)
ONLY_ASKER_SENDS = Message(
    "Only the person who asked can send these words to a search engine. Ask the question yourself.",
    "只有提问者可以将这些词发送给搜索引擎。您可以自己提问。",
)
QUESTION_GONE = Message("The question was deleted, so I cannot answer it again.", "原来的问题已不存在，无法重新回答。")

MORE_FOR_YOU = Message(
    "There is more that you may see, but not everybody here.", "还有更多内容：您可以查看，但这里并非所有人都可以。"
)
ANSWER_PRIVATELY = Message("Answer in a direct message", "在私信中回答")
ASKED_ELSEWHERE = Message("You asked in {channel}:", "您在 {channel} 中问：")
ANSWERED_PRIVATELY = Message("The answer is in our direct messages.", "回答在我们的私信中。")
NOT_YOUR_QUESTION = Message(
    "Only the person who asked this question gets this answer. Ask it yourself in a direct message.",
    "只有提出这个问题的人才能得到这个回答。请自己在私信中提问。",
)
BUTTON_GONE = Message(
    "This button does not work any more, because Kvasir was changed since. Ask the question again.",
    "Kvasir 此后有所更改，这个按钮已失效。请重新提问。",
)
