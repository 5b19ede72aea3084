"""Find the numbers that a text states, in English or Chinese, and compare them: 三十天 is "30 days", "2 pm" is 14:00.

A mention has one or more readings, because ``14:00`` may be written "14" and a bare "30" may be of any unit. A mention
is stated by another text if any of its readings meets any reading there.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from knowledge.tables import find_scale

PLAIN = "plain"
"""The kind of a number without a unit that is known; it meets a number of any kind."""
_COUNT, _HEADS, _TIMES = "count", "head", "×"
"""Kinds of what a counter counts: 三个 is no 三年, but may be 三名."""

_OF_DATE = ("year", "month-name", "day-of-month")
_SECONDS, _MONTHS = "s", "month"
_COUNTED = {PLAIN, "eur", "usd", "cad", "aud", "nzd", "hkd", "sgd", "twd", "gbp", "cny", "chf"}
"""Kinds of figures that a table may count in thousands or millions."""

_UNITS: dict[str, tuple[str, float]] = {
    # time that has a fixed length, in seconds
    **dict.fromkeys(("s", "sec", "secs", "second", "seconds", "秒", "秒钟"), (_SECONDS, 1.0)),
    **dict.fromkeys(("min", "mins", "minute", "minutes", "分钟"), (_SECONDS, 60.0)),
    **dict.fromkeys(("h", "hr", "hrs", "hour", "hours", "小时", "个小时", "钟头", "个钟头"), (_SECONDS, 3600.0)),
    **dict.fromkeys(("day", "days", "calendar days", "天", "日", "个自然日", "自然日"), (_SECONDS, 86400.0)),
    **dict.fromkeys(("week", "weeks", "周", "个星期", "星期", "个礼拜"), (_SECONDS, 604800.0)),
    # time that has not, in months
    **dict.fromkeys(("month", "months", "个月"), (_MONTHS, 1.0)),
    **dict.fromkeys(("quarter", "quarters", "个季度", "季度"), (_MONTHS, 3.0)),
    **dict.fromkeys(("year", "years", "年", "周年"), (_MONTHS, 12.0)),
    **dict.fromkeys(
        ("working day", "working days", "business day", "business days", "工作日", "个工作日"), ("workday", 1.0)
    ),
    # money
    **dict.fromkeys(("€", "euro", "euros", "eur", "欧元"), ("eur", 1.0)),
    **dict.fromkeys(("$", "us$", "dollar", "dollars", "usd", "美元", "美金"), ("usd", 1.0)),
    **dict.fromkeys(("c$", "ca$", "cad", "canadian dollars", "加元", "加币"), ("cad", 1.0)),
    **dict.fromkeys(("a$", "au$", "aud", "australian dollars", "澳元", "澳币"), ("aud", 1.0)),
    **dict.fromkeys(("nz$", "nzd", "新西兰元", "纽币"), ("nzd", 1.0)),
    **dict.fromkeys(("hk$", "hkd", "hong kong dollars", "港元", "港币"), ("hkd", 1.0)),
    **dict.fromkeys(("s$", "sgd", "singapore dollars", "新加坡元"), ("sgd", 1.0)),
    **dict.fromkeys(("nt$", "twd", "新台币"), ("twd", 1.0)),
    **dict.fromkeys(("£", "pound", "pounds", "gbp", "英镑"), ("gbp", 1.0)),
    **dict.fromkeys(("¥", "yuan", "rmb", "cny", "元", "块", "块钱", "元人民币"), ("cny", 1.0)),
    **dict.fromkeys(("franc", "francs", "chf", "法郎", "瑞士法郎"), ("chf", 1.0)),
    # the rest
    **dict.fromkeys(("%", "percent", "per cent", "个百分点"), ("%", 1.0)),
    **dict.fromkeys(("成",), ("%", 10.0)),
    **dict.fromkeys(("°c", "°", "degrees", "degree", "degrees celsius", "度", "摄氏度"), ("°", 1.0)),
    **dict.fromkeys(("km", "kilometre", "kilometres", "kilometer", "kilometers", "公里", "千米"), ("m", 1000.0)),
    **dict.fromkeys(("m", "metre", "metres", "meter", "meters", "米"), ("m", 1.0)),
    **dict.fromkeys(("cm", "centimetre", "centimetres", "centimeters", "厘米"), ("m", 0.01)),
    **dict.fromkeys(("mm", "millimetres", "millimeters", "毫米"), ("m", 0.001)),
    **dict.fromkeys(("kg", "kilogram", "kilograms", "kilos", "公斤", "千克"), ("g", 1000.0)),
    **dict.fromkeys(("g", "gram", "grams", "克"), ("g", 1.0)),
    **dict.fromkeys(("mg", "milligrams", "毫克"), ("g", 0.001)),
    **dict.fromkeys(("l", "litre", "litres", "liter", "liters", "升"), ("l", 1.0)),
    **dict.fromkeys(("ml", "millilitre", "millilitres", "milliliters", "毫升"), ("l", 0.001)),
    **dict.fromkeys(("kb",), ("byte", 1e3)),
    **dict.fromkeys(("mb", "兆"), ("byte", 1e6)),
    **dict.fromkeys(("gb",), ("byte", 1e9)),
    **dict.fromkeys(("tb",), ("byte", 1e12)),
    **dict.fromkeys(("times", "fold", "倍"), (_TIMES, 1.0)),
}
_COUNTERS = (
    "个|名|位|次|层|楼|级|家|台|份|岁|周岁|条|种|项|页|人|件|间|枚|颗|晚|档|类|套|剂|组|批|张|部|款|篇|轮|期|步|章|把|"
    "根|只|支|处|点|分"
)


_COUNTER_KINDS = {
    "次": _TIMES, "名": _HEADS, "位": _HEADS, "人": _HEADS, "岁": PLAIN, "周岁": PLAIN, "点": PLAIN, "分": PLAIN,
}  # fmt: skip


def _number_names(names: str, first: int = 0) -> dict[str, int]:
    """Return words with the numbers that they stand for, from ``first`` on; "|" joins names of one number."""
    return {name: n for n, group in enumerate(names.split(), first) for name in group.split("|")}


_SMALL = _number_names(
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen nineteen"
)
_TENS = {word: 10 * n for word, n in _number_names("twenty thirty forty fifty sixty seventy eighty ninety", 2).items()}
_WORDS = _SMALL | _TENS
_SCALES = {"hundred": 100, "thousand": 1000, "million": 10**6, "billion": 10**9}
_ORDINALS = _number_names("second third fourth fifth sixth seventh eighth ninth tenth", 2)
_MONTH_NAMES = _number_names(
    "january|jan february|feb march|mar april|apr may june|jun july|jul august|aug september|sept|sep october|oct "
    "november|nov december|dec",
    1,
)
_ZH_NUMBER_CHARS = 30
"""What is longer is no number, and would not fit a float."""

_MONTH = "|".join(sorted(_MONTH_NAMES, key=len, reverse=True))
_UNIT = "|".join(re.escape(unit) for unit in sorted(_UNITS, key=len, reverse=True) if unit not in "€$£¥us$")
_LATIN_UNIT_END = r"(?![a-z])"
_NUMBER = r"\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?"
_WORD_NUMBER = (
    r"\b(?:" + "|".join((*_WORDS, *_SCALES)) + r")(?:(?:[\s-]+|\sand\s)(?:" + "|".join((*_WORDS, *_SCALES)) + r"))*\b"
)
_ZH_DIGITS = "零〇一二两三四五六七八九十百千"
_ZH_NUMBER = f"[{_ZH_DIGITS}]+(?:[万亿][{_ZH_DIGITS}]*)*"
_ZH_HOUR = rf"[{_ZH_DIGITS}]{{1,12}}(?:[万亿][{_ZH_DIGITS}]{{0,12}}){{0,2}}"
"""With a limit, because a search tries it at each character of a long number."""

_BEFORE_MONTH = "|".join(
    rf"(?<=\b{word} )" for word in ("in", "by", "of", "from", "since", "until", "till", "before", "after", "during")
)
"""What makes a month of "march" and "may", which mostly are other words."""

_MONTH_NAME = re.compile(rf"\b(?P<month>(?!(?:march|may)\b)(?:{_MONTH})|(?=ma)(?:{_BEFORE_MONTH})(?:march|may))\b")
_DATES = tuple(
    re.compile(pattern)
    for pattern in (
        rf"\b(?P<day>\d{{1,2}})(?:st|nd|rd|th)?(?: of)? (?P<month>{_MONTH})\b(?:,? (?P<year>\d{{4}}))?",
        rf"\b(?P<month>{_MONTH})\.? (?P<day>\d{{1,2}})(?:st|nd|rd|th)?\b(?!:)(?:,? (?P<year>\d{{4}}))?",
        rf"\b(?P<month>{_MONTH})\.?,? (?P<year>\d{{4}})\b",
        _MONTH_NAME,
        r"\b(?P<year>\d{4})-(?P<month>\d{2})-(?P<day>\d{2})\b",
        r"(?:(?P<year>\d{4})年)?(?P<month>\d{1,2})月(?:(?P<day>\d{1,2})[日号])?",
        rf"(?P<month>[一二三四五六七八九十]{{1,2}})月(?:(?P<day>{_ZH_NUMBER})[日号])?",
        r"(?P<year>\d{4})年",
    )
)
_WEEKDAYS = _number_names("mon|一 tues|二 wednes|三 thurs|四 fri|五 satur|六 sun|日|天", 1)
_WEEKDAY = re.compile(
    r"\b(?P<en>mon|tues|wednes|thurs|fri|satur|sun)days?\b|(?:星期|周|礼拜)(?P<zh>[一二三四五六日天])"
)
_DAY_OF_MONTH = re.compile(r"(?<=月)(?P<n>\d{1,2})[日号]")
_CLOCK = re.compile(
    # The first character is checked before all else, here and in ``_MENTION``: most fail there.
    rf"(?=[\s\d凌早上中下傍晚夜{_ZH_DIGITS}])"
    r"(?P<before>凌晨|早上|上午|中午|下午|傍晚|晚上|夜里)?\s{0,3}(?:"
    r"(?P<h>\d{1,2}):(?P<m>\d{2})(?:\s*(?P<ampm>a\.?m\b\.?|p\.?m\b\.?))?"
    r"|(?P<h2>\d{1,2})\s*(?P<ampm2>a\.?m\b\.?|p\.?m\b\.?|o'clock)"
    rf"|(?P<h3>\d{{1,2}}|{_ZH_HOUR})(?:点钟?|时(?!间|候|长))(?P<half>半)?)"
)
_PHONE = re.compile(r"(?<![\w.,])\+?\d(?:[ -]?\d){6,14}(?![\w]|[.,]\d)")
_MENTION = re.compile(
    rf"(?=[\s\d€$£¥u第{_ZH_DIGITS}]|\b)(?P<money>(?:us|\b(?:ca?|au?|nz|hk|s|nt)|(?<![a-z]))\$|[€£¥])?\s?(?:(?<=[$€£¥])\()?(?P<ordinal>第)?"
    rf"(?:(?<![a-z_\d.-])(?P<num>{_NUMBER})(?:(?P<wan>[万亿千百])|\)?\s(?P<scale>thousand|million|billion)\b)?(?P<th>(?:st|nd|rd|th)\b)?"
    rf"|(?P<word>{_WORD_NUMBER})|(?P<zh>(?!十分(?!钟|之))(?!万一|千万(?!元)){_ZH_NUMBER}))"
    rf"(?:[\s-]?(?P<unit>(?:{_UNIT})){_LATIN_UNIT_END})?(?P<counter>{_COUNTERS})?"
)
_OWN_SCALE = re.compile(r"thousand|million|billion|[万亿千百]")
_HALF = re.compile(r"半(?P<unit>年|个?小时|天|个月)|half an? (?P<en>hour|year|day|month)")
_PERCENT_ZH = re.compile(rf"百分之(?P<n>{_NUMBER}|{_ZH_NUMBER})")
_TWICE = re.compile(r"\b(?P<n>twice|thrice)\b")
_ADVERBS = {
    "hourly": "hour", "daily": "day", "weekly": "week", "monthly": "month", "quarterly": "quarter", "yearly": "year",
    "annual": "year", "annually": "year",
}  # fmt: skip
_EACH = re.compile(
    r"(?:\b(?:per|each|every) |/)(?P<sec>second)\b"
    r"|\b(?:an?|per|each|every) (?P<en>minute|hour|day|week|month|quarter|year)\b"
    r"|\b(?P<ly>daily|hourly|weekly|monthly|quarterly|yearly|annual(?:ly)?)\b"
    r"|每个?(?P<zh>秒|分钟|小时|天|日|周|星期|月|季度|年)"
)
_ORDINAL_WORD = re.compile(r"(?<!per )\b(?P<n>" + "|".join(_ORDINALS) + r")\b")


@dataclass(frozen=True, slots=True)
class Quantity:
    """One reading of a number: its value in the base unit of its kind."""

    value: float
    kind: str


@dataclass(frozen=True, slots=True)
class Mention:
    """A number where it stands in a text, with all its readings."""

    start: int
    end: int
    readings: frozenset[Quantity]
    each: bool = False
    """Whether it is "a month", "每月": one of them if another text says so, no figure by itself."""

    @property
    def kinds(self) -> frozenset[str]:
        """Return the kinds of its readings."""
        return frozenset(reading.kind for reading in self.readings)

    def agrees_with(self, other: Mention) -> bool:
        """Return whether both can mean the same; two dates agree in the parts that both have."""
        shared = self.kinds & other.kinds & {*_OF_DATE}
        if shared:
            mine, theirs = ({one for one in each.readings if one.kind in shared} for each in (self, other))
            return mine == theirs
        return any(_is_same(a, b) for a in self.readings for b in other.readings)


def normalise_text(text: str) -> str:
    """Return the text as the patterns here and in ``claims`` expect it: NFKC, lower case, plain quotes and dashes."""
    folded = unicodedata.normalize("NFKC", text).lower()
    return folded.replace("’", "'").replace("–", "-").replace("—", "-").replace("−", "-")


def find_numbers(text: str, whole: str | None = None) -> tuple[Mention, ...]:
    """Return the numbers that a text states, in order; ``text`` has passed through ``normalise_text``.

    ``whole`` is the same text where names are blanked out in ``text``: "RMB million" says what figures are counted in.
    """
    mentions: list[Mention] = []
    occupied = bytearray(len(text))
    readers = _READERS if _FIGURE.search(text) else _WORD_READERS
    for mention in (
        mention for pattern, read in readers for match in pattern.finditer(text) for mention in read(match)
    ):
        if not any(occupied[mention.start : mention.end]):
            occupied[mention.start : mention.end] = b"\1" * (mention.end - mention.start)
            mentions.append(mention)
    mentions.sort(key=lambda mention: mention.start)
    whole = whole or text
    return tuple(mentions if find_scale(whole) is None else _scale_lines(whole, mentions))


def _scale_lines(text: str, mentions: Iterable[Mention]) -> Iterator[Mention]:
    """Yield the numbers; one of a line "(in thousands)" may mean thousands, too, unless it says so itself."""
    start, end, factor = 0, -1, 1.0
    for mention in mentions:
        if mention.start > end:
            start = text.rfind("\n", 0, mention.start) + 1
            end = text.find("\n", mention.start)
            end = len(text) if end < 0 else end
            scale = find_scale(text[start:end])
            factor = scale[1] if scale else 1.0
        if factor > 1 and not _OWN_SCALE.search(text, mention.start, mention.end):
            scaled = {Quantity(one.value * factor, one.kind) for one in mention.readings if one.kind in _COUNTED}
            yield replace(mention, readings=mention.readings | scaled)
        else:
            yield mention


def meets_any(mention: Mention, others: Iterable[Mention]) -> bool:
    """Return whether a number can mean the same as any of the others."""
    return any(mention.agrees_with(other) for other in others)


def _read_phone(match: re.Match[str]) -> Iterator[Mention]:
    digits = re.sub(r"\D", "", match[0])
    if match[0].startswith(("0", "+")) or len(digits) > 8:  # noqa: PLR2004 - 12 345 678 may be a count
        yield _make_mention(match, Quantity(float(digits), "phone"))


def _read_half(match: re.Match[str]) -> Iterator[Mention]:
    kind, factor = _UNITS[match["unit"] or match["en"]]
    yield _make_mention(match, Quantity(0.5 * factor, kind))


def _read_each(match: re.Match[str]) -> Iterator[Mention]:
    unit = match["sec"] or match["en"] or _ADVERBS.get(match["ly"] or "") or match["zh"].replace("月", "个月")
    kind, factor = _UNITS[unit]
    yield Mention(match.start(), match.end(), frozenset({Quantity(factor, kind)}), each=True)


def _make_reader(kind: str, values: Mapping[str, float] | None = None) -> Callable[[re.Match[str]], Iterator[Mention]]:
    """Return a reader of a number that is the match's only named group."""

    def read_match(match: re.Match[str]) -> Iterator[Mention]:
        written = match[match.lastgroup or 0]
        yield _make_mention(match, Quantity((values or {}).get(written) or _parse_number(written), kind))

    return read_match


