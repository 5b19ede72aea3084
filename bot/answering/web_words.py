"""What the knowledge room says of the web, in the asker's language: it speaks English. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from bot.answering.language import Tongue

CHINESE: Final[Mapping[str, str]] = {
    "It took too long.": "耗时过长",
    "Only some sites are read here, and this is none of them.": "不在允许读取的网站之列",
    "No more than 5 pages are read for one question.": "每个问题最多读取 5 个网页",
    "There is no text on it.": "其中没有文字",
    "It could not be read.": "无法读取",
    "This page cannot be read from here. Open it in a browser, or leave it out.": "无法从这里读取，请用浏览器打开",
    "No search engine is set up here, so the web was not searched.": "尚未配置搜索引擎，因此没有搜索网络。",
    "No search engine answered, so the web was not searched.": "没有搜索引擎应答，因此没有搜索网络。",
    "The search of the web took too long.": "网络搜索耗时过长。",
    "The live web is switched off here.": "这里已关闭网络搜索。",
    "No site may be read for this question.": "这个问题没有允许读取的网站。",
    "Nothing of the question may leave the house, so the web was not searched. Ask in other words.": (
        "问题中没有可以对外发送的内容，因此没有搜索网络。请换一种问法。"
    ),
}
_UNREADABLE = re.compile(r"This page cannot be read: .*")


def said(sentence: str, tongue: Tongue) -> str:
    """Return a sentence as the asker reads it; one that is not known stays as it is."""
    if tongue != "zh":
        return sentence
    return CHINESE.get(sentence, "网页内容无法读取，请用浏览器打开" if _UNREADABLE.match(sentence) else sentence)
