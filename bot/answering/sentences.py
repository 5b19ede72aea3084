"""Cut a Markdown text into sentences while it is still being written.

Everything here is pure. ``Splitter.feed`` returns the pieces that no later text can change any more, so that the same
text gives the same pieces however it is chopped up, and the pieces put together are the text.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from bot.answering.citations import MARKER_BEGUN, MARKERS

Kind = Literal["prose", "item", "heading", "table", "code", "rule", "blank"]

LINE_MAX_CHARS = 2000
"""A sentence that is longer is cut, so that a text without any full stop is still released."""
_LOOKAHEAD_CHARS = 200

_FENCE = re.compile(r"[ \t]*(`{3,}|~{3,})[^\n]*")
"""However deep: in a list, code is indented."""
_ITEM = re.compile(
    r"[ \t]*(?:[-*+•][ \t]+|\d{1,3}[.)][ \t]+|\d{1,3}、[ \t]*|[（(][\d一二三四五六七八九十]{1,3}[）)][ \t]*)"
)
_ITEM_START = re.compile(r"[ \t]*(?:[-*+•]|\d{1,3}[.)、]?|[（(][\d一二三四五六七八九十]{0,3}[）)]?)[ \t]*$")
_QUOTE = re.compile(r"[ \t]*>[ \t]?")
_RULE = re.compile(r"[ \t]*(?:[-*_][ \t]*){3,}$|[ \t]*={3,}[ \t]*$")

_STOP = re.compile(r"[.!?。！？｡]+|…+")
_CLOSERS = "\"'”’」』）)】]》*_~"
_ABBREVIATION = re.compile(
    r"(?:\b(?:e\.g|i\.e|cf|vs|approx|ca|dr|mr|mrs|ms|prof|st|no|nos|fig|figs|sec|sect|art|para|ch|vol|pp|ed|eds|dept|gen|sr|jr|resp|incl|"
    r"excl|min|max|ext|tel|ref|z\.b|bzw|usw|jan|feb|mar|apr|jun|jul|aug|sept?|oct|nov|dec)|\b[A-Z])\.$",
    re.IGNORECASE,
)
_MAYBE_END = re.compile(r"(?:\b(?:etc|a\.m|p\.m|inc|ltd|co|corp|u\.s|u\.k|e\.u)|\bal)\.$", re.IGNORECASE)
_CJK = re.compile(r"[　-〿㐀-鿿＀-￯]")


@dataclass(frozen=True, slots=True)
class Piece:
    """A sentence or a line, with what stands around it: ``lead + text + tail`` is what was read."""

    kind: Kind
    lead: str
    """A list marker or a quote sign at the beginning of the line, else empty."""
    text: str
    tail: str
    """White space up to the next piece; ends with a newline at the end of a line."""

    @property
    def ends_line(self) -> bool:
        """Tell whether the next piece begins a line."""
        return self.tail.endswith("\n")


class Splitter:
    """Sentences out of a stream: ``feed`` what comes, then ``flush``."""

    def __init__(self) -> None:
        self._buffer = ""
        self._within: Kind | None = None
        """The kind of the line that the buffer begins in the middle of."""

    def feed(self, text: str) -> list[Piece]:
        """Take more text and return the pieces that are complete."""
        self._buffer += text
        return self._drain(final=False)

    def flush(self) -> list[Piece]:
        """Return what is left, as the text has ended."""
        return self._drain(final=True)

    def _drain(self, *, final: bool) -> list[Piece]:
        pieces = []
        while self._buffer:
            piece = self._next(final=final)
            if piece is None:
                break
            pieces.append(piece)
            self._buffer = self._buffer[len(piece.lead) + len(piece.text) + len(piece.tail) :]
            self._within = None if piece.ends_line or piece.kind == "code" else piece.kind
        return pieces

    def _next(self, *, final: bool) -> Piece | None:
        if self._within is None:
            return self._line_start(final=final)
        return self._sentence(self._within, "", final=final)

    def _line_start(self, *, final: bool) -> Piece | None:
        """Decide by a line's beginning what it is."""
        line, newline, _ = self._buffer.partition("\n")
        whole = bool(newline) or final or len(line) > LINE_MAX_CHARS
        stripped = line.lstrip(" \t\r")
        if not stripped:
            return Piece("blank", "", "", line + newline) if whole else None
        if stripped[0] in "`~" and (_FENCE.match(line) or (not whole and len(stripped) < 3)):  # noqa: PLR2004
            return self._code(final=final) if whole and _FENCE.match(line) else None
        if stripped[0] == "#" or stripped[0] == "|":
            kind: Kind = "heading" if stripped[0] == "#" else "table"
            return _line_piece(kind, line, newline) if whole else None
        if stripped[0] in "-*_=" and not whole and not stripped.strip("-*_= \t"):
            return None
        if whole and _RULE.fullmatch(line.rstrip("\r")):
            return _line_piece("rule", line, newline)
        return self._led(line, whole=whole, final=final)

    def _led(self, line: str, *, whole: bool, final: bool) -> Piece | None:
        """Cut off a list marker or a quote sign, then look for the sentence."""
        match = _ITEM.match(line) or _QUOTE.match(line)
        if not whole and (_ITEM_START.match(line) or (match and match.end() == len(line))):
            return None
        if match:
            return self._sentence("item", match[0], final=final)
        indent = line[: len(line) - len(line.lstrip(" \t\r"))]
        return self._sentence("prose", indent, final=final)

    def _code(self, *, final: bool) -> Piece | None:
        """Return a fenced block as one piece, once it is closed."""
        opening = _FENCE.match(self._buffer)
        if opening is None:
            return None
        closing = re.compile(rf"\n[ \t]*{opening[1][0]}{{{len(opening[1])},}}[ \t]*(\r?\n|$)")
        match = closing.search(self._buffer, opening.end())
        if match and (match[1] or final):
            end = match.end() - len(match[1])
            return Piece("code", "", self._buffer[:end], match[1])
        return Piece("code", "", self._buffer, "") if final else None

    def _sentence(self, kind: Kind, lead: str, *, final: bool) -> Piece | None:
        """Return the first sentence of the line, behind its lead, or None if more text may change it."""
        body = self._buffer[len(lead) :]
        window = body[: LINE_MAX_CHARS + _LOOKAHEAD_CHARS]
        line, newline, _ = window.partition("\n")
        whole = bool(newline) or final or len(window) == LINE_MAX_CHARS + _LOOKAHEAD_CHARS
        end = _sentence_end(line, whole=whole)
        if end is None and not whole:
            return None
        if end is None or end > LINE_MAX_CHARS:
            end = len(line) if len(line) <= LINE_MAX_CHARS else _cut(line)
        rest = line[end:]
        tail = rest[: len(rest) - len(rest.lstrip(" \t\r"))]
        if not whole and len(tail) == len(rest):
            return None
        text = line[:end]
        trimmed = text.rstrip(" \t\r")
        tail = text[len(trimmed) :] + tail
        if len(trimmed) + len(tail) == len(line):
            tail += newline
        return Piece(kind, lead, trimmed, tail)


