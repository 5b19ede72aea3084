"""Renders a model's Markdown as Markdown for Slack that pings nobody. Pure.

Slack has two formats: ``markdown_text`` and the ``markdown`` block take CommonMark with tables (12,000 characters),
``text`` and context blocks take Slack's own mrkdwn. Both have control sequences (``<!channel>``, ``<@U…>``), which must
never come from a document or a model.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from bot.answering.events import Passage
from bot.answering.markdown.citations import link_displayed, unlink_displayed
from bot.languages.registry import Language
from bot.messages import replies
from bot.messages.durations import format_age
from bot.messages.message import Message, render_message
from bot.slack.wire.text.cutting import find_fence_after
from knowledge.control_characters import strip_control_characters

JOINER = "\u2060"
"""WORD JOINER: invisible, and splits a word for Slack."""

_LINE = re.compile(r"[^\n]*\n|[^\n]+")
_CODE_SPAN = re.compile(r"(?<!`)(`+)(?!`)(?:[^\n]|\n(?!\n))*?(?<!`)\1(?!`)")
_IMAGE = re.compile(r"!\[([^\]\n]*)\](?=\()")
_TAG_START = re.compile(r"<(?!https?://[^\s<>]+>)")
_MARKUP_START = re.compile(r"[<\[@&]")
_PINGS = ("channel", "here", "everyone")
_AT = re.compile(r"@(?=(?:channel|here|everyone)\b)", re.IGNORECASE)
_AT_TAIL = re.compile(r"@(\w{0,8})\Z")
_CONTROL = re.compile(r"(<|&lt;?|&#0*60;?|&#x0*3c;?)(?=[!@#]|\Z)", re.IGNORECASE)


def break_pings(text: str) -> str:
    """Return the text with an invisible joiner in every sequence that could ping somebody.

    This is safe in both of Slack's formats, inside and outside of code. It also breaks an end of the text that could
    become a ping with the text that follows.
    """
    text = _CONTROL.sub(rf"\1{JOINER}", text)
    text = _AT.sub(f"@{JOINER}", text)
    tail = _AT_TAIL.search(text)
    if tail is not None and any(ping.startswith(tail[1].lower()) for ping in _PINGS):
        text = f"{text[: tail.start()]}@{JOINER}{tail[1]}"
    return text


@dataclass(slots=True)
class MarkdownRenderer:
    """Renders an answer piece by piece; its state is the open code fence and whether a line is unfinished."""

    links: dict[int, str | None]
    """The address of each cited passage by its displayed number; None if a person cannot open it."""
    _fence: str | None = None
    _mid_line: bool = False

    def feed(self, markdown: str) -> str:
        """Render the next piece."""
        rendered = []
        prose: list[str] = []
        for line in _LINE.findall(markdown):
            fence = self._fence if self._mid_line else find_fence_after(line, self._fence)
            if self._fence is not None or fence is not None:
                rendered += [self._render_prose("".join(prose)), break_pings(line)]
                prose = []
            else:
                prose.append(line)
            self._fence = fence
            self._mid_line = not line.endswith("\n")
        rendered.append(self._render_prose("".join(prose)))
        return "".join(rendered)

    def _render_prose(self, text: str) -> str:
        parts = []
        at = 0
        for span in _CODE_SPAN.finditer(text):
            parts += [self._render_inline(text[at : span.start()]), break_pings(span[0])]
            at = span.end()
        parts.append(self._render_inline(text[at:]))
        return "".join(parts)

    def _render_inline(self, text: str) -> str:
        if _MARKUP_START.search(text) is None:
            return text
        text = _IMAGE.sub(lambda image: f"[{image[1] or 'image'}]", text)
        text = _escape_html(text)
        return break_pings(link_displayed(text, self._resolve_link))

    def _resolve_link(self, number: int) -> str:
        url = self.links.get(number)
        return encode_link_target(url) if url and _is_web_url(url) else ""


def _escape_html(text: str) -> str:
    """Return the text with escaped HTML; ``<https://…>`` stays a link, and ``<br>`` becomes a space."""
    return _TAG_START.sub("&lt;", re.sub(r"<br\s*/?>", " ", text, flags=re.IGNORECASE))


def encode_link_target(url: str) -> str:
    """Return an address as the target of a link, without characters that end or begin a link."""
    return re.sub(r"[\s()<>\\|]", lambda unsafe: "".join(f"%{byte:02X}" for byte in unsafe[0].encode()), url)


def _is_web_url(url: str) -> bool:
    return url.startswith(("http://", "https://"))


def escape_mrkdwn(text: str) -> str:
    """Return plain text as mrkdwn, without control characters."""
    return break_pings(strip_control_characters(text)).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def escape_name(name: str) -> str:
    """Return the name of a document as mrkdwn in which no address becomes a link."""
    return escape_mrkdwn(name.replace("://", f":{JOINER}//"))


def escape_markdown(text: str) -> str:
    """Return plain text as Markdown without HTML, pings and control characters."""
    return break_pings(_escape_html(strip_control_characters(text)))


