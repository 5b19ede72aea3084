"""Split Markdown into sentences while it is still being written.

Everything here is pure. ``Splitter.feed`` returns the pieces that no later text can change any more. So the same text
gives the same pieces, however it is chopped up. The pieces put together are the text.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Literal

from bot.answering.markdown.citations import MARKER_BEGUN, MARKERS
from knowledge.tables import ROW_MARKER, read_rows

Kind = Literal["prose", "item", "heading", "table", "code", "rule", "blank"]

LINE_MAX_CHARS = 2000
"""A longer sentence is cut, so that a text without full stops is released, too."""
_LOOKAHEAD_CHARS = 200

_BLANKS = " \t\r"
_FENCE = re.compile(r"[ \t]*(`{3,}|~{3,})[^\n]*")
"""However deep: in a list, code is indented."""
_NUMERAL = r"[\d一二三四五六七八九十]"
_LEAD = re.compile(
    rf"[ \t]*(?:[-*+•][ \t]+|\d{{1,3}}[.)][ \t]+|\d{{1,3}}、[ \t]*|[（(]{_NUMERAL}{{1,3}}[）)][ \t]*|>[ \t]?)|[ \t\r]*"
)
"""A list marker, a quote sign, else the indentation."""
_UNDECIDED = re.compile(
    rf"[ \t\r]*(?:$|[#|]|`{{3}}|~{{3}}|[`~].?$|[-*_=][-*_= \t\r]*$)"
    rf"|[ \t]*(?:[-*+•]|\d{{1,3}}[.)、]?|[（(]{_NUMERAL}{{0,3}}[）)]?|>)[ \t]*$"
)
"""The beginning of a line of which more must be read before its kind or its lead is clear."""
_LINES: dict[Kind, re.Pattern[str]] = {
    "blank": re.compile(r"[ \t\r]*$"),
    "heading": re.compile(r"[ \t\r]*#"),
    "table": re.compile(r"[ \t\r]*\|"),
    "rule": re.compile(r"[ \t]*(?:(?:[-*_][ \t]*){3,}|={3,}[ \t]*)\r*$"),
}
"""The lines that are one piece."""

_STOP = re.compile(r"(?P<ticks>`+)(?P<code>.*?(?P=ticks))?|(?P<stop>[.!?。！？｡]+|…+)[\"'”’」』）)】\]》*_~]*")
"""Inline code, or what may end a sentence with the quotes and brackets that close behind it."""
_MAY_COMPLETE = re.compile(r"[\n`.!?。！？｡…]")
"""What a text of which a piece is complete must contain: the end of a line, inline code or a stop."""
_ABBREVIATION = re.compile(
    r"(?:\b(?:e\.g|i\.e|cf|vs|approx|ca|dr|mr|mrs|ms|prof|st|no|nos|fig|figs|sec|sect|art|para|ch|vol|pp|ed|eds|dept|gen|sr|jr|resp|incl|"
    r"excl|min|max|ext|tel|ref|z\.b|bzw|usw|jan|feb|mar|apr|jun|jul|aug|sept?|oct|nov|dec)|\b[A-Z])\.$",
    re.IGNORECASE,
)
_MAYBE_END = re.compile(r"(?:\b(?:etc|a\.m|p\.m|inc|ltd|co|corp|u\.s|u\.k|e\.u)|\bal)\.$", re.IGNORECASE)
_NUMBER_STOP = re.compile(r"\d\.[A-Z]")
"""A number's full stop with a capital behind it: a sentence may begin there (77.Employees)."""
_NUMBER_SENTENCE = re.compile(r"\d\.[A-Z][a-z]")
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
        """Return whether the next piece begins a line."""
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
        if len(self._buffer) <= LINE_MAX_CHARS and not _MAY_COMPLETE.search(self._buffer):
            return []
        return self._drain_pieces(final=False)

    def flush(self) -> list[Piece]:
        """Return what is left, as the text has ended."""
        return self._drain_pieces(final=True)

    def _drain_pieces(self, *, final: bool) -> list[Piece]:
        pieces = []
        while self._buffer:
            inside = self._within
            piece = self._take_sentence(inside, "", final=final) if inside else self._line_start(final=final)
            if piece is None:
                break
            pieces.append(piece)
            self._buffer = self._buffer[len(piece.lead) + len(piece.text) + len(piece.tail) :]
            self._within = None if piece.ends_line or piece.kind == "code" else piece.kind
        return pieces

    def _line_start(self, *, final: bool) -> Piece | None:
        """Decide by a line's beginning what it is."""
        line, newline, _ = self._buffer.partition("\n")
        whole = bool(newline) or final or len(line) > LINE_MAX_CHARS
        if not whole and _UNDECIDED.match(line):
            return None
        if whole and (fence := _FENCE.match(line)):
            return self._take_code(fence, final=final)
        for kind, pattern in _LINES.items():
            if pattern.match(line):
                text = line.rstrip(_BLANKS)
                return Piece(kind, "", text, line[len(text) :] + newline)
        lead = match[0] if (match := _LEAD.match(line)) else ""
        return self._take_sentence("item" if lead.strip() else "prose", lead, final=final)

    def _take_code(self, opening: re.Match[str], *, final: bool) -> Piece | None:
        """Return a fenced block as one piece, once it is closed."""
        closing = re.compile(rf"\n[ \t]*{opening[1][0]}{{{len(opening[1])},}}[ \t]*(\r?\n|$)")
        match = closing.search(self._buffer, opening.end())
        if match and (match[1] or final):
            end = match.end() - len(match[1])
            return Piece("code", "", self._buffer[:end], match[1])
        return Piece("code", "", self._buffer, "") if final else None

    def _take_sentence(self, kind: Kind, lead: str, *, final: bool) -> Piece | None:
        """Return the first sentence of the line, behind its lead, or None if more text may change it."""
        body = self._buffer[len(lead) :]
        window = body[: LINE_MAX_CHARS + _LOOKAHEAD_CHARS]
        line, newline, _ = window.partition("\n")
        whole = bool(newline) or final or len(window) == LINE_MAX_CHARS + _LOOKAHEAD_CHARS
        end = _sentence_end(line, whole=whole)
        if end is None and not whole:
            return None
        if end is None or end > LINE_MAX_CHARS:
            end = len(line) if len(line) <= LINE_MAX_CHARS else _find_cut(line)
        text = line[:end].rstrip(_BLANKS)
        rest = line[len(text) :]
        after = rest.lstrip(_BLANKS)
        if not whole and not after:
            return None
        return Piece(kind, lead, text, rest[: len(rest) - len(after)] + ("" if after else newline))