def split(text: str) -> list[Piece]:
    """Cut a whole text."""
    splitter = Splitter()
    return splitter.feed(text) + splitter.flush()


def sentences(text: str) -> list[str]:
    """Return the sentences of a whole text, lines and blocks apart, without white space and empty ones."""
    return [piece.text for piece in split(text) if piece.text]


def unwrap(text: str) -> str:
    """Join lines that were only broken to fit a width: a prose line that goes on in the next."""
    out: list[str] = []
    kinds: list[Kind] = []
    for piece in _lines(text):
        joins = bool(kinds) and piece.kind == "prose" and kinds[-1] in {"prose", "item"} and out[-1].strip()
        if joins:
            glue = "" if _CJK.match(out[-1][-1]) and _CJK.match(piece.text[0]) else " "
            out[-1] += glue + piece.text
        else:
            out.append(piece.lead + piece.text)
            kinds.append(piece.kind)
    return "\n".join(out)


def _lines(text: str) -> list[Piece]:
    """Return a text's lines with their kinds; code blocks are one."""
    whole: list[Piece] = []
    open_line = False
    for piece in split(text):
        if open_line:
            last = whole.pop()
            whole.append(Piece(last.kind, last.lead, last.text + last.tail + piece.text, piece.tail))
        else:
            whole.append(piece)
        open_line = not piece.ends_line and piece.kind not in {"code", "blank"}
    return whole


