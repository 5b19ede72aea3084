"""Verified answers: the marks and buttons of an answer, the form with which an owner verifies one, and the list."""

from bot.messages.message import Message

VERIFIED_BY = Message("✓ Verified by {name} on {date}", "✓ {name} 已于 {date} 核实")
SIMILAR = Message(
    "There is a verified answer to a similar question: “{question}”", "有一个已核实的回答，对应相似的问题：“{question}”"
)
SHOW = Message("Show verified answer", "查看已核实的回答")
SHOWN = Message("The verified answer to “{question}”:", "“{question}”的已核实回答：")
CUT = Message(
    "This is its beginning. Ask the question itself to see all of it.", "以上是开头部分。提出该问题即可看到全部内容。"
)
GONE = Message(
    "This verified answer no longer exists, or you may not read all of its sources.",
    "这个已核实的回答已不存在，或者您无权查看它的全部来源。",
)
FROM_DOCUMENTS = Message("Answer from the documents instead", "改为依据文档回答")
ALREADY_FROM_DOCUMENTS = Message(
    "I have already answered this question from the documents. The answer is in this thread, or will appear soon.",
    "已经依据文档回答过这个问题，回答就在此消息列中，或正在生成。",
)

# ── The form ─────────────────────────────────────────────────────────────────────────────────────────────────────────

VERIFY = Message("Verify…", "核实…")
TITLE = Message("Verify this answer", "核实此回答")
EDIT_TITLE = Message("Edit verified answer", "编辑已核实的回答")
WHO_GETS_IT = Message(
    "Everybody who may read all of its sources gets this answer at once, with your name: {sources}",
    "凡是有权查看其全部来源的人，都会立即得到这个回答，并看到您的名字：{sources}",
)
QUESTION = Message("Question", "问题")
QUESTION_HINT = Message(
    "As people ask it. Politeness, case and punctuation do not matter; numbers, names and other words do.",
    "按大家提问的方式填写。客套话、大小写和标点不影响匹配；数字、名称和其他词语必须一致。",
)
PHRASINGS = Message("Other ways to ask the same, one a line", "同一问题的其他问法，每行一个")
PHRASINGS_HINT = Message("In English and in Chinese, as your colleagues ask.", "可用中文和英文，按同事的提问方式填写。")
WRITING_PHRASINGS = Message("Kvasir is writing suggestions …", "Kvasir 正在撰写建议…")
SUGGESTED = Message("Suggestions: remove what does not ask the same", "建议的问法：请删除含义不同的")
ANSWER = Message("Answer", "回答")
ANSWER_HINT = Message(
    "Keep the numbers of its sources, such as [1]: they become links.", "请保留来源编号，例如 [1]，它们会变成链接。"
)
ANSWER_TOO_LONG = Message(
    "The answer is too long for this form and stays as it was shown.", "回答太长，无法在此编辑，将保持原样。"
)
EXPIRES = Message("Valid until", "有效期至")
SUBMIT = Message("Verify", "核实")
CANCEL = Message("Cancel", "取消")

QUESTION_MISSING = Message("Please write a question.", "请写下问题。")
ANSWER_MISSING = Message("Please write an answer.", "请写下回答。")
DEPENDS_ON_DAY = Message(
    "“{text}” may ask something else on another day. Write the date or the year instead, or leave the day out.",
    "“{text}”换一天可能问的就是另一件事。请写明日期或年份，或去掉表示时间的词。",
)
TOO_MANY_PHRASINGS = Message(
    "At most {count} lines and {characters} characters, with the suggestions.",
    "连同建议最多 {count} 行、{characters} 个字符。",
)
DATE_REFUSED = Message("Choose a day after today, and within two years.", "请选择今天之后、两年之内的日期。")

NO_SOURCES = Message(
    "Only an answer that cites documents alone can be verified. Pages of the web change without notice.",
    "只有完全引用文档的回答才能核实，因为网页会随时变化。",
)
ANSWER_NOT_STORED = Message(
    "This answer is not stored any more. Ask the question again, and verify the new answer.",
    "这个回答已不再保存。请重新提问，再核实新的回答。",
)
SOURCES_CHANGED = Message(
    "Its sources have changed, or you may not read all of them. Ask the question again, and verify the new answer.",
    "它的来源已更改，或者您无权查看全部来源。请重新提问，再核实新的回答。",
)
SAVED = Message(
    "Verified until {date}. `/kb verified` lists all verified answers.",
    "已核实，有效期至 {date}。输入 `/kb 已核实` 可查看全部已核实的回答。",
)

# ── /kb verified ─────────────────────────────────────────────────────────────────────────────────────────────────────

NONE_VERIFIED = Message(
    "No answer is verified. Press “Verify…” under an answer to verify it.",
    "还没有已核实的回答。点击回答下方的“核实…”即可核实。",
)
NONE_FOUND = Message("No verified answer contains “{words}”.", "没有包含“{words}”的已核实回答。")
HEAD = Message("*{count} verified answers*", "*{count} 个已核实的回答*", "*1 verified answer*")
ENTRY = Message(
    "*{question}*\n{state} · by {name} on {date} · {phrasings} other phrasings",
    "*{question}*\n{state} · {name} 于 {date} 核实 · 另有 {phrasings} 种问法",
)
ACTIVE = Message("valid until {date}", "有效期至 {date}")
EXPIRED = Message(":warning: expired on {date}", ":warning: 已于 {date} 过期")
NEEDS_REVIEW = Message(
    ":warning: not shown: a source has changed. Ask the question again, and verify the new answer",
    ":warning: 暂不显示：来源已更改。请重新提问，再核实新的回答",
)
MORE = Message(
    "And {count} more. `/kb verified words` finds those with some words.",
    "另有 {count} 个。输入 `/kb 已核实 关键词` 可查找。",
    "And 1 more. `/kb verified words` finds those with some words.",
)
UNREADABLE = Message(
    "{count} verified answers cite what you may not read. {owners} verified them.",
    "{count} 个已核实的回答引用了您无权查看的内容，核实人：{owners}。",
    "1 verified answer cites what you may not read. {owners} verified it.",
)
EDIT = Message("Edit", "编辑")
RENEW = Message("Renew for 180 days", "延长 180 天")
DELETE = Message("Delete", "删除")
CONFIRM_TITLE = Message("Delete this answer?", "删除这个回答？")
CONFIRM = Message("The question will be answered from the documents again.", "此问题将重新依据文档回答。")
RENEWED = Message("“{question}” is valid until {date}.", "“{question}”的有效期延长至 {date}。")
DELETED = Message("Deleted: “{question}”.", "已删除：“{question}”。")
