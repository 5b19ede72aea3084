"""The web addresses that people write: which lead to a page, and what a text says without them. Pure."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from typing import Final
from urllib.parse import urlsplit

from bot.answering.events import Exchange
from knowledge.web.http.domains import extract_host

_MOST: Final = 5
"""So many are read, those of the question first, then the thread's latest. Of a question all are told of."""
_TOLD: Final = 20

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


def collect_links(question: str, history: Sequence[Exchange], private: Collection[str] = ()) -> tuple[str, ...]:
    """Return the links that people wrote and that may lead to a page, the question's first, then the latest."""
    own = list(dict.fromkeys(link for link in find_links(question) if _leads_to_a_page(link, private)))[:_TOLD]
    said = [exchange.question for exchange in reversed(history)]
    earlier = (link for text in said for link in find_links(text) if _leads_to_a_page(link, private))
    return tuple(dict.fromkeys([*own, *earlier]))[: max(_MOST, len(own))]


def find_links(text: str) -> list[str]:
    """Return the web addresses in a text, those in code left aside: they are examples."""
    return [link for match in _URL.finditer(CODE.sub(" ", text)) if (link := _trimmed(match[0]))]


def strip_links(text: str) -> str:
    """Return the text without its web addresses."""
    bare = re.sub(r"<[^\s<>|]*\|([^<>]*)>", r"\1", text)
    return " ".join(_URL.sub(lambda match: match[0][len(_trimmed(match[0])) :], bare).replace("()", " ").split())


def _trimmed(url: str) -> str:
    """Return an address without the marks that end the sentence around it."""
    while url and (url[-1] in _TAIL or (url[-1] == ")" and url.count(")") > url.count("("))):
        url = url[:-1]
    return url


def _leads_to_a_page(link: str, private: Collection[str]) -> bool:
    """Tell a page from an example on one's own machine, a file, and what nobody reads without an account."""
    host = extract_host(link)
    named = "." in host and ":" not in host and not host.rpartition(".")[2].isdigit()
    page = not host.endswith(_LOGIN_HOSTS) and not _NO_PAGE.search(urlsplit(link).path)
    return host in private or (named and page)