def _line_piece(kind: Kind, line: str, newline: str) -> Piece:
    text = line.rstrip(" \t\r")
    return Piece(kind, "", text, line[len(text) :] + newline)


def _cut(line: str) -> int:
    """Choose where to cut a line that is too long: behind the last space or comma, if there is one late enough."""
    best = max(line.rfind(mark, LINE_MAX_CHARS // 2, LINE_MAX_CHARS) for mark in " ,，、；;")
    return best + 1 if best > 0 else LINE_MAX_CHARS


def _sentence_end(line: str, *, whole: bool) -> int | None:
    """Return where the first sentence of a line ends, its closing quotes and markers included; None if it goes on.

    ``whole`` says that the line ends here; otherwise None may also mean that it cannot be told yet.
    """
    position = 0
    while match := _STOP.search(line, position):
        code = _code_span(line, position, match.start(), whole=whole)
        if code == -1:
            return None
        if code:
            position = code
            continue
        end = _closed(line, match.end())
        if end == len(line):
            return end if whole else None
        if _ends_here(line, match, end):
            return _with_markers(line, end, whole=whole)
        if not whole and not line[end:].strip():
            return None
        position = max(match.end(), position + 1)
    return None


def _code_span(line: str, start: int, stop: int, *, whole: bool) -> int:
    """Return the end of the inline code that ``stop`` lies in, 0 if it lies in none, -1 if that cannot be told yet."""
    tick = line.find("`", start, stop)
    while tick != -1:
        ticks = len(line[tick:]) - len(line[tick:].lstrip("`"))
        close = line.find("`" * ticks, tick + ticks)
        if close == -1:
            return 0 if whole else -1
        if close + ticks > stop:
            return close + ticks
        tick = line.find("`", close + ticks, stop)
    return 0


def _closed(line: str, end: int) -> int:
    while end < len(line) and line[end] in _CLOSERS:
        end += 1
    return end


def _ends_here(line: str, stop: re.Match[str], end: int) -> bool:
    """Tell whether a sentence ends with this stop; something follows it on the line."""
    following = line[end]
    if stop[0][0] in "。！？｡":
        return True
    if stop[0][0] == "…" or stop[0].startswith("..."):
        return following.isspace() and _next_letter(line, end).isupper()
    if following in "[【［":
        return True
    if _CJK.match(following):
        return stop[0] != "." or not line[stop.start() - 1 : stop.start()].isdigit()
    return following.isspace() and (stop[0] != "." or _is_full_stop(line, stop.end(), end))


def _is_full_stop(line: str, after: int, end: int) -> bool:
    """Tell a full stop before white space from the dot of an abbreviation."""
    before = line[max(0, after - 12) : after]
    if _ABBREVIATION.search(before):
        return False
    return not _MAYBE_END.search(before) or _next_letter(line, end).isupper()


def _next_letter(line: str, end: int) -> str:
    rest = line[end:].lstrip()
    return rest[:1] or " "


def _with_markers(line: str, end: int, *, whole: bool) -> int | None:
    """Move the end behind the markers that follow; None if one may still be coming."""
    match = MARKERS.match(line, end)
    reach = match.end() if match else end
    if not whole and MARKER_BEGUN.match(line, reach):
        return None
    if match and line[reach : reach + 1] in {".", "。"}:
        reach += 1
    return reach
