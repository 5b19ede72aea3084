"""Where a value stands in a text: as it is written, or normalised. Pure; offsets count code points."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from functools import cached_property
from itertools import pairwise
from typing import Final, Literal

from bot.answering.support.quantities import PLAIN, Mention, find_numbers

ValueType = Literal["text", "date", "amount", "list", "entity"]

_PLAIN_FORMS: Final = str.maketrans({"’": "'", "‘": "'", "“": '"', "”": '"', "–": "-", "—": "-", "−": "-", "‑": "-"})
_ENDS: Final = re.compile(
    r"""\n[^\S\n]*\n\s*|(?:\A|(?<=\n\n))(?:\d{1,2}\.){1,4}\d{0,2} [^\n.?!;:,。；：，]{1,48}\n(?!\s*[a-z])"""
    r"""|[。！？；]["'”’」)）]{0,3}|[.?!;]["'”’)]{0,3}(?=\s)"""
)
"""Where a sentence may end; the heading of a clause ("3. Termination") ends with its line."""
_NO_END: Final = re.compile(
    r"(?:\b(?:inc|ltd|co|corp|llc|l\.p|no|nos|art|sec|mr|mrs|ms|dr|st|jr|sr|vs|v|e\.g|i\.e|u\.s|u\.k|p\.r\.c|approx|dept"
    r"|jan|feb|mar|apr|jun|jul|aug|sept|sep|oct|nov|dec|ii|iii|iv|n\.a|s\.a)|(?<![a-z0-9])[a-z]|^\W{0,3}(?:\d{1,2}\.)*\d{1,2})\Z",
    re.IGNORECASE,
)
"""What stands before a full stop that ends no sentence: an abbreviation, an initial, or the number of a clause."""
_NEXT_WORD: Final = re.compile(r"\s*\S")
_DATE_KINDS: Final = frozenset({"year", "month-name", "day-of-month"})
_MONEY: Final = frozenset({"usd", "eur", "gbp", "cny", "chf", "cad", "aud", "nzd", "hkd", "sgd", "twd"})
_SIGNS: Final = {  # what stands in the text that is searched, instead of a code with as many characters
    "usd": "  $", "eur": "  €", "gbp": "  £", "cny": "  ¥", "rmb": "  ¥",
    "cad": " c$", "aud": " a$", "nzd": "nz$", "hkd": "hk$", "sgd": " s$", "twd": "nt$",
}  # fmt: skip
_CODE: Final = re.compile(rf"\b(?:{'|'.join(_SIGNS)})(?= ?\d)")
_ISO_DAY: Final = ("year", "month-name", "day-of-month")
_FIGURE: Final = re.compile(r"(?:(?<!\d)\d{1,3}(?: \d{3}(?!\d))+|\d+)(?:[.,']\d+)*")
"""A number with all of its separators, whatever they mean."""
_CLEAR_FIGURE: Final = re.compile(r"\d{1,3}(?:,\d{3})+(?:\.\d+)?|0\.\d+|\d+(?:\.(?!\d{3}\Z)\d+)?")
"""One that means the same to everybody who takes a comma for thousands; 1.200 and 2,5 do not."""
# The beginning of a number, read backwards, and its rest; in an amount, a blank may stand before three digits.
_HEAD: Final = re.compile(r"\d*(?:[.．,'’]\d+)*")
_TAIL: Final = re.compile(r"(?<=\d)\d*(?:[.．]\d+|[,'’]\d{1,3}(?!\d))*")
_AMOUNT_TAIL: Final = re.compile(r"(?<=\d)\d*(?:[.．]\d+|[,'’]\d{1,3}(?!\d)|(?<!\d{4})[^\S\n]\d{3}(?!\d))*")
_SEPARATORS: Final = frozenset(".,．，'’/")
_SCALES: Final = "十百千万亿"
_NUMERALS: Final = f"零〇一二两三四五六七八九{_SCALES}"
_MINUS: Final = frozenset("-−–")
_GROUPED: Final = re.compile(r"(?<![\d.,])\d{1,3}(?:[^\S\n]\d{3}(?!\d))+")
"""A number whose thousands are set apart by blanks."""
_NEAR: Final = 40
"""No number is longer."""
_UNCLEAR_BEFORE: Final = re.compile(rf"[\d{_NUMERALS}~至到-]\s?\Z")
_UNCLEAR_AFTER: Final = re.compile(
    rf"[a-z]|\s?(?:[\d{_NUMERALS}]|[-~至到]\s?\d|to \d"
    r"|(?:k|m|mm|mn|bn?|tn|hundred|thousand|million|billion|trillion|lakh|crore)s?\b)",
    re.IGNORECASE,
)
"""What makes more of the amount before it than its number says: "$1.5 bn", "EUR 500-600"."""
_OTHER_MONEY: Final = re.compile(
    r"\b(?:usd|eur|gbp|cny|rmb|chf|cad|aud|nzd|hkd|sgd|twd|jpy|krw|inr|brl|mxn|sek|nok|dkk|pln|zar"
    r"|canadian|australian|hong kong|singapore|taiwan|new zealand|mexican)\b|[港澳台]|加[元币]|新加坡|日元",
    re.IGNORECASE,
)
"""A second currency, so that a "$" or "元" may be another one than it seems."""
_GROUPING: Final = re.compile(r"(?<=\d) (?=\d{3,4}(?!\d))")
"""A blank within an amount, or within the number of an account."""
_ITEM: Final = re.compile(
    r"(?<!section)(?<!clause)(?<!paragraph)(?<!article)(?<=\s)\((?:[a-z]|[ivx]{1,5})\)(?=\s)"
    r"|(?:(?<=[:;,]\s)|(?<=\sor\s)|(?<=\sand\s))\(\d{1,2}\)(?=\s)"
    r"|(?<=\n)[^\S\n]*(?:[-*•▪·]|\(?(?:[a-z]|[ivx]{1,5})[.)]|\d{1,2}(?:[.)]|(?:\.\d{1,2}){1,3}\.?))(?=\s)",
    re.IGNORECASE,
)
"""Where an item of a list begins: "(a)" within a line, or "a)", "2.1" and a bullet at its beginning."""
_HEADING: Final = re.compile(
    r"(?:\W{0,3}(?:[A-Z0-9]\S*|of|and|the|to|for|in|or|on|by|with|an?)(?:[^\S\n]+|(?=\n))){1,12}\n(?=\s*[A-Z\"“(\d])"
)
"""A line of capitalised words above a sentence."""
_CHINESE_WORD: Final = re.compile(r"[\u3400-\u9fff]{2}")
HEADING_WORDS: Final = 4
"""A clause of at most so many words may be a heading, which says nothing."""
_ITEM_START: Final = re.compile(
    r"(?:[-*•▪·]|\(?(?:[a-z]|[ivx]{1,5}|\d{1,2})[.)]|\d{1,2}(?:\.\d{1,2}){1,3}\.?)\s+", re.IGNORECASE
)