def split_pieces(text: str) -> list[Piece]:
    """Cut a whole text."""
    splitter = Splitter()
    return splitter.feed(text) + splitter.flush()


@lru_cache(maxsize=512)
def join_wrapped_lines(text: str) -> str:
    """Join lines that were only broken to fit a width: a prose line that goes on in the next. Tabs mean columns.

    Cached, since many questions find the same passages.
    """
    out: list[str] = []
    kind: Kind = "blank"
    before = Piece("blank", "", "", "\n")
    for piece in split_pieces(text):
        has_columns = "\t" in piece.text or any("\t" in _LEAD.sub("", line, count=1) for line in out[-1:])
        if not before.ends_line and before.kind not in {"code", "blank"}:
            out[-1] += before.tail + piece.text
        elif piece.kind == "prose" and kind in {"prose", "item"} and out[-1].strip() and not has_columns:
            out[-1] += ("" if _CJK.match(out[-1][-1]) and _CJK.match(piece.text[0]) else " ") + piece.text
        else:
            out.append(piece.lead + piece.text)
            kind = piece.kind
        before = piece
    return "\n".join(out)


def split_passage(text: str) -> list[Piece]:
    """Return the pieces of a passage without hard line breaks.

    In place of a table it has the table's rows as people read them: each value with its column's name.
    """
    pieces = _join_rows(split_pieces(join_wrapped_lines(text)))
    rows = read_rows([piece.text for piece in pieces])
    return [replace(piece, text=row or piece.text) for piece, row in zip(pieces, rows, strict=True) if row != ""]


