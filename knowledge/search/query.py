"""Parse the filters in a question: ``in:handbook type:pdf after:2026-01-01``. Pure.

A filter must be unambiguous: one of our keys at the beginning of a word, a value right after its colon, outside quotes
and code. ``type:`` accepts only formats that Kvasir reads, so ``type:roundrobin`` stays a searched word.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from knowledge.errors import FilterProblem, InvalidFilter, UnknownSource

_KEYS: Final = {
    "in": "in",
    "来源": "in",
    "type": "type",
    "类型": "type",
    "after": "after",
    "之后": "after",
    "before": "before",
    "之前": "before",
}

_SAME_FORMAT: Final = (
    ("md", "markdown", "mdx"),
    ("html", "htm", "xhtml", "网页"),
    ("txt", "text", "文本"),
    ("docx", "docm", "doc", "word"),
    ("pptx", "pptm", "ppt", "powerpoint", "slides"),
    ("xlsx", "xlsm", "xls", "excel"),
    ("csv", "tsv", "tab", "table"),
    ("pdf",),
    ("rst",),
    ("adoc", "asciidoc"),
    ("json",),
    ("yaml", "yml"),
    ("xml",),
    ("toml",),
    ("log",),
)
_FORMATS: Final = {name: frozenset(names) for names in _SAME_FORMAT for name in names}

# A filter begins at the beginning of a word, so ``datatype:pdf``, an address or ``{type:pdf}`` is none.
_BEFORE = "\\s(（，。；！？,;、"
_QUOTED = r'"[^"\n]*"|“[^”\n]{0,500}”|「[^」\n]{0,500}」|『[^』\n]{0,500}』|«[^»\n]{0,500}»'
"""A limit keeps many opening marks without a closing one from being searched to the end of the text, each of them."""
_SKIPPED = re.compile(rf"```.*?(?:```|\Z)|`[^`\n]*`|(?<!\w)(?:{_QUOTED})|(?<![^\s(])'[^'\n]*'(?!\w)", re.DOTALL)
_FILTER = re.compile(
    rf"(?<![^{_BEFORE}])(?P<key>(?a:in|type|after|before)|来源|类型|之后|之前)[:：]"
    rf"(?:(?P<quoted>{_QUOTED}|'[^'\n]*')|(?P<plain>[^\s\"“”「」『』«»'`，。；！？、]+))",
    re.IGNORECASE,
)
_TRAILING = ".,;:!?)…：）"
_CLOSING = ".,;:!?)，。；：！？、）"
_CODE_CHARACTERS = frozenset("(){}[]<>=|$*\\")
_FORMAT_NAME = re.compile(r"\.?([A-Za-z]{2,10}|网页|文本)(?=\Z|[\u3400-\u9fff])")
_DATE = re.compile(
    r"(?P<year>\d{4})(?:(?P<mark>[-/.年])(?P<month>\d{1,2})(?:(?:(?P=mark)|月)(?P<day>\d{1,2})日?)?)?[年月]?"
    r"(?:T(?P<hour>\d{2}):(?P<minute>\d{2})(?::(?P<second>\d{2}))?(?:Z|\+00:?00)?)?"
)
_DAYS: Final = {"today": 0, "今天": 0, "yesterday": 1, "昨天": 1}
_MOST_PASSES: Final = 8


@dataclass(frozen=True, slots=True)
class ParsedQuery:
    """A question without its filters, and its filters."""

    words: str
    sources: frozenset[str] = frozenset()
    """Names as typed; empty if none was named."""
    kinds: frozenset[str] = frozenset()
    after: datetime | None = None
    before: datetime | None = None

    @property
    def has_filters(self) -> bool:
        """Return whether there is any filter."""
        return bool(self.sources or self.kinds or self.after or self.before)


@dataclass(frozen=True, slots=True)
class _Filter:
    """A filter and its place in the question."""

    start: int
    end: int
    text: str
    key: str
    values: tuple[str, ...]


def parse_query(question: str, now: datetime) -> ParsedQuery:
    """Remove the filters from a question and return both.

    If a filter is repeated or has several values, any of them matches. Dates are UTC. ``after:`` includes the day,
    month or year, ``before:`` excludes it. ``now`` is aware.

    Raises:
        InvalidFilter: a date is invalid, or the question has only filters.

    """
    words, matches = _split_off_filters(question)
    if not matches:
        return ParsedQuery(question)
    if not any(char.isalnum() for char in words):
        raise InvalidFilter(FilterProblem.NO_WORDS, text=_quote_text(question))
    return ParsedQuery(
        words,
        sources=frozenset(_list_values(matches, "in")),
        kinds=frozenset().union(*(_FORMATS[value] for value in _list_values(matches, "type"))),
        after=min((_parse_moment(value, now) for value in _list_values(matches, "after")), default=None),
        before=max((_parse_moment(value, now) for value in _list_values(matches, "before")), default=None),
    )


def separate_filters(question: str) -> tuple[str, dict[str, str]]:
    """Return a question's words, and its filters as typed, by key (``in``, ``type``, ``after``, ``before``).

    Raises nothing. Filters that run into each other stay among the words, and ``parse_query`` refuses them.
    """
    try:
        words, matches = _split_off_filters(question)
    except InvalidFilter:
        return question, {}
    filters: dict[str, str] = {}
    for one in matches:
        filters[one.key] = f"{filters[one.key]} {one.text}" if one.key in filters else one.text
    return words, filters


def match_sources(names: Iterable[str], sources: Collection[str]) -> frozenset[str]:
    """Return the named sources, in any case.

    Raises:
        UnknownSource: one is not in ``known``. The message suggests the nearest.

    """
    return frozenset(_match_source(name, sources) for name in names)


def _match_source(name: str, sources: Collection[str]) -> str:
    if name in sources:
        return name
    folded = {one.casefold(): one for one in sources}
    if name.casefold() in folded:
        return folded[name.casefold()]
    raise UnknownSource(_quote_text(name), sources, in_question=True)


def _split_off_filters(question: str) -> tuple[str, list[_Filter]]:
    """Return the words and the filters. Removing a filter may reveal another, so no words with filters remain."""
    filters: list[_Filter] = []
    for _ in range(_MOST_PASSES):
        matches = list(_find_filters(question))
        if not matches:
            return question, filters
        filters += matches
        question = _remove_filters(question, matches)
    raise InvalidFilter(FilterProblem.RUN_TOGETHER)


def _find_filters(question: str) -> Iterator[_Filter]:
    """Yield the filters from left to right, outside quotes and code."""
    place = 0
    while True:
        match = _FILTER.search(question, place)
        if match is None:
            return
        skipped = _SKIPPED.search(question, place)
        if skipped is not None and skipped.start() < match.start():
            place = skipped.end()
            continue
        place = match.end()
        if (one := _read_filter(match)) is not None:
            place = one.end
            yield one


def _read_filter(match: re.Match[str]) -> _Filter | None:
    """Return the filter, or None if it only looks like one."""
    key = _KEYS[match["key"].lower()]
    if match["quoted"] is not None:
        values, end = [match["quoted"][1:-1].strip()], match.end()
    else:
        text = match["plain"].rstrip(_TRAILING)
        values, end = text.split(","), match.start("plain") + len(text)
    values = [value for value in values if value]
    if key == "type" and values:
        values, rest = _split_formats(values)
        end -= rest
    elif (key == "in" and match["quoted"] is None and any(_CODE_CHARACTERS & set(value) for value in values)) or (
        not match["key"].isascii() and key != "in" and not _are_days(values)
    ):
        return None
    return _Filter(match.start(), end, match.string[match.start() : end], key, tuple(values)) if values else None


def _split_formats(values: list[str]) -> tuple[list[str], int]:
    """Return the formats' names, and the length of the rest of the last value. None unless each is a name."""
    found = [_FORMAT_NAME.match(value) for value in values]
    names = [match[1].lower() for match in found if match and match[1].lower() in _FORMATS]
    whole = all(match and match.end() == len(value) for match, value in zip(found[:-1], values, strict=False))
    if len(names) < len(values) or not whole:
        return [], 0
    end = found[-1].end() if found[-1] else 0
    return names, len(values[-1]) - end  # Chinese continues without a blank.


