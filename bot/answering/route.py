"""Whether the live web is asked for a question: never, if the documents are not enough, or always, and why. Pure.

Always: somebody says so (``web: …``, a button, ``--web``), a link stands in what people wrote, or the question is about
the present of the world. Never: where the channel does not allow it, or the question itself names the documents that it
is put to (``in:handbook``). Everything else: if the documents are not enough, for which ``library`` has the threshold.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from bot.answering.events import Exchange
from bot.answering.links import written_links
from bot.answering.policy import Policy, WebUse, Why
from bot.answering.recency import is_recent
from knowledge.interfaces import Live
from knowledge.search.query import separated
from knowledge.web.http.domains import host_of, lies_under

_WISH = re.compile(
    # What may be left of "@Kvasir, …" stands before it; an input method writes letters in full width.
    r"[\s,.:;，。：；、\u200b-\u200f\u2060\ufeff–—-]*[*_]?(?:web|ｗｅｂ|网页|網頁)\s*[:：][*_]?\s*",
    re.IGNORECASE,
)


def route(text: str, history: Sequence[Exchange], policy: Policy, *, wish: bool = False) -> WebUse:
    """Return whether and how the web is asked for a question.

    Args:
        text: as a person reads it; ``<url|label>`` is read too.
        history: the conversation so far, oldest first. Of it only what people wrote counts.
        policy: of the channel.
        wish: whether the web was asked for outside the text.

    """
    question, asked = without_wish(text)
    own = written_links(question, (), policy.private)
    links = written_links(question, history, policy.private)
    read = tuple(link for link in links if _may_be_read(link, policy))
    closed = tuple(link for link in own if link not in read)
    why = _why(question, [link for link in own if link in read], read, asked=asked or wish)
    # Where nobody can be asked to search there is nothing to ask, unless somebody wants to hear just that.
    if policy.mode == "off" or why is Why.FILTERED or not (read or policy.searches or why is Why.ASKED):
        return WebUse(None, why, policy, closed, question)
    live = Live(
        "if_weak" if why is Why.WEAK else "always",
        links=read,
        domains=policy.domains if policy.mode == "listed" else frozenset(),
        search=why is not Why.LINK,  # who gives a link asks for that page, and nobody else need hear of it
    )
    return WebUse(live, why, policy, closed, question)


def _may_be_read(link: str, policy: Policy) -> bool:
    return policy.mode == "on" or (policy.mode == "listed" and lies_under(host_of(link), policy.domains))


def without_wish(text: str) -> tuple[str, bool]:
    """Return the question without ``web:``, and whether it stood there."""
    found = _WISH.match(text)
    return (text[found.end() :], True) if found else (text, False)


def _why(question: str, own: Sequence[str], links: Sequence[str], *, asked: bool) -> Why:
    if asked:
        return Why.ASKED
    if own:
        return Why.LINK
    if separated(question)[1]:
        return Why.FILTERED
    if is_recent(question):  # in a thread with a link, too: that page is read, and need not be what is asked about
        return Why.RECENT
    return Why.LINK if links else Why.WEAK
