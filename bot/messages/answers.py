"""What Kvasir says in an answer, and about it."""

from bot.messages.message import Message

# ── The question ──────────────────────────────────────────────────────────────────────────────────────────────────────

EMPTY_QUESTION = Message(
    "There was no question. Write what you would like to know after my name, for example: how do I add a source?",
    "没有看到问题。请在我的名字后面写下想问的内容，例如：怎样添加一个资料来源？",
)
AUDIT_FAILED = Message(
    "I cannot record this answer now, so I must not give one. Tell an administrator that the audit cannot be written.",
    "目前无法为回答留下审计记录，因此不能作答。请告知管理员：审计日志无法写入。",
)
QUESTION_CUT = Message(
    "The question was very long; only its first {kept} characters were read.",
    "问题太长，只读取了前 {kept} 个字符。",
)
SEARCH_FAILED = Message("The documents could not be searched. {reason}", "无法检索文档。{reason}")
WORDS_ALONE = Message(
    "Passages were found by their words alone, so some may be missing. {reason}",
    "仅按字词找到段落，因此可能有所遗漏。{reason}",
)
SEARCH_SLOW = Message(
    "The documents could not be searched within {seconds} s. Please ask again in a moment.",
    "文档检索在 {seconds} 秒内没有完成，请稍后再问。",
)
THANKS = Message("You are welcome. Ask me anything else you would like to know.", "不客气，还有问题可以随时问我。")
GREETING = Message(
    "Hello. Ask me something, for example: how do I add a source?", "您好，请直接提问，例如：怎样添加一个资料来源？"
)

# ── Progress ──────────────────────────────────────────────────────────────────────────────────────────────────────────

SEARCHING = Message("is searching the documents…", "正在检索文档…")
SEARCHING_WEB = Message("is searching the documents and reading pages of the web…", "正在检索文档并读取网页…")
READING = Message("is reading {count} passages…", "正在阅读 {count} 段资料…")
THINKING = Message("is thinking…", "正在思考…")
WRITING = Message("is writing and checking the answer…", "正在撰写并核对回答…")
IN_LINE = Message("You are number {position} in line for the engine{eta}.", "引擎前排队第 {position} 位{eta}。")
ETA_SECONDS = Message(", about {number} s", "，约 {number} 秒")
ETA_MINUTES = Message(", about {number} min", "，约 {number} 分钟")
PROGRESS = Message(" ({percent} %)", "（{percent} %）")
"""It follows "loading" or "being installed"."""

# ── Without an answer ─────────────────────────────────────────────────────────────────────────────────────────────────

UNKNOWN = Message("I do not know: I found nothing in the documents about this.", "我不知道：文档中没有找到相关内容。")
CLOSEST = Message("I found no direct answer. This comes closest:", "没有找到直接的答案，以下内容最接近：")
CLOSEST_UNMENTIONED = Message(
    "I found no direct answer: no passage mentions {names}. This comes closest:",
    "没有找到直接的答案：没有段落提到{names}。以下内容最接近：",
)

WARNING_OF_GUIDELINE = Message("**Warning:** {sentence}", "**警示：**{sentence}")
WARNINGS_WITHOUT_SOURCE = Message(
    "{count} more warnings of this profile apply, but their sentences were not found in the guidelines that everybody "
    "here may read. Ask the owner of the profile.",
    "此配置中还有 {count} 条警示适用，但在此处所有人可读的指南中没有找到其原文。请联系该配置的负责人。",
    en_one="1 more warning of this profile applies, but its sentence was not found in the guidelines that everybody "
    "here may read. Ask the owner of the profile.",
)
WARNINGS_NOT_SEARCHED = Message(
    "{count} more warnings of this profile apply, but the guidelines could not be searched for their sentences. Ask "
    "again in a minute.",
    "此配置中还有 {count} 条警示适用，但无法在指南中搜索其原文。请一分钟后再问。",
    en_one="1 more warning of this profile applies, but the guidelines could not be searched for its sentence. Ask "
    "again in a minute.",
)
UNREAD_BY_RULES = Message(
    "The rules for warnings did not read all of this: {names}. Check it for contraindications yourself.",
    "警示规则未读取或未完整读取以下内容：{names}。请自行核对其中有无禁忌。",
)

# ── Extracts in place of an answer ────────────────────────────────────────────────────────────────────────────────────

