"""Direct messages to owners: a source that fails, and the weekly digest."""

from bot.messages.message import Message

SOURCE_FAILED = Message(
    ":warning: I cannot read the source *{source}*: {reason}\n"
    "Until it works again, I answer from what I have read before. `/kb status` shows the state of all sources.",
    ":warning: 无法读取来源 *{source}*：{reason}\n恢复之前，我依据已读取的内容回答。`/kb 状态` 显示各来源的状况。",
)
SOURCE_WELL = Message(
    ":white_check_mark: I can read the source *{source}* again.", ":white_check_mark: 来源 *{source}* 已恢复正常。"
)

DIGEST = Message("*The last week in Kvasir*", "*Kvasir 一周摘要*")
UNANSWERED = Message(
    "*{count} questions without an answer*", "*{count} 个问题没有找到答案*", "*1 question without an answer*"
)
BADLY_RATED = Message("*{count} answers with a bad vote*", "*{count} 个回答收到差评*", "*1 answer with a bad vote*")
NOT_SHOWN = Message(
    "{count} more were asked in direct messages or in conversations that you are not in.",
    "另有 {count} 个来自私信或您不在其中的对话。",
    "1 more was asked in a direct message or in a conversation that you are not in.",
)
AND_MORE = Message("and {count} more", "另外 {count} 个")
STALE_SOURCES = Message(
    "*{count} sources fail or are older than they should be*",
    "*{count} 个来源出错或超过期限未更新*",
    "*1 source fails or is older than it should be*",
)
STALE_SOURCE = Message("{source}: read {age}", "{source}：{age}读取")
FAILING_SOURCE = Message("{source}: {reason}", "{source}：{reason}")
VERIFIED_DUE = Message(
    "*{count} verified answers need you*: `/kb verified`",
    "*{count} 个已核实的回答需要处理*：`/kb 已核实`",
    "*1 verified answer needs you*: `/kb verified`",
)