@dataclass(frozen=True, slots=True, order=True)
class Span:
    """A stretch of a text, from its first code point to behind its last one."""

    start: int
    end: int

    def overlaps(self, other: Span) -> bool:
        """Return whether two stretches share a character."""
        return self.start < other.end and other.start < self.end

    def cut(self, text: str) -> str:
        """Return the stretch of the text."""
        return text[self.start : self.end]


@dataclass(frozen=True)
class FoldedText:
    """A text in one form: NFKC, plain quotes, each white space a single space. It knows where each character was."""

    original: str = field(repr=False)

    @cached_property
    def _parts(self) -> tuple[str, Sequence[int]]:
        characters: list[str] = []
        places: list[int] = []
        for place, character in enumerate(self.original):
            folded = " " if character.isspace() else unicodedata.normalize("NFKC", character).translate(_PLAIN_FORMS)
            for one in folded:
                if not one.isspace() or not (characters and characters[-1] == " "):
                    characters.append(" " if one.isspace() else one)
                    places.append(place)
        return "".join(characters), places

    @property
    def text(self) -> str:
        """Return the folded text."""
        return self._parts[0]

    def find_origin(self, start: int, end: int) -> Span:
        """Return where a stretch of the folded text stands in the original, without white space around it."""
        folded, places = self._parts
        while start < end and folded[start] == " ":
            start += 1
        while end > start and folded[end - 1] == " ":
            end -= 1
        return Span(places[start], places[end - 1] + 1) if start < end else Span(0, 0)

    @cached_property
    def letters(self) -> tuple[str, Sequence[int]]:
        """Return the text without white space and case, and the place of each character in the original."""
        pairs = [
            (one, place)
            for character, place in zip(*self._parts, strict=True)
            if character != " "
            for one in character.casefold()
        ]
        return "".join(one for one, _ in pairs), [place for _, place in pairs]

    @cached_property
    def sentences(self) -> Sequence[Span]:
        """Return the sentences of the original."""
        return tuple(split_sentences(self.original))

    @cached_property
    def mentions(self) -> tuple[Mention, ...]:
        """Return the dates and numbers of the folded text; a code of money before a number belongs to it."""
        lower = self.text.lower()
        if len(lower) != len(self.text):
            return ()
        begins = {place: code.start() for code in _CODE.finditer(lower) for place in range(*code.span())}
        signed = _CODE.sub(lambda code: _SIGNS[code[0]], lower)
        return tuple(replace(one, start=begins.get(one.start, one.start)) for one in find_numbers(signed))

    @cached_property
    def clear_mentions(self) -> tuple[Mention, ...]:
        """Return the mentions without a number whose separators may mean something else."""
        unclear = {
            place
            for found in _FIGURE.finditer(self.text)
            if not _CLEAR_FIGURE.fullmatch(found[0])
            for place in range(*found.span())
        }
        return tuple(one for one in self.mentions if unclear.isdisjoint(range(one.start, one.end)))