ENGINE_LOADING = Message(
    "The engine is still loading{progress}; these are extracts from the documents until then.",
    "引擎仍在加载{progress}，先给出文档摘录。",
)
ENGINE_PREPARING = Message(
    "The engine is still being installed{progress}; these are extracts from the documents until then.",
    "引擎仍在安装{progress}，先给出文档摘录。",
)
ENGINE_ABSENT = Message(
    "No engine is running, so these are extracts from the documents.{detail}",
    "引擎没有运行，以下是文档摘录。{detail}",
)
ENGINE_FAILED = Message(
    "These are extracts from the documents, not an answer. {reason}",
    "以下是文档摘录，不是回答。{reason}",
)
EXTRACTS = Message("These are extracts from the documents, not an answer.", "以下是文档摘录，不是回答。")
CONTEXT_TOO_SMALL = Message(
    "The model's context of {tokens} tokens is too small to answer from passages.",
    "模型的上下文只有 {tokens} 个 token，不足以根据文档回答。",
)
ENGINE_SLOW = Message(
    "The engine did not finish within {seconds} s, so these are extracts from the documents.",
    "引擎在 {seconds} 秒内没有完成回答，以下是文档摘录。",
)
NO_FIRST_TOKEN = Message(
    "The engine did not begin to answer within {seconds} s, so these are extracts from the documents.",
    "引擎在 {seconds} 秒内没有开始回答，以下是文档摘录。",
)
NO_ANSWER = Message(
    "The model did not get to an answer, so these are extracts from the documents.",
    "模型没有写出回答，以下是文档摘录。",
)
ENGINE_BUSY = Message("The model is busy with other questions.", "模型正忙于其他问题。")
CHECK_FAILED = Message(
    "The answer could not be checked against the documents, so these are extracts from the documents. {reason}",
    "无法用文档核对回答，以下是文档摘录。{reason}",
)

# ── Parts of an answer ────────────────────────────────────────────────────────────────────────────────────────────────

LEAD_IN = Message("In detail:", "具体如下：")
NO_MORE = Message("The documents do not say more about this.", "文档中没有更多相关内容。")
DISAGREEMENT = Message(
    "(as of {date}; {others}, as of {other_date}, says otherwise)",
    "（截至 {date}；{others} 截至 {other_date}，其中的说法不同）",
)
DISAGREEMENT_UNDATED = Message("({others} says otherwise)", "（{others} 中的说法不同）")

# ── Under an answer ───────────────────────────────────────────────────────────────────────────────────────────────────

CUT_BY_ERROR = Message("The answer was cut off. {reason}", "回答中断了。{reason}")
CUT_BY_TIME = Message("The answer was cut off after {seconds} s.", "回答在 {seconds} 秒后被截断。")
CUT_BY_LENGTH = Message("The answer was cut off because it reached the maximum length.", "回答达到长度上限，已被截断。")
CUT_BY_REPETITION = Message(
    "The answer was cut off because the model began to repeat itself.", "模型开始重复，回答已提前结束。"
)
WARNING = Message(
    "⚠ marks what no passage supports. Check it before you rely on it.",
    "⚠ 表示没有段落支持这一句，使用前请核实。",
)
REMOVED = Message(
    "{count} sentences were removed because the documents say otherwise.",
    "有 {count} 句与文档不符，已删除。",
    "1 sentence was removed because the documents say otherwise.",
)
LEFT_OUT = Message(
    "{count} sentences were left out because no passage supports them.",
    "有 {count} 句没有段落支持，未显示。",
    "1 sentence was left out because no passage supports it.",
)
SMALL_MODEL = Message("A small model on the CPU wrote this, not an R1.", "这是由 CPU 上的小模型写的，不是 R1。")

RECOGNISED = Message(
    "Text recognition read {names}: check figures and names in the original.",
    "{names} 的文字由文字识别读取：请对照原件核对数字和名称。",
)
PICTURE_UNSEEN = Message(
    "I read only the text in {names}; I did not see the picture itself.",
    "我只读取了 {names} 中的文字，没有看到图片本身。",
)
PICTURE_SEEN = Message(
    "A vision model saw {names}. What it saw is not verified: check it against the picture.",
    "视觉模型看过 {names}。它看到的内容未经核实：请对照图片核对。",
)
VISION_FAILED = Message(
    "The vision model did not answer, so I used only the text in {names}. Ask again later.",
    "视觉模型没有回应，因此我只用了 {names} 中的文字。请稍后再问。",
)

# ── The documents ─────────────────────────────────────────────────────────────────────────────────────────────────────

OVERVIEW = Message("I answer from these documents:", "我根据以下文档回答：")
NO_DOCUMENTS = Message(
    "No document has been read yet that you may see. Add a source to kvasir.toml and run `kvasir sync`.",
    "还没有读取您可以查看的文档。请在 kvasir.toml 中添加来源，然后运行 `kvasir sync`。",
)
DOCUMENT_COUNT = Message("{count} documents", "{count} 篇文档", "1 document")
SOURCE_READ = Message("({kind}): {count}, read {age}.", "（{kind}）：{count}，{age}读取。")
SOURCE_UNFINISHED = Message("({kind}): {count}, not read completely yet.", "（{kind}）：{count}，尚未读完。")
TITLES = Message("Titles: {titles}", "标题：{titles}")
QUOTED_TITLE = Message("“{title}”", "《{title}》")
SOURCE_KINDS = {
    "confluence": Message("Confluence", "Confluence"),
    "drive": Message("Google Drive", "Google Drive"),
    "feed": Message("a feed", "订阅源"),
    "folder": Message("a folder", "文件夹"),
    "git": Message("a git repository", "Git 仓库"),
    "notion": Message("Notion", "Notion"),
    "objects": Message("an object store", "对象存储"),
    "pages": Message("pages of the web", "网页"),
    "push": Message("added by hand", "手动添加"),
    "slack": Message("Slack channels", "Slack 频道"),
    "sql": Message("a database", "数据库"),
    "website": Message("a website", "网站"),
}
"""The kinds of sources, as ``kvasir.toml`` names them."""
