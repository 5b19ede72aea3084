"""What kind of words answers a question (a date, a number, steps), and where a text has words of that kind. Pure."""

from __future__ import annotations

import re
from typing import Final, Literal

from knowledge.lexical.terms import index_terms, query_terms

AnswerType = Literal["time", "number", "person", "place", "reason", "steps", "other"]


def _join_patterns(*patterns: str, flags: re.RegexFlag = re.NOFLAG) -> re.Pattern[str]:
    return re.compile("|".join(patterns), flags)


_TIMES: Final = "year|date|day|month|time|century|decade|season|weekday"
_SIZES: Final = "many|much|long|old|far|tall|high|large|big|deep|wide|fast|heavy|small"
_AMOUNTS: Final = (
    "number|percent(?:age)?|amount|population|rate|price|cost|size|limit|port|length|share|fraction|ratio|average|total"
)
_PEOPLE: Final = "person|people|man|woman|name"
_PLACES: Final = "city|country|state|town|place|county|island|river|region|continent|location|street"
_COUNTERS: Final = "个名位种次岁人集部条座所家场层届号章回张只支天周倍"
_ASKS: Final[dict[AnswerType, re.Pattern[str]]] = {
    "time": _join_patterns(
        rf"\bwhen\b|\b(?:what|which) (?:\w+ )?(?:{_TIMES})s?\b|\bhow (?:often|recent)",
        "什么时[候间期]|何[时年月日]|哪一?[年天日月]|几[年月日号点]|哪个(?:世纪|朝代|年代|时期|月份)|年份|日期",
    ),
    "number": _join_patterns(
        rf"\bhow (?:{_SIZES})\b|\b(?:what|which) (?:(?:is|was|are|were) the )?(?:\w+ )?(?:{_AMOUNTS})\b",
        rf"多少|几[{_COUNTERS}]|多[长久高大远重深宽快]|百分之几|第几|比例|数量|人口|面积|端口",
    ),
    "person": _join_patterns(
        rf"\bwho(?:se|m)?\b|\b(?:what|which) (?:\w+ )?(?:{_PEOPLE})\b", "谁|哪一?[位名]|哪个(?:人|作家|导演|演员)"
    ),
    "place": _join_patterns(
        rf"\bwhere\b|\b(?:what|which) (?:\w+ )?(?:{_PLACES})\b",
        "哪[里儿]|何[处地]|什么地方|哪[个座一]*(?:城市|国家?|省|市|县|地区?|州|岛|街)|在哪",
    ),
    "reason": _join_patterns(r"\bwhy\b|\bwhat (?:is|was) the reason\b", "为什么|为何|何以|原因"),
    "steps": _join_patterns(r"\bhow (?:do|can|should|would|to|must|may|could)\b", "怎么|怎样|如何"),
}

_NUMBER_WORDS: Final = (
    "hundred|thousand|million|billion|trillion|dozen|half|one|two|three|four|five|six|seven|eight|nine|ten|eleven|"
    "twelve|(?:thir|four|fif|six|seven|eigh|nine)teen|twenty|thirty|forty|fifty|sixty|seventy|eighty|ninety"
)
_UNITS: Final = (
    "percent|years?|months?|weeks?|days?|hours?|minutes?|seconds?|times|people|pounds?|"
    "km|kilomet(?:er|re)s?|miles?|met(?:er|re)s?|feet|ft|m|kg|[GMK]B"
)
_MONTHS: Final = (
    "January|February|March|April|May|June|July|August|September|October|November|December|"
    "Jan|Feb|Mar|Apr|Jun|Jul|Aug|Sept?|Oct|Nov|Dec"
)
_HAN: Final = "〇零一二三四五六七八九十百千万亿两"
_CAPITALS: Final = r"[A-Z][\w'’-]+"
_SPANS: Final[dict[AnswerType, re.Pattern[str]]] = {
    "time": _join_patterns(
        rf"\b\d{{1,2}}(?:st|nd|rd|th)? (?:of )?(?:{_MONTHS})\b\.?(?:,? \d{{4}})?",
        rf"\b(?:{_MONTHS})\b\.? (?:\d{{1,2}}(?:st|nd|rd|th)?(?:, ?\d{{4}})?|\d{{4}})\b",
        r"\b(?:early |mid-|late )?\d{1,2}(?:st|nd|rd|th)[ -]century\b|\b(?:1\d{3}|20\d\d)s?\b",
        r"\b\d{1,4} ?(?:BCE?|AD|CE)\b|\b\d{1,2}(?::\d\d)? ?[ap]\.?m\b|\b\d{1,2}:\d\d\b",
        r"\b(?:Mon|Tues|Wednes|Thurs|Fri|Satur|Sun)days?\b|\b(?:daily|weekly|monthly|yearly|annually|nightly)\b",
        rf"(?:公元前?)?[\d{_HAN}]{{1,6}}(?:世纪|年代|[年月日号点])(?:[\d{_HAN}]{{1,4}}(?:年代|[月日号]))*",
        "每[天日周月年晚]|星期[一二三四五六日天]|周[一二三四五六日]",
    ),
    "number": _join_patterns(
        rf"百分之[\d{_HAN}点.]+|第?[\d{_HAN}][\d{_HAN},.]*(?<![,.])余?多?(?:[{_COUNTERS}天元年月米吨]|平?方?公里|小时|分钟|美元)",
        rf"(?:[$€£¥] ?)?\d[\d,.]*(?<=\d)(?: ?%|[ -]?(?:{_NUMBER_WORDS}|{_UNITS})\b)*",
        rf"\b(?:{_NUMBER_WORDS})(?:[ -](?:{_NUMBER_WORDS}))*(?: (?:{_UNITS}))?\b",
        rf"第?[\d{_HAN}]*[{_HAN}][\d{_HAN}]*",
        flags=re.IGNORECASE,
    ),
    "person": _join_patterns(
        rf"(?:(?:{_CAPITALS}|[A-Z]\.) (?:(?:de|van|von|der|of|the|al|bin|la) )?){{1,4}}{_CAPITALS}|\b[A-Z][a-z]+\b",
        r"[\u4e00-\u9fff]{1,6}(?:·[\u4e00-\u9fff]{1,8})+",
    ),
    "place": _join_patterns(
        rf"\b(?:in|at|from|near|to) (?:the )?(?:{_CAPITALS},? ?)+|\b[A-Z][a-z]+\b",
        r"[\u4e00-\u9fff]{1,6}[省市县区镇乡村州国岛山河湖港路街站洲海峡府郡]",
    ),
    "reason": _join_patterns(
        r"\b(?:because|since|due to|so that|in order|as a result|therefore|reason|caused?|led to)\b",
        "因为|由于|因此|所以|为了|以便|因而|原因|导致",
        flags=re.IGNORECASE,
    ),
    "steps": _join_patterns(
        r"\b(?:by \w+ing|using|use|run|set|add|open|click|install|create|need to|must)\b|`[^`]+`",
        "通过|使用|利用|可以|需要|运行|添加|设置|打开|点击|安装",
        flags=re.IGNORECASE,
    ),
}