def extend_to_number(text: str, span: Span, type_: ValueType) -> Span:
    """Return a stretch with the whole numbers that it begins and ends in: EUR 900.50 for EUR 900."""
    before = text[max(0, span.start - _NEAR) : span.start]
    head = _HEAD.match(before[::-1]) if text[span.start : span.start + 1].isdigit() else None
    tail = (_AMOUNT_TAIL if type_ == "amount" else _TAIL).match(text, span.end)
    start = span.start - (0 if head is None else head.end())
    if type_ == "amount" and text[start : start + 1].isdigit() and (grouped := _find_grouped(text, start)) is not None:
        start = grouped.start
    return Span(start, span.end if tail is None else tail.end())


def _find_grouped(text: str, place: int) -> Span | None:
    """Return the number with blanks between its thousands that goes on across a place."""
    near = _GROUPED.finditer(text, max(0, place - _NEAR), place + _NEAR)
    return next((Span(*one.span()) for one in near if one.start() < place < one.end()), None)


def find_value(folded: FoldedText, value: str, type_: ValueType = "text") -> Span | None:
    """Return where a value stands in a text: as it is, in another form, or as the same date or amount; else None.

    A value in Latin letters or digits is not found inside a word.
    """
    text, wanted, place = folded.original, value.strip(), -1
    while wanted and (place := text.find(wanted, place + 1)) >= 0:
        if _is_whole(text, as_written := Span(place, place + len(wanted))):
            return as_written
    span = _find_letters(folded, value)
    if span is None and type_ in {"date", "amount"}:
        span = _find_same_number(folded, FoldedText(value))
    return span


def _find_letters(folded: FoldedText, value: str) -> Span | None:
    (letters, places), wanted = folded.letters, FoldedText(value)
    letters_wanted, numbers = wanted.letters[0], _list_numbers(wanted)
    place = -1
    while letters_wanted and (place := letters.find(letters_wanted, place + 1)) >= 0:
        span = Span(places[place], places[place + len(letters_wanted) - 1] + 1)
        if _is_whole(folded.original, span) and _list_numbers(FoldedText(span.cut(folded.original))) == numbers:
            return span
    return None


def _list_numbers(folded: FoldedText) -> list[str]:
    """Return the digits of each number; a blank before other than three or four digits begins a new one."""
    return re.findall(r"\d+", _GROUPING.sub("", folded.text))


def find_in_texts(texts: Mapping[int, FoldedText], value: str, type_: ValueType = "text") -> tuple[int, Span] | None:
    """Return the number of the first text in which a value stands, and where it stands there."""
    for number, text in texts.items():
        if (span := find_value(text, value, type_)) is not None:
            return number, span
    return None


def _is_whole(text: str, span: Span) -> bool:
    """Return whether a stretch does not begin or end within a word of Latin letters or a number, or after a minus."""
    return not (_goes_on(text, span.start) or _goes_on(text, span.end) or _follows_minus(text, span.start))


def _goes_on(text: str, place: int) -> bool:
    """Return whether a word of Latin letters or a number stands on both sides of a place."""
    if not 0 < place < len(text):
        return False
    before, after = text[place - 1], text[place]
    return (
        (_is_word(before) and _is_word(after))
        or (before in _NUMERALS and after in _NUMERALS)
        or (before.isdigit() and after in _SCALES)
        or (before in _SCALES and after.isdigit())
        or _is_within_number(text[max(0, place - 2) : place + 1])
        or _is_within_number(text[place - 1 : place + 2])
        or _find_grouped(text, place) is not None
    )


def _follows_minus(text: str, place: int) -> bool:
    """Return whether the number at a place is negative. At the beginning of a line, the sign may be a bullet."""
    sign, before = text[max(0, place - 1) : place], text[max(0, place - 2) : max(0, place - 1)]
    return sign in _MINUS and text[place : place + 1].isdigit() and not (before.isalnum() or before in {"", "\n"})