def _join_rows(pieces: Sequence[Piece]) -> list[Piece]:
    """Return the pieces with each row of a spreadsheet as one piece, like a row of a table."""
    joined: list[Piece] = []
    for piece in pieces:
        if joined and joined[-1].kind == "table" and not joined[-1].ends_line:
            row = joined.pop()
            joined.append(replace(row, text=row.text + row.tail + piece.text, tail=piece.tail))
        elif piece.kind == "item" and piece.lead == ROW_MARKER:
            joined.append(replace(piece, kind="table", lead=""))
        else:
            joined.append(piece)
    return joined


def passage_sentences(text: str) -> list[str]:
    """Return the sentences of a passage; a row of a table is one (``split_passage``)."""
    return [piece.text for piece in split_passage(text) if piece.text]


def close_code(code: str) -> str:
    """Return a code block whose last line is a fence as its first line has it."""
    fence = _FENCE.match(code)
    opening, *lines = code.rstrip().split("\n")
    if fence is None:
        return code
    if lines and lines[-1].strip().startswith(fence[1]):
        lines.pop()
    return "\n".join([opening, *lines, code[: fence.end(1)]])


def _find_cut(line: str) -> int:
    """Choose where to cut a line that is too long: behind the last space or comma, if there is one late enough."""
    return max(line.rfind(mark, LINE_MAX_CHARS // 2, LINE_MAX_CHARS) for mark in " ,，、；;") + 1 or LINE_MAX_CHARS


def _sentence_end(line: str, *, whole: bool) -> int | None:
    """Return where the first sentence of a line ends, its closing quotes and markers included; None if it goes on.

    ``whole`` says that the line ends here; otherwise None may also mean that more text is needed.
    """
    for match in _STOP.finditer(line):
        if match["ticks"]:
            if match["code"] is None and not whole:
                return None
        elif match.end() == len(line):
            return len(line) if whole else None
        elif not whole and _NUMBER_STOP.fullmatch(line, match.start() - 1):
            return None
        elif _NUMBER_SENTENCE.match(line, match.start() - 1) or _ends_here(line, match):
            return _with_markers(line, match.end(), whole=whole)
        elif not whole and not line[match.end() :].strip():
            return None
    return None


def _ends_here(line: str, match: re.Match[str]) -> bool:
    """Return whether a sentence ends with this stop; something follows it on the line."""
    stop, following = match["stop"], line[match.end()]
    goes_up = line[match.end() :].lstrip()[:1].isupper()
    if stop[0] in "。！？｡":
        return True
    if stop[0] == "…" or stop.startswith("..."):
        return following.isspace() and goes_up
    if following in "[【［":
        return True
    if _CJK.match(following):
        return stop != "." or not line[match.start() - 1 : match.start()].isdigit()
    if not following.isspace() or stop != ".":
        return following.isspace()
    before = line[max(0, match.end("stop") - 12) : match.end("stop")]
    return not _ABBREVIATION.search(before) and (goes_up or not _MAYBE_END.search(before))


def _with_markers(line: str, end: int, *, whole: bool) -> int | None:
    """Move the end behind the markers that follow; None if one may still be coming."""
    match = MARKERS.match(line, end)
    reach = match.end() if match else end
    if not whole and MARKER_BEGUN.match(line, reach):
        return None
    if match and line[reach : reach + 1] in {".", "。"}:
        reach += 1
    return reach