def _are_days(values: Iterable[str]) -> bool:
    """Return whether these look like dates, because 之后： also begins a sentence."""
    return all(value[0].isdigit() or value in _DAYS for value in values)


def _remove_filters(question: str, matches: Iterable[_Filter]) -> str:
    """Return the question without its filters and the gaps that they leave."""
    words, place = "", 0
    for one in matches:
        words = _join_parts(words, question[place : one.start])
        place = one.end
    return _join_parts(words, question[place:])


def _join_parts(before: str, after: str) -> str:
    """Join two parts. A line break between them stays, because no quote spans lines."""
    gap = before[len(before.rstrip()) :] + after[: len(after) - len(after.lstrip())]
    before, after = before.rstrip(), after.strip()
    if "\n" in gap:
        return f"{before}\n{after}".strip()
    return f"{before} {after}".strip() if after[:1] not in _CLOSING else before + after


def _list_values(matches: Iterable[_Filter], key: str) -> list[str]:
    return [value for one in matches if one.key == key for value in one.values]


def _parse_moment(text: str, now: datetime) -> datetime:
    """Parse a date into the moment at which it begins."""
    days = _DAYS.get(text.lower())
    if days is not None:
        return datetime(now.year, now.month, now.day, tzinfo=UTC) - timedelta(days=days)
    match = _DATE.fullmatch(unicodedata.normalize("NFKC", text))
    try:
        if match is None:
            raise ValueError  # noqa: TRY301 - said in one place
        parts = [int(match[name] or default) for name, default in _DATE_PARTS]
        return datetime(*parts, tzinfo=UTC)  # type: ignore[misc, arg-type]  # six numbers
    except ValueError:
        raise InvalidFilter(FilterProblem.NO_DATE, text=_quote_text(text)) from None


_DATE_PARTS: Final = (("year", 1), ("month", 1), ("day", 1), ("hour", 0), ("minute", 0), ("second", 0))


def _quote_text(text: str) -> str:
    return "".join(char for char in text if char.isprintable())[:60]