def _is_within_number(around: str) -> bool:
    return len(around) == 3 and around[0].isdigit() and around[1] in _SEPARATORS and around[2].isdigit()  # noqa: PLR2004


def _is_word(character: str) -> bool:
    return character.isalnum() and character < "\u2e80"


def _find_same_number(folded: FoldedText, value: FoldedText) -> Span | None:
    """Return where a text has the one date or number of a value."""
    wanted = value.clear_mentions
    if len(value.mentions) != 1 or not wanted:
        return None
    for mention in folded.clear_mentions:
        span = folded.find_origin(mention.start, mention.end)
        if _is_same(mention, wanted[0]) and _is_whole(folded.original, span):
            return span
    return None


def _is_same(one: Mention, other: Mention) -> bool:
    if (one.kinds | other.kinds) & _DATE_KINDS:
        return one.readings == other.readings
    return one.agrees_with(other) and (PLAIN in one.kinds) == (PLAIN in other.kinds)


def normalise_value(text: str, type_: ValueType) -> str:
    """Return a date as ``2024-03-05`` and money as ``1200 USD``; "" for what is no such value, unclear, or several."""
    folded = FoldedText(text)
    mentions = folded.mentions
    if folded.clear_mentions != mentions:
        return ""
    readings = {one.kind: one.value for mention in mentions for one in mention.readings}
    if type_ == "date" and len(mentions) == 1 and set(_ISO_DAY) <= set(readings):
        try:
            return date(*(int(readings[kind]) for kind in _ISO_DAY)).isoformat()
        except ValueError:  # there is no such day
            return ""
    money = [(mention, one) for mention in mentions for one in mention.readings if one.kind in _MONEY]
    if type_ != "amount" or len(money) != 1 or _is_unclear(folded.text, money[0][0]):
        return ""
    return f"{money[0][1].value:.12g} {money[0][1].kind.upper()}"


def _is_unclear(text: str, money: Mention) -> bool:
    """Return whether what stands around an amount makes another one of it."""
    before, after = text[: money.start], text[money.end :]
    return bool(
        _UNCLEAR_BEFORE.search(before) or _UNCLEAR_AFTER.match(after) or _OTHER_MONEY.search(f"{before} | {after}")
    )


def split_sentences(text: str) -> Iterator[Span]:
    """Yield the sentences of a text, which paragraphs separate too; no sentence begins or ends with white space."""
    start = 0
    for match in _ENDS.finditer(text):
        if match[0][0] in ".?!;" and not _ends_sentence(text, start, match):
            continue
        if (span := _strip_space(text, start, match.end())) is not None:
            yield span
        start = match.end()
    if (span := _strip_space(text, start, len(text))) is not None:
        yield span


def _ends_sentence(text: str, start: int, match: re.Match[str]) -> bool:
    following = _NEXT_WORD.match(text, match.end())
    if following is not None and following[0][-1].islower():
        return False
    return _NO_END.search(text, max(start, match.start() - 12), match.start()) is None


def _strip_space(text: str, start: int, end: int) -> Span | None:
    part = text[start:end]
    begin, length = start + len(part) - len(part.lstrip()), len(part.strip())
    return Span(begin, begin + length) if length else None


def extend_to_sentences(folded: FoldedText, span: Span) -> Span:
    """Return the sentences of a text in which a stretch stands, as one stretch."""
    touched = [one for one in folded.sentences if one.overlaps(span)]
    return Span(touched[0].start, touched[-1].end) if touched else span


def split_clauses(text: str) -> Iterator[Span]:
    """Yield the sentences of a text; each item of a list within a sentence is a clause of its own."""
    for sentence in split_sentences(text):
        starts, place = [sentence.start], sentence.start
        while (heading := _HEADING.match(text, place, sentence.end)) is not None:
            starts.append(place := heading.end())
        starts += [one.start() for one in _ITEM.finditer(text, place + 1, sentence.end)]
        for start, end in pairwise([*starts, sentence.end]):
            if (span := _strip_space(text, start, end)) is not None:
                yield span


def count_words(text: str) -> int:
    """Return the number of words; two Chinese characters count as one."""
    return len(text.split()) + len(_CHINESE_WORD.findall(text))


def find_item_mark(clause: str) -> str:
    """Return the mark with which an item of a list begins, such as "(a) " or "2.1 "; "" for other clauses."""
    found = _ITEM_START.match(clause)
    return found[0] if found is not None else ""


def is_lead_in(clause: str) -> bool:
    """Return whether a clause leads to a list: it ends with a colon or amid a sentence, unlike a heading."""
    *words, last = clause.split()
    return last.endswith((":", "：")) or (len(words) > HEADING_WORDS and last.islower() and last not in {"and", "or"})