def _make_mention(match: re.Match[str], *readings: Quantity) -> Mention:
    return Mention(match.start(), match.end(), frozenset(readings))


def _is_same(a: Quantity, b: Quantity) -> bool:
    if abs(a.value - b.value) > 1e-9 * max(1.0, abs(a.value)):
        return False
    kinds = {a.kind, b.kind}
    plain = PLAIN in kinds and kinds.isdisjoint(_OF_DATE[1:])
    return len(kinds) == 1 or plain or (_COUNT in kinds and kinds <= {_COUNT, _HEADS, _TIMES, "ordinal"})


def _read_date(match: re.Match[str]) -> Iterator[Mention]:
    """Yield a date with what is known of it: year, month, day."""
    parts = match.groupdict()
    month = parts.get("month") or "0"
    values = (
        int(parts.get("year") or 0),
        _MONTH_NAMES.get(month) or _parse_number(month),
        _parse_number(parts.get("day") or "0"),
    )
    yield _make_mention(match, *(Quantity(value, kind) for kind, value in zip(_OF_DATE, values, strict=True) if value))


def _read_clock(match: re.Match[str]) -> Iterator[Mention]:
    hour, minute = (
        _parse_number(match["h"] or match["h2"] or match["h3"]),
        float(match["m"] or (30 if match["half"] else 0)),
    )
    if (match["h3"] in {"一", "1"} and not match["before"]) or hour > 24 or minute > 59:  # noqa: PLR2004 - a clock's
        return  # 这一点, 一时: no hour
    half_day = (match["ampm"] or match["ampm2"] or "")[:1]
    if half_day == "p" or match["before"] in {"下午", "傍晚", "晚上", "夜里"}:
        hour = hour % 12 + 12
    elif half_day == "a":
        hour %= 12
    readings = [Quantity(hour * 60 + minute, "clock")]
    if hour < 12 and not half_day and not match["before"] and not match["h"]:  # noqa: PLR2004 - "from 2 pm to 7"
        readings.append(Quantity((hour + 12) * 60 + minute, "clock"))
    if not minute:
        readings.append(Quantity(hour, "hour-of-day"))
    yield _make_mention(match, *readings)


