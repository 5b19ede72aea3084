"""Decide whether a question asks to read links that somebody else posted. Pure.

A link of another person is read only if the asker's own words ask for it. For example, Bo posts
``https://example.com/plan`` and Ada asks "summarise the link above": Kvasir reads the page. If she asks "who posted the
link above?" or "should I open it?", it does not.
"""

from __future__ import annotations

import re

_QUALIFIED = r"(?:above|linked|posted|shared|(?:that|which)? ?@?\w+ (?:posted|shared|linked|sent))"
_LINK = (
    r"(?:the|this|that|these|those|his|her|their|all|both|@?\w+['’]s) (?:\w+ ){0,2}?"
    rf"(?:(?:links?|urls?)\b(?! between\b)|(?:web)?\s?(?:pages?|sites?|articles?|posts?) {_QUALIFIED}\b)"
)
_VERB = (
    r"(?:read|open|visit|fetch|follow|summari[sz]e|sum up|explain|translate|review|check|analy[sz]e|use|quote|compare"
    r"|look (?:at|into|through)|go (?:to|through))"
)
_SAY = r"\b(?:say|state|claim|recommend|mean|contain|describe|report|tell)"
_ASKS = re.compile(
    rf"(?:^|[.!?,;:] ?|\b(?:please|kindly|just|now|first|you|you to) ){_VERB}(?: (?:and|or) {_VERB})?"
    rf"(?: (?:me|us|for us|for me|what is in|what's in|what is behind))? {_LINK}"
    rf"|\b(?:summary|translation|tl;?dr|gist|key points|main points) of {_LINK}"
    rf"|\b(?:according to|based on) {_LINK}"
    rf"|\bwhat (?:do|does|did) {_LINK}[^.?!]{{0,40}}?{_SAY}\b"
    rf"|\bwhat(?:'s| is| stands) (?:in|on|at|behind) {_LINK}"
    rf"|\bwhat {_LINK}[^.?!]{{0,40}}?{_SAY}s?\b",
    re.IGNORECASE,
)
_LINK_ZH = (
    r"(?:上面|上述|上边|上方|前面|以上|刚才|刚刚|这个|那个|这条|那条|这些|那些|该|[^，。？！\s]{1,12}(?:发|贴|分享|给)的)"
    r"[^，。？！]{0,6}?(?:链接|鏈接|连结|網址|网址|网页|網頁)"
)
_VERB_ZH = r"(?:总结|總結|概括|归纳|阅读|读|看|打开|打開|访问|翻译|解释|分析|介绍|检查|参考|比较)"
_ASKS_ZH = re.compile(
    rf"{_VERB_ZH}(?:一下|一遍|一看|看)?(?:并{_VERB_ZH}(?:一下)?)?{_LINK_ZH}"
    rf"|(?:把|将|对){_LINK_ZH}[^，。？！]{{0,8}}?{_VERB_ZH}"
    rf"|(?:根据|按照|依据){_LINK_ZH}"
    rf"|{_LINK_ZH}(?:里面?|中|上)?(?:都|究竟|到底)?(?:说|讲|写|提到|介绍|包含)了?(?:些)?(?:什么|啥|哪些)"
    rf"|{_LINK_ZH}的?(?:主要|大致)?(?:内容|意思|要点)(?:是|有)",
)
_NOT_ASKED = re.compile(
    r"(?:\b(?:not|never|without|nobody|no one|who|why|cannot)\b|n['’]t\b)[^.?!]{0,40}$"
    r"|(?:不要|不用|不必|无需|别|勿|没有?|不能|不可|为什么|怎么|如何|谁|我们?(?:可以|能|应该|该|要)?)[^，。？！]{0,6}$",
    re.IGNORECASE,
)
_BEFORE_CHARS = 60
"""More than ``_NOT_ASKED`` reads before a request."""


def asks_to_read_links(question: str) -> bool:
    """Return whether a question asks to read a link that it does not contain."""
    question = " ".join(question.split())
    found = (match for pattern in (_ASKS, _ASKS_ZH) for match in pattern.finditer(question))
    return any(
        not _NOT_ASKED.search(question[max(0, match.start() - _BEFORE_CHARS) : match.start()]) for match in found
    )