_MARKABLE: Final = frozenset[AnswerType]({"time", "number", "person"})
"""A few words of such a kind are the whole answer."""
_SHARE: Final = re.compile(r"percent|比例|百分|率")
_IS_SHARE: Final = re.compile(r"%|percent|百分之")
_NO_COUNT: Final = re.compile(r"(?:1\d{3}|20\d\d)年?|one|一[个位种]?", re.IGNORECASE)
_NAME: Final = re.compile(
    r"(?!(?:In|The|Some|Under|At|By|On|As|When|After|Before|Many|This|That|For|From|Of|It|Its|Their|His|Her)\b)"
    r"[A-Z][^ ]* [^ ]+"
)
_UNMARKABLE: Final = re.compile(
    r"`[^`\n]*`|!?\[[^\[\]\n]*\](?:\([^()\n]*\))?|(\*\*|__|~~|\*).+?\1|<[^<>\n]*>|https?://\S+|[|\\]"
)
"""Spans in which no emphasis may begin or end."""
_CLEARLY: Final = 0.6
_WORD: Final = re.compile(r"[^\W_]+")


def classify_question(question: str) -> AnswerType:
    """Return which kind of words answers a question."""
    text = question.lower()
    found = [(match.start(), kind) for kind, pattern in _ASKS.items() if (match := pattern.search(text))]
    return min(found)[1] if found else "other"


def strip_question_words(question: str) -> str:
    """Return a question without the words that say which kind of words answers it."""
    kind = classify_question(question)
    return _ASKS[kind].sub(" ", question.lower()) if kind in _ASKS else question


def find_answer_spans(kind: AnswerType, text: str, question: str) -> list[tuple[int, int]]:
    """Return where in a text words of this kind stand that the question does not say itself."""
    if kind not in _SPANS:
        return []
    lowered = question.lower()
    found = [(match.start(), match.start() + len(match[0].rstrip(" ,."))) for match in _SPANS[kind].finditer(text)]
    return [(start, end) for start, end in found if end > start and text[start:end].lower() not in lowered]


def find_decisive_span(kind: AnswerType, text: str, question: str) -> tuple[int, int] | None:
    """Return where the words that answer stand, None where that is not clear.

    Clear is: there are no others of their kind, or two of which one is much nearer to the words of the question.
    """
    if kind not in _MARKABLE:
        return None
    closed = [match.span() for match in _UNMARKABLE.finditer(text)]
    spans = [one for one in find_answer_spans(kind, text, question) if _may_answer(kind, text[slice(*one)], question)]
    if kind == "number":
        spans = [one for one in spans if not _NO_COUNT.fullmatch(text[slice(*one)])]
    if len(spans) == 2:  # noqa: PLR2004 - more are never clear
        near, far = sorted(spans, key=lambda one: _measure_distance(text, one, question))
        spans = (
            [near]
            if _measure_distance(text, near, question) < _CLEARLY * _measure_distance(text, far, question)
            else []
        )
    if len(spans) != 1 or any(start < spans[0][1] and spans[0][0] < end for start, end in closed):
        return None
    return spans[0]


def _may_answer(kind: AnswerType, words: str, question: str) -> bool:
    if kind == "person":
        return _NAME.match(words) is not None
    return not (kind == "number" and _SHARE.search(question.lower())) or _IS_SHARE.search(words) is not None


def _measure_distance(text: str, span: tuple[int, int], question: str) -> float:
    """Return how far, in characters, the words of the question stand from a span on average."""
    terms = frozenset(query_terms(question).split())
    places = [
        match.start()
        for match in _WORD.finditer(text)
        if not span[0] <= match.start() < span[1] and terms.intersection(index_terms(match[0]).split())
    ]
    return sum(min(abs(place - span[0]), abs(place - span[1])) for place in places) / max(1, len(places))
