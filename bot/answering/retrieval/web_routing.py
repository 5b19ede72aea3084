"""Whether the live web is asked for a question: never, if the documents are not enough, or always, and why. Pure.

Always: somebody says so (``web: …``, a button, ``--web``), or a link stands in what the asker wrote. The same holds if
the asker asks to read a link of somebody else, or if the question is about the present of the world. Never: where the
channel does not allow it, or the question itself names the documents that it is put to (``in:handbook``). Everything
else: if the documents are not enough, for which ``library`` has the threshold.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence
from typing import Final
from urllib.parse import urlsplit

from bot.answering.events import Exchange
from bot.answering.policy import Policy, WebUse, Why
from bot.answering.retrieval.link_requests import asks_to_read_links
from knowledge.interfaces import LiveWebRequest
from knowledge.search.query import separate_filters
from knowledge.web.http.domains import extract_host, is_within_domains

# What may be left of "@Kvasir, …" stands before it; an input method writes letters in full width.
_BEFORE_WISH = r"[\s,.:;，。：；、\u200b-\u200f\u2060\ufeff–—-]*[*_]?"
_WISH = re.compile(rf"{_BEFORE_WISH}(?:web|ｗｅｂ|网页|網頁)\s*[:：][*_]?\s*", re.IGNORECASE)
_DOCUMENTS_WISH = re.compile(rf"{_BEFORE_WISH}(?:docs|ｄｏｃｓ|文档|文檔)\s*[:：][*_]?\s*", re.IGNORECASE)


def decide_web_use(text: str, history: Sequence[Exchange], policy: Policy, *, wish: bool = False) -> WebUse:
    """Return whether and how the web is asked for a question.

    Args:
        text: as a person reads it; ``<url|label>`` is read too.
        history: the conversation so far, oldest first. Of it only what the asker wrote counts.
        policy: of the channel.
        wish: whether the web was asked for outside the text.

    """
    question, wants_web = strip_web_prefix(text)
    requested = _list_quoted_texts(history) if asks_to_read_links(question) else ()
    own = _collect_links((question,), requested, policy.private)
    earlier = [exchange.question for exchange in reversed(history)]
    links = _collect_links((question, *requested), earlier, policy.private)
    listed = [
        link for link in links if policy.mode == "listed" and is_within_domains(extract_host(link), policy.domains)
    ]
    read = links if policy.mode == "on" else tuple(listed)
    closed = tuple(link for link in own if link not in read)
    why = _choose_reason(question, [link for link in own if link in read], read, wants_web=wants_web or wish)
    # Without a search provider nothing is requested, unless a person asked for the web: they see why not.
    if policy.mode == "off" or why is Why.FILTERED or not (read or policy.searches or why is Why.ASKED):
        return WebUse(None, why, policy, closed, question)
    live = LiveWebRequest(
        "if_weak" if why is Why.WEAK else "always",
        links=read,
        domains=policy.domains if policy.mode == "listed" else frozenset(),
        search=why is not Why.LINK,  # a link asks for that page alone
    )
    return WebUse(live, why, policy, closed, question)


def strip_web_prefix(text: str) -> tuple[str, bool]:
    """Return the question without ``web:``, and whether it stood there."""
    found = _WISH.match(text)
    return (text[found.end() :], True) if found else (text, False)


def strip_documents_prefix(text: str) -> tuple[str, bool]:
    """Return the question without ``docs:``, and whether it stood there."""
    found = _DOCUMENTS_WISH.match(text)
    return (text[found.end() :], True) if found else (text, False)


def _choose_reason(question: str, own: Sequence[str], links: Sequence[str], *, wants_web: bool) -> Why:
    if wants_web:
        return Why.ASKED
    if own:
        return Why.LINK
    if separate_filters(question)[1]:
        return Why.FILTERED
    if is_recent(question):  # in a thread with a link, too: that page is read, and need not be what is asked about
        return Why.RECENT
    return Why.LINK if links else Why.WEAK


# ── The present of the world ──────────────────────────────────────────────────────────────────────────────────────────

_NEWS = re.compile(
    r"\b(?:news|headlines?)\b(?!-)|\bweather\b(?! (?:feature|pattern|phenomen|condition|map)s?)|\bforecast for\b"
    r"|\b(?:stock|share) price|\bexchange rate\b|\bprice of \w+ (?:today|now)\b"
    r"|\bwho won\b.{0,200}\b(?:today|yesterday)\b"
    r"|新闻(?!学|记录|社|稿|台|出版|发布)|头条|天气(?!现象)|股价|汇率|热搜",
    re.IGNORECASE,
)
_LATEST = re.compile(
    r"\b(?:latest|newest|(?:most )?recent|current(?:ly)?)\s+(?!(?:\w+\s+)?(?:installed|running|configured|deployed)\b)"
    r"(?:[\w.+#-]+\s+){0,3}?"
    r"(?:news|headlines?|versions?|releases?|updates?|prices?|rates?|figures?|numbers|results?|scores?|model|status"
    r"|events?(?! (?:id|log|name|stream|type)s?\b)"
    r"|situation|developments?|research|studies|ceo|president|prime minister|chancellor|weather|outage)\b"
    r"|\b(?:latest|newest)\s+(?:on|about|from)\b|\bwhat(?:'s| is) (?:new (?:in|with|at)|happening (?:in|with|at))\b"
    r"|最新(?:的|版本?)?(?:[\w\u4e00-\u9fff]{0,6}?)(?:消息|新闻|版本?|发布|进展|动态|价格|行情|数据|情况|政策|公告|报道|研究|模型)",
    re.IGNORECASE,
)
_NOW = re.compile(
    r"\b(?:today|tonight|yesterday|this (?:morning|afternoon|evening|week|month)|right now|as of now|just now"
    r"|at the moment|these days|in the last (?:few )?(?:hours?|days?|weeks?))\b"
    r"|今天|今日|今晚|今早|昨天|昨日|(?<!日)本周|这周|这个星期|本月|此刻|刚刚(?:发生|发布|宣布|公布|结束)|近日"
    # Of a program 当前 and 目前 say what is set: they count before what only the world has.
    r"|(?:目前|当前|眼下)[^，。？]{0,8}(?:总统|首相|总理|主席|首富|冠军|价格|[油金房]价|利率|局势|形势|疫情|行情|进展|排名)",
    re.IGNORECASE,
)
_HOUSE = re.compile(
    r"\b(?:our|ours|(?-i:us|Us)|we|my|mine|company(?:'s)?|internal|colleagues?|employees?|handbook|manual|runbook|wiki"
    r"|intranet|knowledge base|on[- ]call|rota|expenses?|payroll|at the latest|latest (?:date|by|time|point))\b"
    r"|我们|我的|咱们|本公司|(?<![\u4e00-\u9fffA-Za-z])公司|部门|团队|同事|员工|内部|手册|文档|文件|制度|规定|规范|流程|指南|知识库|内网|年假|请假|休假"
    r"|报销|值班|考勤|工资|社保|审批|预算",
    re.IGNORECASE,
)
_MAYBE_HOUSE = re.compile(
    r"\b(?:teams?|department|office|document\w*|docs?|polic(?:y|ies)|guidelines?|procedure|leave|holidays?|vacation"
    r"|deadline|due)\b",
    re.IGNORECASE,
)
"""What a company has and the world too: news about it are the world's."""
_HOW = re.compile(
    r"\bhow (?:do|does|can|could|should|to)\b|如何|怎么(?!样|了)|怎样(?!了)|在哪(?:里|儿)?(?:设置|配置|修改|查看)",
    re.IGNORECASE,
)
"""How something is done is no news, unless the question names a day."""
_TIMELESS = re.compile(
    r"\b(?:even|still|until|till|up to|known|known as|as|than (?:it )?is|than it was) today\b"
    r"|即使在?今天|直到今天|(?:截至|直到|到)目前|今天(?:所在|的?位置)|目前为止",
    re.IGNORECASE,
)
"""Phrases that name the present only as the end of a long time."""


