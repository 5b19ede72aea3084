"""The settings of a channel: the modal in which people change them, and what Kvasir says about them."""

from __future__ import annotations

from collections.abc import Mapping

from bot.languages import registry
from bot.messages.message import Message

TITLE = Message("Channel settings", "频道设置")
INTRODUCTION = Message(
    "How I answer in {channel}. A change counts for everybody here, within seconds.",
    "我在 {channel} 中如何作答。更改几秒内对所有人生效。",
)
SAVE = Message("Save", "保存")
CANCEL = Message("Cancel", "取消")
FIXED = Message("*{name}*\n{value} · fixed in `kvasir.toml`", "*{name}*\n{value} · 已由 `kvasir.toml` 固定")

SETTINGS = {
    "sources": Message("Sources", "来源"),
    "web": Message("Live web", "实时网络"),
    "language": Message("Language of answers", "回答的语言"),
    "think": Message("Thinking", "思考"),
    "tone": Message("Tone", "语气"),
    "mention_only": Message("Mention only", "仅在被提及时"),
    "unasked": Message("Answers without a mention", "未被提及时的回答"),
}

ALL_SOURCES = Message("All sources", "所有来源")
SOURCES_HINT = Message(
    "The sources that I search here. Choose none to search all. You see only sources that you may read.",
    "我在此搜索的来源；不选则搜索全部。这里只列出您可以查看的来源。",
)
WEB_MODES = {
    "off": Message("Never", "不使用"),
    "listed": Message("Only the sites that kvasir.toml lists", "仅限 kvasir.toml 列出的网站"),
    "on": Message("Whenever it helps", "需要时使用"),
}
LANGUAGES = {
    "asker": Message("The language of each question", "提问所用的语言"),
    "en": Message("English", "英文"),
    "zh": Message("Chinese", "中文"),
}


def name_languages() -> Mapping[str, Message]:
    """Return the choices for the language of answers; one without a text here has its own name."""
    return LANGUAGES | {
        pack.code: LANGUAGES.get(pack.code, Message(pack.name, pack.name)) for pack in registry.LANGUAGES.values()
    }


DEPTHS = {
    "deep": Message("Deep: slower, for hard questions", "深入：较慢，适合难题"),
    "normal": Message("Normal", "普通"),
    "off": Message("Off: answers at once", "关闭：立即回答"),
}
THINK_HINT = Message("For people who have not chosen one themselves by /think.", "适用于没有用 /think 自行指定的人。")
TONES = {
    "plain": Message("Plain", "平实"),
    "friendly": Message("Friendly", "亲切"),
    "formal": Message("Formal", "正式"),
}
MENTION_ONLY = Message("Answer only messages that mention me", "只回答提及我的消息")
ON = Message("On", "开启")
OFF = Message("Off", "关闭")
NEVER = Message("Never", "不回答")
PER_HOUR = Message("At most {count} an hour", "每小时最多 {count} 次")
UNASKED_HINT = Message(
    "I answer a question to everybody here if I am sure that the documents have the answer. I mark such answers.",
    "如果有人向大家提问，而我确信文档中有答案，我会回答，并注明无人向我提问。",
)
MENTION_OR_UNASKED = Message(
    "I cannot answer without a mention if I answer only where I am mentioned. Please change one of the two.",
    "如果只回答提及我的消息，就不能在未被提及时回答。请更改其中一项。",
)

ONLY_IN_CHANNELS = Message(
    "A direct message has no settings. Type `/kb channel` in the channel that you want to change.",
    "私信没有设置。请在想要更改的频道中输入 `/kb 频道`。",
)
CHANNEL_UNKNOWN = Message(
    "I cannot see this channel. Invite me with `/invite @Kvasir` and try again.",
    "我看不到此频道。请用 `/invite @Kvasir` 邀请我，然后再试。",
)
NOT_ALLOWED = Message(
    "Only these people can change my settings here: {creator}, Kvasir's owners, and the workspace's administrators. "
    "Please ask one of them.",
    "只有{creator}、Kvasir 的负责人和工作区管理员可以更改我在此处的设置。请联系他们。",
)
CREATOR = Message("<@{user}> (who made this channel)", "此频道的创建者 <@{user}>")
A_CREATOR = Message("the person who made this channel", "此频道的创建者")
CHANGED = Message("<@{user}> changed how I answer here: {changes}.", "<@{user}> 更改了我在此处的作答方式：{changes}。")
CHANGE = Message("{name}: {value}", "{name}：{value}")
SOME_SOURCES = Message("some sources", "部分来源")
NOTHING_CHANGED = Message("Nothing changed.", "没有更改。")
SAVED_UNANNOUNCED = Message(
    "Your changes count now, but I could not post this in the channel: invite me with `/invite @Kvasir`.",
    "更改已生效，但我无法在频道中通知大家：请用 `/invite @Kvasir` 邀请我。",
)

# ── Answers without a mention ────────────────────────────────────────────────────────────────────────────────────────

UNASKED = Message(
    "Nobody asked me: I answer because the documents seem to have the answer.",
    "没有人向我提问：文档中似乎有答案，所以我来回答。",
)
STOP_UNASKED = Message("Don't answer here unasked", "未被提问时不要在此回答")
UNASKED_OFF = Message("I do not answer here without a mention any more.", "我在此处已不再主动回答。")
UNASKED_FIXED = Message(
    "The configuration of Kvasir sets this, so I cannot change it. An administrator changes it in `kvasir.toml`.",
    "这由 Kvasir 的配置决定，我无法更改。管理员可以在 `kvasir.toml` 中修改。",
)
