"""The app's Home, for everybody, for owners and for administrators."""

from bot.messages.message import Message

TITLE = Message("Kvasir", "Kvasir")
KNOWLEDGE = Message("What Kvasir knows", "Kvasir 掌握的内容")
HELP = Message("What you can do", "您可以做什么")

# ── My questions and settings ────────────────────────────────────────────────────────────────────────────────────────

MY_QUESTIONS = Message("My recent questions", "我最近的提问")
NO_QUESTIONS = Message(
    "You have not asked anything lately. Mention Kvasir in a channel, or write to it under Messages.",
    "最近没有提问。可以在频道中提及 Kvasir，或在“消息”中直接提问。",
)
NOT_KEPT = Message("Your questions are not kept, as you chose in the settings.", "按您的设置，不会保留您的提问。")
UNANSWERED = Message("no answer found", "未找到答案")
MY_SETTINGS = Message("My settings", "我的设置")
SETTINGS = Message(
    "Language: *{reads}* · Thinking: *{thinking}* · Length of answers: *{length}* · {privacy}",
    "语言：*{reads}* · 思考：*{thinking}* · 回答长度：*{length}* · {privacy}",
)
ANSWERS_KEPT = Message("Answers are kept for {count} days", "回答保留 {count} 天", "Answers are kept for 1 day")
ANSWERS_KEPT_FOREVER = Message("Answers are kept until you delete them", "回答一直保留，直到您删除")
ANSWERS_NOT_KEPT = Message("Answers are not kept", "不保留回答")
CHANGE_SETTINGS = Message("Settings…", "设置…")

# ── For owners ───────────────────────────────────────────────────────────────────────────────────────────────────────

FOR_OWNERS = Message("For owners", "负责人")
NOTHING_TO_DO = Message("Nothing needs your attention.", "目前没有需要您处理的事项。")
FAILING = Message(":warning: *{source}* failed: {reason}", ":warning: *{source}* 更新失败：{reason}")
REFRESH = Message("Refresh", "更新")
UNANSWERED_QUESTIONS = Message("*Questions without an answer*", "*没有得到回答的问题*")
BAD_ANSWERS = Message("*Badly rated answers*", "*评价不佳的回答*")
HIDDEN_QUESTIONS = Message(
    "_{count} more in direct messages and in channels that you cannot see_",
    "_另有 {count} 个来自私信和您看不到的频道_",
    "_1 more in a direct message or in a channel that you cannot see_",
)
MORE_QUESTIONS = Message("_and {count} older ones_", "_以及更早的 {count} 个_", "_and 1 older one_")
MORE_SOURCES = Message(
    "_{count} more sources need attention. `/kb status` shows them._",
    "_另有 {count} 个来源需要处理，可用 `/kb 状态` 查看。_",
    "_1 more source needs attention. `/kb status` shows it._",
)

# ── For administrators ───────────────────────────────────────────────────────────────────────────────────────────────

FOR_ADMINS = Message("For administrators", "管理员")
QUEUE = Message(
    "*Queue of this replica*: {waiting} waiting, {running} running",
    "*本副本的队列*：{waiting} 个等待，{running} 个进行中",
)
REPLICA = Message(
    "*{host}* (process {pid}) · version {version} · started {started} · last heartbeat {seen}",
    "*{host}*（进程 {pid}）· 版本 {version} · {started}启动 · 最近心跳 {seen}",
)
LEADER = Message("*Leader*, which syncs the documents: {leader}", "*主进程*（负责同步文档）：{leader}")
NO_LEADER = Message(
    ":warning: No process leads, so nothing is synced by the clock. Start one with KVASIR_ROLE=all or sync.",
    ":warning: 没有主进程，因此不会按计划同步。请以 KVASIR_ROLE=all 或 sync 启动一个进程。",
)
MORE_REPLICAS = Message("_and {count} more replicas_", "_另有 {count} 个副本_", "_and 1 more replica_")
AUDIT_LOST = Message(
    ":warning: {count} entries of the audit could not be written since this process began. The log says why.",
    ":warning: 自本进程启动以来，有 {count} 条审计记录未能写入。原因见日志。",
    ":warning: 1 entry of the audit could not be written since this process began. The log says why.",
)
MISSING_REPLICA = Message(
    ":warning: {replica}. It may have died; its questions go on in another replica.",
    ":warning: {replica}。它可能已停止，其问题由其他副本继续处理。",
)