def _read_number(match: re.Match[str]) -> Iterator[Mention]:
    written = match["num"] or match["word"] or match["zh"]
    value = _parse_number(written) * (
        _parse_number(match["wan"] or match["scale"]) if match["wan"] or match["scale"] else 1.0
    )
    unit = match["unit"] or match["money"]
    if match["ordinal"] or match["th"]:
        if value > 1:  # "first" mostly is no figure: the first time, at first
            yield _make_mention(match, Quantity(value, "ordinal"))
    elif unit:
        kind, factor = _UNITS[unit]
        # What it is still called where the unit is not repeated ("between 2 and 8 °C"): meets plain numbers only.
        yield _make_mention(match, Quantity(value * factor, kind), Quantity(value, f"bare {kind} {factor}"))
    elif match["num"] or _is_counted(match, value):
        kind = _COUNTER_KINDS.get(match["counter"], _COUNT) if match["counter"] else PLAIN
        readings = [Quantity(value, kind)]
        if match["num"] and not match["counter"] and value <= 24:  # noqa: PLR2004 - "from 10 to 12" may be hours of a day
            readings.append(Quantity(value, "hour-of-day"))
        if match["num"] and not match["counter"] and 1000 <= value <= 2100:  # noqa: PLR2004 - likely a year
            readings.append(Quantity(value, "year"))
        yield _make_mention(match, *readings)


