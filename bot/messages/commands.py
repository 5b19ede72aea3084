"""The app and its commands: what Slack shows about them, and what they answer apart from the status."""

from bot.messages.message import Message

HELP = Message(
    """\
*/kb refresh* `[source]` — update the documents now
*/kb approve* `[source]` — show documents that are missing from a source and pending deletion, and delete them
*/kb status* — the state of the engine and the sources
*/kb sources* — the sources of Kvasir's answers
*/kb search* `words` — the best passages, without an answer
*/kb verified* `[words]` — owners: the verified answers, to edit, renew or delete them
*/kb share* `on` | `off` — owners: whether to answer in this channel, if another company shares it
*/kb feedback* — your votes on answers; owners: how people rate the answers from their sources
*/kb cases* — owners: the open cases of transactions, to decide each
*/kb channel* — how Kvasir answers in this channel: sources, live web, language, thinking, tone, mentions
*/kb help* — this list
*/ask* `question` — ask; only you see the answer
*/think* `deep` | `normal` | `off` | `default` — how long Kvasir thinks before it answers you
To ask a question, mention Kvasir in a channel or send it a direct message. In its threads, no mention is needed.
To make Kvasir leave a thread alone, write `mute` in it or add 🔇 to an answer. `unmute` ends this.""",
    """\
*/kb 刷新* `[来源]`：立即更新文档
*/kb 批准* `[来源]`：查看来源中已没有、等待批准删除的文档，并批准删除
*/kb 状态*：引擎与各来源的状况
*/kb 来源*：Kvasir 依据哪些文档回答
*/kb 搜索* `关键词`：只看最相关的段落
*/kb 已核实* `[关键词]`：负责人查看、编辑、延长或删除已核实的回答
*/kb 共享* `开` | `关`：负责人决定是否在与其他公司共享的此频道中回答
*/kb 评价*：您对回答的评价；负责人可查看大家对其来源的回答的评价
*/kb 案例*：负责人查看待处理的交易案例并逐一判断
*/kb 频道*：Kvasir 在此频道中如何作答（来源、实时网络、语言、思考、语气、提及）
*/kb 帮助*：显示本列表
*/ask* `问题`：提问，只有您能看到回答
*/think* `deep` | `normal` | `off` | `default`：回答您之前思考多久
在频道里提及 Kvasir，或直接发消息，即可提问；在它参与的消息列中可直接追问。
如需 Kvasir 不再参与某个消息列，请在其中输入“静音”，或给回答添加 🔇；输入“取消静音”可恢复。""",
)
HOME_LEFT_OUT = Message(
    "_Home has no room for {count} more lines. `/kb status` shows more of them, and `kvasir status` all._",
    "_主页放不下另外 {count} 行。`/kb 状态` 可查看更多，`kvasir status` 可查看全部。_",
    "_Home has no room for 1 more line. `/kb status` shows it._",
)
UNKNOWN_COMMAND = Message(
    "`/kb {word}` is not a command.{suggestion}\n{help}", "没有 `/kb {word}` 这个命令。{suggestion}\n{help}"
)
SUGGESTION = Message(" Did you mean `/kb {command}`?", "您是指 `/kb {command}` 吗？")

# ── /kb search ───────────────────────────────────────────────────────────────────────────────────────────────────────

NO_PASSAGES = Message("No passage matches “{query}”.", "没有找到与“{query}”相关的段落。")
PASSAGES = Message("*“{query}”*: {count} passages", "*“{query}”*：{count} 段", "*“{query}”*: 1 passage")

# ── Pending deletions ────────────────────────────────────────────────────────────────────────────────────────────────

NOTHING_PENDING = Message("There are no pending deletions.", "没有待批准的删除。")
NOTHING_PENDING_IN = Message("There are no pending deletions in “{source}”.", "来源“{source}”没有待批准的删除。")
APPROVAL_REQUEST = Message(
    "*{source}*: {count} documents are missing from the last listing and pending deletion:{documents}\n"
    "After approval, Kvasir lists the source again and deletes the documents that are still missing.",
    "*{source}*：{count} 篇文档不在最近的列表里，等待批准删除：{documents}\n"
    "批准后会重新列出来源，只删除其中仍然不在的文档。",
)
MORE_PENDING = Message("and {count} more", "另外 {count} 篇")
OWNERS_ONLY = Message("Only an owner may do this. Ask {owners}.", "只有负责人可以这样做，请找 {owners}。")
NO_OWNERS = Message(
    "No owner is configured, and only an owner may do this. An administrator adds owners to kvasir.toml: `[access]` "
    '`owners = ["{user}"]` (this is your ID). At the terminal, `kvasir sync --approve SOURCE` approves deletions.',
    "尚未指定负责人，而只有负责人可以这样做。"
    '管理员可以在 kvasir.toml 中指定负责人：`[access]` `owners = ["{user}"]`（这是您的 ID）。'
    "在终端可以用 `kvasir sync --approve 来源` 批准删除。",
)

# ── /kb refresh ──────────────────────────────────────────────────────────────────────────────────────────────────────