def is_recent(question: str) -> bool:
    """Return whether a question is about the present of the world rather than what documents hold.

    A question about the company (its handbook, leave, "our", "we") is not, even with words of time. The documents are
    searched first, and the web if they do not answer.
    """
    text = CODE.sub(" ", question)
    if _HOUSE.search(text) or (_MAYBE_HOUSE.search(text) and not _NEWS.search(text)):
        return False
    now = _NOW.search(_TIMELESS.sub(" ", text)) is not None
    new = "最新" in text or any(pattern.search(text) for pattern in (_NEWS, _LATEST))
    return now and new if _HOW.search(text) else now or new


_LINKS: Final = 5
"""So many are read, those of the question first, then the thread's latest."""
_OWN_LINKS: Final = 20

CODE = re.compile(r"```.*?(?:```|$)|`[^`\n]*`", re.DOTALL)
_URL = re.compile(r"https?://[^\s<>|\"'`，。；：！？、（）【】「」“”]+", re.IGNORECASE)
_TAIL = ".,;:!?*_~]}"
_NO_PAGE = re.compile(
    r"\.(?:zip|gz|tgz|bz2|xz|7z|rar|tar|rock|jar|war|whl|deb|rpm|apk|exe|msi|dmg|iso|bin|so|dll|img|png|jpe?g|gif|webp"
    r"|svg|ico|mp[34]|m4a|wav|ogg|mov|avi|webm|mkv|js|css|woff2?)$",
    re.IGNORECASE,
)
_LOGIN_HOSTS = (".slack.com",)
"""Hosts whose pages nobody reads without an account; a message's link in Slack leads there."""


