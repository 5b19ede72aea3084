"""What Kvasir says about the live web."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

from bot.messages.errors import UNREADABLE
from bot.messages.message import Message
from knowledge.interfaces import SkipReason, WebTrouble

REQUESTED = Message("I looked on the web, as you asked: {came}.", "已按要求查看网络：{came}。")
LINKED = Message("I looked on the web because you gave a link: {came}.", "因为给出了链接，已查看网络：{came}。")
RECENT = Message(
    "I looked on the web because you ask about recent events: {came}.", "问题涉及最新情况，已查看网络：{came}。"
)
NOT_ENOUGH = Message(
    "I looked on the web because the documents are not enough: {came}.", "文档内容不足，已查看网络：{came}。"
)
PAGES_READ = Message("{count} pages were read", "读取了 {count} 个网页", "one page was read")
NOTHING_READ = Message("no page was read", "没有读到网页")
LEFT_OUT = Message("Left out: {named}.", "未读取：{named}。")
MORE_LEFT_OUT = Message("Left out: {named}; and {more} more.", "未读取：{named}；另有 {more} 个。")
OFF = Message(
    "The live web is off, so I fetched nothing. An operator turns it on with a table `[web]` in kvasir.toml.",
    "网络搜索未开启，因此没有读取任何网页。运维人员可以在 kvasir.toml 中添加 `[web]` 表来开启。",
)
OFF_IN_CHANNEL = Message(
    "The live web is off in this channel, so I fetched nothing. An operator allows it in the channel's "
    "`[[channel]]` table of kvasir.toml.",
    "本频道未开启网络搜索，因此没有读取任何网页。运维人员可以在 kvasir.toml 中该频道的 `[[channel]]` 表里允许。",
)
OFF_FOR_VIEWERS = Message(
    "Somebody who reads this may not see answers from the live web, so I fetched nothing. A full member of the company "
    "that runs me can ask in a direct message.",
    "这里有人不可以查看来自网络的回答，因此没有读取任何网页。运行我的公司的正式成员可以在私信中提问。",
)
NOT_LISTED = Message(
    "Only listed sites are read here, so this was not: {hosts}.", "这里只读取指定的网站，因此未读取：{hosts}。"
)
WITHHELD = Message(
    "The question has private words such as names, numbers or keys, so the web was not searched. Ask without them.",
    "问题中含有姓名、号码或密钥等不应外发的内容，因此没有搜索网络。请去掉这些内容后再问。",
)
WITHHELD_UNTIL_ASKED = Message(
    "The question has private words, so the web was not searched. “{button}” sends exactly this: {words}",
    "问题中含有不应外发的内容，因此没有搜索网络。点击“{button}”后将只发送：{words}",
)
LEFT_OUT_PAGE = Message("{host} ({why})", "{host}（{why}）")

TROUBLES: Final[Mapping[WebTrouble, Message]] = {
    WebTrouble.SWITCHED_OFF: Message("The live web is switched off here.", "这里已关闭网络搜索。"),
    WebTrouble.NO_PROVIDER: Message(
        "No search engine is set up here, so the web was not searched.", "尚未配置搜索引擎，因此没有搜索网络。"
    ),
    WebTrouble.NO_ANSWER: Message(
        "No search engine answered, so the web was not searched.", "没有搜索引擎应答，因此没有搜索网络。"
    ),
    WebTrouble.LATE: Message("The search of the web took too long.", "网络搜索耗时过长。"),
    WebTrouble.NO_SITE_ALLOWED: Message("No site may be read for this question.", "这个问题没有允许读取的网站。"),
    WebTrouble.ONLY_PRIVATE_WORDS: Message(
        "The question contains only words that must stay private, so the web was not searched. Ask in other words.",
        "问题中没有可以对外发送的内容，因此没有搜索网络。请换一种问法。",
    ),
    WebTrouble.PRIVATE_WORDS: WITHHELD,
}

SKIP_REASONS: Final[Mapping[StrEnum, Message]] = {
    SkipReason.LATE: Message("it took too long", "耗时过长"),
    SkipReason.NOT_LISTED: Message(
        "only some sites are read here, and this is not one of them", "不在允许读取的网站之列"
    ),
    SkipReason.TOO_MANY: Message("only a few pages are read for one question", "一个问题只读取少数几个网页"),
    SkipReason.NO_TEXT: Message("there is no text on it", "其中没有文字"),
    SkipReason.NOT_FETCHED: Message(
        "it cannot be read from here; open it in a browser", "无法从这里读取，请用浏览器打开"
    ),
    SkipReason.DEFECT: Message("it could not be read", "无法读取"),
    **UNREADABLE,
}
"""Why a page was left out, as a part of a sentence."""