def _is_counted(match: re.Match[str], value: float) -> bool:
    """Return whether a number in words is meant as one: "one" and 一 mostly are not, and 十分 is "very"."""
    if match["word"]:
        return value > 1
    return value > 1 and (match["counter"] is not None or value >= 10)  # noqa: PLR2004


def _parse_number(written: str) -> float:
    if written[0].isascii() and written[0].isdigit():
        return float(written.replace(",", ""))
    if written[0].isascii():
        words = _WORDS | _SCALES
        return _add_up((words.get(word, 0) for word in re.split(r"[\s-]+", written)), scales=(100, 1000), base=1)
    digits = written[:_ZH_NUMBER_CHARS].replace("两", "二")
    return _add_up(map(unicodedata.numeric, digits), scales=(10, 10_000), base=10)


def _add_up(values: Iterable[float], *, scales: tuple[int, int], base: int) -> float:
    """Return a number from its digits and scales.

    ``scales`` are the least one (hundred, 十) and the least one that ends a group (thousand, 万). A digit multiplies
    those before it by ``base``.
    """
    total = group = digit = 0.0
    for value in values:
        if value < scales[0]:
            digit = digit * base + value
        elif value < scales[1]:
            group += (digit or 1.0) * value
            digit = 0.0
        else:
            group += digit
            total = total + group * value if group else (total or 1.0) * value
            group = digit = 0.0
    return total + group + digit


_READERS: tuple[tuple[re.Pattern[str], Callable[[re.Match[str]], Iterator[Mention]]], ...] = (
    (_PHONE, _read_phone),
    *((pattern, _read_date) for pattern in _DATES),
    (_WEEKDAY, _make_reader("weekday", _WEEKDAYS)),
    (_DAY_OF_MONTH, _make_reader("ordinal")),
    (_CLOCK, _read_clock),
    (_PERCENT_ZH, _make_reader("%")),
    (_HALF, _read_half),
    (_MENTION, _read_number),
    (_TWICE, _make_reader(_TIMES, {"twice": 2.0, "thrice": 3.0})),
    (_EACH, _read_each),
    (_ORDINAL_WORD, _make_reader("ordinal", _ORDINALS)),
)
_FIGURE = re.compile(r"[\d〇一-鿿]")
_OF_WORDS = (_MONTH_NAME, _WEEKDAY, _HALF, _MENTION, _TWICE, _EACH, _ORDINAL_WORD)
_WORD_READERS = tuple((pattern, read) for pattern, read in _READERS if pattern in _OF_WORDS)
"""What reads a text without figures and Chinese characters, as most sentences are."""
