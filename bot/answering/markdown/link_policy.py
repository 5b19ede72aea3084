"""Decide which web addresses an answer may show, and remove invisible characters. Pure.

A sentence shows addresses only at hosts that the passages that it cites or the person who asks have named. A company
document allows the hosts that it names. A stranger may have written a page of the web, a file or a message, which
allows the host of its own address alone.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence
from urllib.parse import urlsplit

from bot.answering.events import Passage

_CODE = re.compile(r"(?<!`)(`+)(?!`)[^\n|]+?(?<!`)\1(?!`)")
"""In code, what looks like a link may be a subscript and a call; an address is an address there too."""
_INLINE = re.compile(
    r"(?P<image>!?)\[(?P<label>[^\[\]\n]*)\]\(\s*<?(?P<url>[^()\s<>]*(?:\([^()\s]*\)[^()\s<>]*)*)>?(?:\s+\"[^\"\n]*\")?\s*\)"
)
_BARE = re.compile(
    r"<?(?P<url>(?:(?:https?|ftp)://|(?<![\w.])www\.)[^\s<>\"'`，。；：！？、（）【】\]]*)"
    r"(?P<tail>[\"'`\]](?:(?!(?:https?|ftp)://|www\.)[^\s<>/?#，。；：！？、（）【】])*)?>?",
    re.IGNORECASE,
)
_ROUNDS = 20
_ADDRESS_MARK = re.compile(r"[:(.](?:(?<=:)//|(?<=\]\()|(?<=www\.))", re.IGNORECASE)
"""Every address and link has one of these marks, ``://``, ``](`` or ``www.``; only a reference has none."""
_SCHEME = re.compile(r"(?:https?|ftp)://", re.IGNORECASE)
_REFERENCE = re.compile(r"^\s*\[[^\]\n]{1,60}\]:\s*\S+", re.MULTILINE)
_GOES_ON = re.compile(r"[@\\]|\.\w")
"""What makes another host of an address behind a quotation mark: some readers end the address there."""
_PLAIN_HOST = re.compile(r"[^\s@\\%/?#<>\"'`|^\[\]{}\x00-\x20\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]+")


def collect_allowed_hosts(passages: Sequence[Passage], said: Iterable[str] = ()) -> frozenset[str]:
    """Return the only hosts that a text may link to; ``said`` is what the asker wrote."""
    texts = [*said, *(passage.text for passage in passages if passage.is_document)]
    urls = [passage.url for passage in passages if passage.url]
    urls += [match["url"] for text in texts for pattern in (_BARE, _INLINE) for match in pattern.finditer(text)]
    return frozenset(filter(None, map(parse_host, urls)))


def may_have_links(text: str) -> bool:
    """Return whether a text has a mark of a link; without one, ``strip_foreign_links`` changes nothing."""
    return "]:" in text or _ADDRESS_MARK.search(text) is not None


def strip_foreign_links(text: str, allowed: Collection[str]) -> str:
    """Drop links to other hosts than those; a link's label stays, a bare address goes, in code as well.

    A picture becomes its description, since a client fetches it to show it.
    """
    for _ in range(_ROUNDS):  # what is removed may join its surroundings to another address
        if (bare := _strip_once(text, allowed)) == text:
            return text
        text = bare
    return _ADDRESS_MARK.sub(" ", text)  # only an attack nests so deep


def _strip_once(text: str, allowed: Collection[str]) -> str:
    text = _REFERENCE.sub("", text)
    out, cursor = [], 0
    for span in _CODE.finditer(text):
        out += [_strip_from_prose(text[cursor : span.start()], allowed), _strip_addresses(span[0], allowed)]
        cursor = span.end()
    return "".join((*out, _strip_from_prose(text[cursor:], allowed)))


def _strip_from_prose(text: str, allowed: Collection[str]) -> str:
    out, cursor = [], 0
    for link in _INLINE.finditer(text):
        label = _strip_addresses(link["label"], allowed)
        keep = not link["image"] and _may_be_shown(link["url"], allowed)
        out += [
            _strip_addresses(text[cursor : link.start()], allowed),
            f"[{label}]({link['url']})" if keep else label,
        ]
        cursor = link.end()
    return "".join((*out, _strip_addresses(text[cursor:], allowed)))


def _strip_addresses(text: str, allowed: Collection[str]) -> str:
    def strip_address(match: re.Match[str]) -> str:
        url, tail = match["url"].rstrip(".,;:!?)*_~"), match["tail"] or ""
        goes_on = _GOES_ON.search(tail) is not None and "/" not in url.partition("://")[2]
        if goes_on:
            return ""
        return match[0] if _may_be_shown(url, allowed) else tail

    return _BARE.sub(strip_address, text)


def _may_be_shown(url: str, allowed: Collection[str]) -> bool:
    """Return whether an address, and each address inside it, is at one of some hosts."""
    starts = [scheme.start() for scheme in _SCHEME.finditer(url)]
    return parse_host(url) in allowed and all(parse_host(url[start:]) in allowed for start in starts)


def parse_host(url: str) -> str:
    """Return an address's host in lower case, without ``www.``; "" if readers disagree about it."""
    url = f"https://{url}" if url.lower().startswith("www.") else url
    try:
        parts = urlsplit(url)
        host = (parts.hostname or "").lower().rstrip(".").removeprefix("www.")
    except ValueError:
        return ""
    # Only a port may follow the host, and no user may precede it.
    plain = _PLAIN_HOST.fullmatch(parts.netloc) is not None
    return host if plain and parts.scheme.lower() in {"http", "https", "ftp"} else ""


def shorten_host(host: str, most: int) -> str:
    """Return a host in ``most`` characters: its end identifies it, and its owner chooses what precedes."""
    return host if len(host) <= most else f"…{host[1 - most :]}"


_INVISIBLE = re.compile(
    r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f"
    r"\u202a-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff9-\ufffb\U000e0000-\U000e0fff]"
    # Joiners have a meaning in Arabic and Indic scripts; between other letters they hide what stands there.
    r"(?<![\u0600-\u06ff\u0750-\u077f\u0900-\u0dff][\u200c\u200d])"
)


def strip_invisible_characters(text: str) -> str:
    """Return the text without characters that nobody sees: hidden words, broken words, directions, tags."""
    return _INVISIBLE.sub("", text)
