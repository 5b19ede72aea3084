"""What Kvasir says in a thread, apart from the answer itself."""

from bot.messages.message import Message

EMPTY_QUESTION = Message(
    "Ask me something after my name, for example: “@Kvasir how do I add a source?” `/kb help` lists the commands.",
    "请在提及我之后写下问题，例如：“@Kvasir 如何添加来源？” 输入 `/kb 帮助` 可查看所有命令。",
)
QUESTION_ABOVE = Message("What is the answer to that?", "上面的问题的答案是什么？")
"""What a mention without text asks about messages of others."""
EMPTY_ANSWER = Message("There is no answer to show.", "没有可显示的回答。")
BUSY = Message("is busy. {text}", "正忙。{text}")
"""A status, which Slack shows after the app's name."""

QUEUE_OVER = Message("I am working on your question now.", "正在处理您的问题。")
"""What replaces the position in the queue."""

# ── Answers that end early ───────────────────────────────────────────────────────────────────────────────────────────

INTERRUPTED = Message("_ℹ️ I was interrupted here; the answer follows below._", "_ℹ️ 回答在此中断，完整的回答见下方。_")
TOO_MANY_ATTEMPTS = Message(
    "I was interrupted several times and could not answer this question. Please ask again; the log has the reason.",
    "我多次被中断，没能回答这个问题。请再问一次；原因见日志。",
)
ANSWER_REFUSED = Message(
    "I have an answer, but Slack refused to show it ({code}). Please ask again; the log has the details.",
    "我已写好回答，但 Slack 拒绝显示（{code}）。请再问一次；详情见日志。",
)
STOPPED = Message("Stopped.", "已停止。")

# ── Answers that are replaced later ───────────────────────────────────────────────────────────────────────────────────

REVISED = Message("Revised, because the question was edited.", "问题已修改，回答已更新。")
REGENERATED = Message("Answered again, as you wished.", "已按您的要求重新回答。")
REVISES = Message("This replaces [my earlier answer]({url}).", "此回答取代[先前的回答]({url})。")

# ── What was not read, and where Kvasir does not answer ──────────────────────────────────────────────────────────────

FILES_IGNORED = Message(
    "I cannot read attached files, so this answer is based on the text alone.", "我无法读取附件，以下仅根据文字回答。"
)
THREAD_UNREADABLE = Message(
    "I could not read this thread, so this answer is based on the last message alone.",
    "我无法读取此消息列，以下仅根据最后一条消息回答。",
)
THREAD_MIDDLE = Message("the middle of this thread", "此消息列的中间部分")
SHARED_CHANNEL = Message(
    "This channel is shared with another company, so I do not answer here until an owner allows it with "
    "`/kb share on`. People of the company that runs me can ask in a direct message.",
    "此频道与其他公司共享，在负责人输入 `/kb 共享 开` 之前，我不在这里作答。运行我的公司的成员可以在私信中提问。",
)
FOREIGN_PERSON = Message(
    "I answer people of the company that runs me. Ask in a channel that both companies share and where its owner typed "
    "`/kb share on`.",
    "我只回答运行我的公司的成员。请在双方共享、并且该公司的负责人已输入 `/kb 共享 开` 的频道中提问。",
)
PERSON_LIMIT = Message(
    "You have asked {count} questions within a minute, which is as many as I can take from one person. Please ask this "
    "one again in {wait}.",
    "您在一分钟内已提出 {count} 个问题，达到了每人的上限。请在 {wait}后再问一次。",
    "You have asked one question within a minute, which is as many as I can take from one person. Please ask this one "
    "again in {wait}.",
)
CHANNEL_LIMIT = Message(
    "People have asked {count} questions in this channel within a minute, which is as many as I can take here. "
    "Please ask this one again in {wait}, or now in a direct message.",
    "此频道在一分钟内已有 {count} 个问题，达到了上限。请在 {wait}后再问一次，或现在就在私信中提问。",
    "Somebody has asked a question in this channel within a minute, which is as many as I can take here. "
    "Please ask this one again in {wait}, or now in a direct message.",
)
APPS_REFUSED = Message(
    "I answer people, not apps. A person has to ask, or my operator allows this app by its id {app}.",
    "我只回答人，不回答应用。请由人来提问，或由管理员按编号 {app} 允许此应用。",
)
AUDIENCE_UNKNOWN = Message(
    "I could not find out who reads this, so I used only documents that are open to the whole world. "
    "Ask again in a minute; `kvasir doctor` tells an administrator what is missing.",
    "我无法确认哪些人会看到这里的内容，所以只用了对外公开的文档。"
    "请一分钟后再问；管理员可以用 `kvasir doctor` 查看缺少什么。",
)
NOTHING_OPEN = Message(
    "This channel searches only some sources. Not everybody here may read them, or I have not read them yet. "
    "Ask me in a direct message.",
    "此频道只搜索部分来源，而这些来源并非这里的所有人都可以查看，或者我还没有读取。请在私信中问我。",
)
CONFIDENTIAL = Message(
    "The questions and files of that channel stay in their threads. Ask there, and mention me.",
    "该频道的问题和文件只留在其会话中。请在那里 @我 提问。",
)
VIEWERS_CHANGED = Message(
    "The people here, their rights or the documents changed while I answered, so I stopped. Ask again in a minute.",
    "我回答期间，此会话的成员、其权限或文档有变化，所以没有继续。请一分钟后再问。",
)

# ── Sources under an answer ──────────────────────────────────────────────────────────────────────────────────────────

SOURCES = Message("*Sources*{seen}", "*来源*{seen}")
LOOKED_AT = Message("*Looked at*{seen}", "*查阅过*{seen}")
SOURCE = Message("{source}{origin}", "{source}{origin}")
PAGE = Message(" · {host}{date}{seen}", " · {host}{date}{seen}")
SEEN = Message(" · as of {age}", "（{age}核实）")
PUBLISHED = Message(", {date:%Y-%m-%d}", "，{date:%Y-%m-%d}")