def _collect_links(own: Iterable[str], other: Iterable[str], private: Collection[str]) -> tuple[str, ...]:
    """Return the links in texts that may lead to a page: all of ``own``, then as many ``other`` ones as are read."""
    first, more = (
        [link for text in texts for link in find_links(text) if _leads_to_a_page(link, private)]
        for texts in (own, other)
    )
    first = list(dict.fromkeys(first))[:_OWN_LINKS]
    return tuple(dict.fromkeys([*first, *more]))[: max(_LINKS, len(first))]


def _list_quoted_texts(history: Sequence[Exchange]) -> tuple[str, ...]:
    """Return the latest messages of others, newest first."""
    return tuple(quote.text for exchange in reversed(history) for quote in reversed(exchange.quotes))


def find_links(text: str) -> list[str]:
    """Return the web addresses in a text, those in code left aside: they are examples."""
    return [link for match in _URL.finditer(CODE.sub(" ", text)) if (link := _trim_marks(match[0]))]


def strip_links(text: str) -> str:
    """Return the text without its web addresses."""
    labelled = re.sub(r"<[^\s<>|]*\|([^<>]*)>", r"\1", text)
    bare = _URL.sub(lambda match: match[0][len(_trim_marks(match[0])) :], labelled)
    return " ".join(re.sub(r"\(\)|<>", " ", bare).split())


def _trim_marks(url: str) -> str:
    """Return an address without the marks that end the sentence around it."""
    while url and (url[-1] in _TAIL or (url[-1] == ")" and url.count(")") > url.count("("))):
        url = url[:-1]
    return url


def _leads_to_a_page(link: str, private: Collection[str]) -> bool:
    """Return whether a link leads to a page: no example host, no file, nothing behind a login."""
    host = extract_host(link)
    named = "." in host and ":" not in host and not host.rpartition(".")[2].isdigit()
    page = not host.endswith(_LOGIN_HOSTS) and not _NO_PAGE.search(urlsplit(link).path)
    return host in private or (named and page)