_MARKUP_LINE = re.compile(r"^ {0,3}(?:`{3,}[^`\n]*|~{3,}.*|\|?[ \t]*:?-[-:| \t]*)(?:\n|\Z)", re.MULTILINE)
"""A code fence, a line across, or the line under the head of a table."""
_LINE_START = re.compile(r"^(?:#{1,6}|>) +", re.MULTILINE)
_ROW = re.compile(r"^\|.*\|[ \t]*$", re.MULTILINE)
_ESCAPED = re.compile(r"\\([\\`*_{}\[\]()#+.!~|-])")


def make_fallback_text(markdown: str, limit: int = 3_000) -> str:
    """Return the text of a notification for rendered Markdown, as mrkdwn of at most ``limit`` characters."""
    text = unlink_displayed(markdown)
    text = re.sub(r"\[([^\[\]\n]+)\]\([^)\n]*\)", r"\1", text)
    text = _MARKUP_LINE.sub("", text)
    text = _LINE_START.sub("", text)
    text = _ROW.sub(lambda row: row[0].strip(" |").replace("\\|", "|").replace(" | ", " · "), text)
    text = _ESCAPED.sub(r"\1", text).replace("&lt;", "<").replace("**", "*")
    escaped = escape_mrkdwn(text)
    return escaped if len(escaped) <= limit else escaped[: limit - 1].rsplit("&", 1)[0] + "…"


# ── Under the answer ─────────────────────────────────────────────────────────────────────────────────────────────────

CONTEXT_LIMIT = 3_000
NOTICE_MARK = "ℹ️"
VERIFIED_MARK = "✓"
"""What the notice of a verified answer begins with instead."""
_TITLE_LIMIT = 120
_MAX_SOURCES = 10
_DAY_S = 86_400.0


def format_source_list(
    cited: Iterable[Passage], looked_at: Iterable[Passage], language: Language, now: datetime | None = None
) -> str:
    """Return the list of sources as mrkdwn: cited passages, or else retrieved ones; "" if there are none.

    The label has the age of the newest source, and a much older source has its own age. A web page has its host and
    date, and its age if no newer copy could be read.
    """
    cited_passages = list(cited)
    passages = cited_passages or list(looked_at)
    if not passages:
        return ""
    label = replies.SOURCES if cited_passages else replies.LOOKED_AT
    now = now or datetime.now(UTC)
    listed = passages[:_MAX_SOURCES]
    newest = max((passage.as_of for passage in listed if passage.as_of and not passage.web), default=None)
    lines = [render_message(label, language, seen=_describe_seen(newest, now, language))]
    for passage in listed:
        origin = _describe_origin(passage, newest, now, language)
        line = render_message(replies.SOURCE, language, source=_format_source(passage), origin=origin)
        if sum(map(len, lines)) + len(lines) + len(line) > CONTEXT_LIMIT:
            break
        lines.append(line)
    return "\n".join(lines)


def _describe_seen(as_of: datetime | None, now: datetime, language: Language) -> Message | str:
    return "" if as_of is None else replies.SEEN.fill(age=format_age((now - as_of).total_seconds(), language))


def _describe_origin(passage: Passage, newest: datetime | None, now: datetime, language: Language) -> Message | str:
    """Return the host, date and age of a web page, or the age of a document that is a day older than the newest."""
    as_of = passage.as_of
    if passage.web is None:
        is_as_new = as_of is None or newest is None or (newest - as_of).total_seconds() < _DAY_S
        return "" if is_as_new else _describe_seen(as_of, now, language)
    date = passage.web.published
    return replies.PAGE.fill(
        host=escape_mrkdwn(passage.web.host),
        date="" if date is None else replies.PUBLISHED.fill(date=date),
        seen=_describe_seen(as_of, now, language) if passage.web.stale else "",
    )


def _format_source(passage: Passage) -> str:
    return format_linked_path(passage.title or passage.document, passage.heading, passage.url, before=f"[{passage.n}] ")


def format_linked_path(title: str, heading: str, url: str | None, *, before: str = "") -> str:
    """Return the title and heading of a passage as mrkdwn, with a link if it has a web address."""
    path = " › ".join(part for part in (title, heading) if part)
    name = path if len(path) <= _TITLE_LIMIT else path[: _TITLE_LIMIT - 1] + "…"
    label = f"{before}{escape_name(name)}"
    target = encode_link_target(url) if url else ""
    return f"<{target}|{label}>" if _is_web_url(target) and len(target) < CONTEXT_LIMIT // 4 else label


def build_context_block(text: str) -> dict[str, Any]:
    """Return a context block of one mrkdwn text, cut to Slack's limit."""
    cut = text if len(text) <= CONTEXT_LIMIT else text[: CONTEXT_LIMIT - 1] + "…"
    return {"type": "context", "elements": [{"type": "mrkdwn", "text": cut}]}


def format_notice(text: str) -> str:
    """Return a notice as one line of mrkdwn."""
    return f"{NOTICE_MARK} {escape_mrkdwn(' '.join(text.split()))}"