REFRESHING = Message("Refreshing {source} …", "正在更新{source}…")
ALL_SOURCES = Message("all sources", "所有来源")
PROGRESS_ELSEWHERE = Message("The progress appears in our direct messages.", "进度见我们的私信。")
REFRESHED = Message("Refreshed in {seconds:.1f} s.", "更新完成，用时 {seconds:.1f} 秒。")
REFRESH_FAILED = Message(
    ":warning: The refresh ended after {seconds:.1f} s, with failures:",
    ":warning: 更新结束，用时 {seconds:.1f} 秒，但有失败：",
)
REFRESH_INTERRUPTED = Message(
    ":warning: A restart interrupted this refresh. What it has read stays; `/kb refresh{source}` reads the rest now, "
    "or else the next sync does.",
    ":warning: 重启中断了这次更新。已读取的内容保留；输入 `/kb 刷新{source}` 可立即读取其余部分，否则由下次同步完成。",
)
APPROVAL_INTERRUPTED = Message(
    ":warning: A restart interrupted this deletion. `/kb approve{source}` shows what is still pending.",
    ":warning: 重启中断了这次删除。输入 `/kb 批准{source}` 可查看仍待删除的文档。",
)
SYNC_ENDED = Message("done", "完成")
UNCHANGED = Message("{count} unchanged", "{count} 未变")
ADDED = Message("{count} added", "{count} 新增")
UPDATED = Message("{count} updated", "{count} 更新")
DELETED = Message("{count} deleted", "{count} 删除")
PENDING_DELETION = Message("{count} pending deletion", "{count} 待批准删除")
FAILED = Message("{count} failed", "{count} 失败")
APPROVE = Message(
    ":pause_button: To see and approve the pending deletions: `/kb approve {source}`",
    ":pause_button: 查看并批准待删除的文档：`/kb 批准 {source}`",
)

# ── /kb share ────────────────────────────────────────────────────────────────────────────────────────────────────────

NOT_SHARED = Message(
    "This channel is not shared with another company, or I cannot see it. Invite me and type the command there.",
    "此频道没有与其他公司共享，或者我看不到它。请先邀请我加入，再在该频道中输入此命令。",
)
SHARING_ON = Message(
    "I now answer everybody in this channel, including the other company, but only from documents that are open to the "
    "whole world. `/kb share off` ends this.",
    "我现在会回答此频道中的所有人（包括其他公司的成员），但只依据对外公开的文档。输入 `/kb 共享 关` 可停止。",
)
SHARING_OFF = Message("I do not answer in this channel any more.", "我不再在此频道中作答。")

# ── /think ───────────────────────────────────────────────────────────────────────────────────────────────────────────

NOT_THINKING = Message(
    "The current model does not think, so this has no effect until a model that thinks is served.",
    "当前的模型不会思考，换成会思考的模型之后才有区别。",
)
THINKING_NOT_LIMITED = Message(
    "The current engine can switch thinking off but not limit it, so deep and normal hardly differ.",
    "当前的引擎只能关闭思考，不能限制长度：deep 与 normal 几乎没有区别。",
)
UNKNOWN_DEPTH = Message(
    "“{word}” is not a depth. Try /think deep, /think normal, /think off, or /think default.",
    "“{word}”无法识别。可用：/think deep、/think normal、/think off 或 /think default。",
)
PREFERRED_DEPTH = Message("For you, everywhere: {description} ({depth}).", "我为您作答时：{description}（{depth}）。")
DEFAULT_DEPTH = Message(
    "The default here: {description} ({depth}). To change it for you: /think deep | normal | off.",
    "您没有指定，这里的默认设置：{description}（{depth}）。可用 /think deep | normal | off 更改。",
)
DEPTHS = {
    "deep": Message("I think for a long time before I answer", "深入思考后再回答"),
    "normal": Message("I think for a moment before I answer", "稍作思考后回答"),
    "off": Message("I answer at once, without thinking", "不思考，直接回答"),
}

# ── The app manifest ──────────────────────────────────────────────────────────────────────────────────────────────────

PROMPT_TITLE = Message("What can you answer?", "您能回答什么？")
PROMPT = Message("Which documents do you answer from?", "您根据哪些文档回答问题？")
"""A question that Slack suggests to a person who opens the app."""
PROMPTS_TITLE = Message("You could ask:", "您可以这样问：")
DOCUMENT_PROMPT_TITLE = Message("New: {title}", "新内容：{title}")
DOCUMENT_PROMPT = Message("What does “{title}” say?", "“{title}”讲了什么？")

APP_DESCRIPTION = Message(
    "Answers questions from our own documents, with sources", "根据我们自己的文档回答问题，并注明来源"
)
AGENT_DESCRIPTION = Message(
    "Ask about anything in our documents; every answer names its sources.",
    "可以询问文档中的任何内容；每个回答都注明来源。",
)
KB_DESCRIPTION = Message(
    "Search, refresh and inspect the documents that Kvasir answers from", "搜索、更新和查看 Kvasir 作答所依据的文档"
)
THINK_DESCRIPTION = Message("How long Kvasir thinks before it answers you", "Kvasir 回答您之前思考多久")
