"""What a text claims that can be compared word for word: content words, identifiers, rates, polarity, scope.

English and Chinese share one set of names here, so that "before" meets 之前 and "not" meets 不得.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib import resources

import snowballstemmer

from bot.answering.verification.quantities import Mention, mentions, normal

_HERE = resources.files("bot.answering.verification")


@cache
def _stop_words() -> tuple[frozenset[str], re.Pattern[str]]:
    """Return the English ones, and a pattern for a run of Chinese ones."""
    lines = _HERE.joinpath("stopwords.txt").read_text("utf-8").splitlines()
    words = " ".join(line for line in lines if not line.startswith("#")).split()
    chinese = sorted((word for word in words if not word.isascii()), key=len, reverse=True)
    return frozenset(word for word in words if word.isascii()), re.compile(f"(?:{'|'.join(chinese)})+")


@cache
def _side_patterns() -> tuple[tuple[str, re.Pattern[str], re.Pattern[str]], ...]:
    """Return the scales of ``sides.txt`` with a pattern for each side."""
    lines = [line for line in _HERE.joinpath("sides.txt").read_text("utf-8").splitlines() if line[:1] != "#"]
    either = [re.compile("|".join(line.split()[1:])) for line in lines if line.startswith("  ")]
    names = [line for line in lines if not line.startswith("  ")]
    return tuple(zip(names, either[::2], either[1::2], strict=True))


_ZH_RUN = re.compile(r"[㐀-䶿一-鿿]+")
_WORD = re.compile(r"[a-zà-ÿ][a-zà-ÿ']*")
_SEQUENCE = re.compile(r"[a-z0-9][a-z0-9_./'-]*")
_CODE = re.compile(r"`([^`\n]+)`")
_QUOTED = re.compile(r"[“「『\"]([^“”「」『』\"\n]{1,24})[”」』\"]")
_TOKEN = re.compile(r"[A-Za-z0-9][A-Za-z0-9_./:@#+=\\~-]*[A-Za-z0-9_/=]|[A-Za-z0-9]")
_CAPITAL = re.compile(r"(?<=[a-z,;0-9] )[A-Z][a-z]+\b")
_CALENDAR = re.compile(
    r"(?:january|february|march|april|may|june|july|august|september|october|november|december"
    r"|(?:mon|tues|wednes|thurs|fri|satur|sun)days?)"
)
_WORD_AND_FIGURE = re.compile(r"[A-Za-z][a-z]+-\d+[a-z]{0,2}")
_UNIT_TAIL = re.compile(
    r"\d[\d.,]*-[a-z]+|\d[\d.,]*(?:st|nd|rd|th|[a-z]{1,5})?(?:-\d[\d.,]*[a-z]{0,5})?|\d+(?::\d\d)?(?:-\d+(?::\d\d)?)?"
)


_BOUND_PHRASES = re.compile(
    r"\b(?:not|no|never) (?:more|less|later|fewer|earlier|longer) than\b|\bnot only\b|"
    r"\b(?:must|may|can|should|does|do|shall) ?not (?:exceed|be (?:more|less|lower|higher|older|younger) than)\b|"
    r"不(?:少|低|小|多|高|大)于|不[得能准可允许]*(?:超过|低于|少于|高于|多于)|不仅|不同|不过|不足|不满|未满|不到|不管|不论|"
    r"无论|未来|非常|不断|不久"
)
_NEGATION = re.compile(
    r"\bnot\b|n't\b|\bno\b(?! later)|\bnever\b|\bwithout\b|\bcannot\b|\bneither\b|\bnor\b|\bnobody\b|\bnone\b|"
    r"\bnothing\b|\bforbidden\b|\bprohibit|\bexclud|\brefus|\breject|\binstead of\b|\brather than\b|"
    r"\bswitch(?:ed)? off\b|\bdisabled?\b|\bsuspend|\bfree(?: of charge)?\b|\bwaived\b|\bexcept\b|"
    r"不|没有|没|无(?=需|须|法|权|人|理)|未(?!来|满|必|免)|勿|禁止|严禁|拒绝|除外|而非|停用|禁用|暂停|免费|免除"
)
_NEGATION_SCOPE = re.compile(rf"(?:{_NEGATION.pattern})\s?(?:[^\s,;:，；：。、.!?]+ ?){{0,5}}")
_SCOPE = re.compile(
    r"\ball\b|\balways\b|\bonly(?: one)?\b|\breserved (?:to|for)\b|\bexclusively\b|\bsolely\b|"
    r"\bany(?:thing|where|time)?\b(?! longer| more)|\bentire\b|\bworldwide\b|"
    r"\beverywhere\b|\bautomatically\b|\bwhenever\b|\bat any time\b|\bimmediately\b|\bat once\b|\ba single\b|"
    r"所有|全部|任何|一律|随时|总是|始终|仅|只有|只能|限(?=[一二两三\d于])|自动|立即|马上|单独|唯一"
)
_SCOPE_NAMES: Mapping[str, tuple[str, ...]] = {
    "only": ("only", "reserved to", "reserved for", "exclusively", "solely", "仅", "只有", "只能", "限"),
    "any time": ("anytime", "at any time", "whenever", "随时"),
    "automatic": ("automatically", "自动"),
    "at once": ("immediately", "at once", "立即", "马上"),
    "single": ("a single", "only one", "单独", "唯一"),
}
_SCOPE_OF = {word: name for name, words in _SCOPE_NAMES.items() for word in words}

_RATE = re.compile(
    r"(?:\bper|\beach|\bevery|/) ?(second|minute|hour|day|night|week|month|quarter|year)s?\b"
    r"|\b(daily|nightly|weekly|monthly|quarterly|yearly|annual(?:ly)?|hourly)\b"
    r"|每(?:个)?(秒|分钟|小时|天|日|晚|周|星期|月|季度|年)"
)
_LOOSE_RATE = re.compile(r"\ban? (second|minute|hour|day|night|week|month|quarter|year)\b")
_RATE_NAMES = {
    "daily": "day", "nightly": "night", "weekly": "week", "monthly": "month", "quarterly": "quarter", "yearly": "year",
    "annual": "year", "annually": "year", "hourly": "hour", "秒": "second", "分钟": "minute", "小时": "hour",
    "天": "day", "日": "day", "晚": "night", "周": "week", "星期": "week", "月": "month", "季度": "quarter",
    "年": "year",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Claims:
    """A text, taken apart."""

    words: frozenset[str]
    """English stems and Chinese bigrams that carry meaning."""
    numbers: tuple[Mention, ...]
    identifiers: frozenset[str]
    """What must be found letter for letter: code, versions, addresses."""
    names: frozenset[str]
    """Names without figures in them (a brand, an acronym, something quoted), which may be translated."""
    rates: frozenset[str]
    """Per what: "per minute", 每天."""
    loose_rates: frozenset[str]
    """Per what perhaps: "a minute"."""
    negations: int
    denied: frozenset[str]
    """Those of ``words`` that stand right behind a negation."""
    affirmed: frozenset[str]
    """Those of ``words`` that stand elsewhere; a word may be both."""
    sides: frozenset[tuple[str, int]]
    """Which side of which scale is spoken of (``("order", 0)``: before); both may be."""
    scope: frozenset[str]
    text: str
    """The text as ``normal`` makes it, for looking up what it holds literally."""
    bare: str
    """``text`` with names and numbers blanked out."""

    def holds(self, name: str) -> bool:
        """Tell whether the text has a name as a word of its own (``http`` is not in ``https``)."""
        start = self.text.find(name)
        while start != -1:
            before, after = self.text[start - 1 : start], self.text[start + len(name) : start + len(name) + 1]
            if not (_joins(before, name[:1]) or _joins(name[-1:], after)):
                return True
            start = self.text.find(name, start + 1)
        return False


@lru_cache(maxsize=4096)
def claims(text: str) -> Claims:
    """Take a text apart; cached, since passages are compared with many sentences."""
    folded = normal(text)
    identifiers, names = _named(text)
    masked = _mask(folded, (*identifiers, *names))
    numbers = mentions(masked)
    wordy = _blank(masked, numbers)
    denied, affirmed = _polarity(_BOUND_PHRASES.sub(" ", wordy))
    return Claims(
        words=content_words(wordy),
        numbers=numbers,
        identifiers=identifiers,
        names=names,
        rates=frozenset(_rates(masked)),
        loose_rates=frozenset(_LOOSE_RATE.findall(masked)),
        negations=len(_NEGATION.findall(_BOUND_PHRASES.sub(" ", masked))),
        denied=denied,
        affirmed=affirmed,
        sides=_sides(masked),
        scope=frozenset(_SCOPE_OF.get(found, "all") for found in _SCOPE.findall(masked)),
        text=folded,
        bare=wordy,
    )


def _joins(left: str, right: str) -> bool:
    """Tell whether two neighbouring characters are of one Latin word."""
    return bool(left and right) and left.isascii() and right.isascii() and left.isalnum() and right.isalnum()


def _named(text: str) -> tuple[frozenset[str], frozenset[str]]:
    """Return the identifiers and the names of a text (see ``Claims``)."""
    spans = _CODE.findall(text)
    plain = _CODE.sub(" ", text)
    chinese = bool(_ZH_RUN.search(plain))
    tokens = _TOKEN.findall(plain)
    codes = {token for token in tokens if _is_code(token)}
    names = {token for token in tokens if token not in codes and _is_name(token, in_chinese=chinese)}
    names |= set(_QUOTED.findall(plain)) | _inner_capitals(plain)
    return _folded((*spans, *codes)), _folded(names)


def _folded(found: Iterable[str]) -> frozenset[str]:
    return frozenset(normal(name).strip(".:/ ") for name in found) - {""}


def _is_code(token: str) -> bool:
    if _UNIT_TAIL.fullmatch(token.lower()):
        return False
    if not any(char.isalpha() for char in token):
        return token.count(".") > 1  # a version or an address; other figures are quantities
    return any(char.isdigit() or char in "_./:@#=\\" for char in token) and not _WORD_AND_FIGURE.fullmatch(token)


def _is_name(token: str, *, in_chinese: bool) -> bool:
    if not token.isalpha() and "-" not in token:
        return False
    return len(token) > 1 if in_chinese else sum(char.isupper() for char in token) > 1


def _inner_capitals(text: str) -> frozenset[str]:
    """Return words with a capital inside a sentence: in English, a name."""
    return frozenset(word for word in _CAPITAL.findall(text) if not _CALENDAR.fullmatch(word.lower()))


def content_words(text: str) -> frozenset[str]:
    """Return English stems and Chinese bigrams, without words that carry no meaning of their own."""
    stop, chinese_stop = _stop_words()
    english = {stem(word) for word in _WORD.findall(text) if word not in stop and len(word) > 1}
    chinese = {run[i : i + 2] for run in _ZH_RUN.findall(text) for i in range(max(1, len(run) - 1))}
    return frozenset(english | {bigram for bigram in chinese if not chinese_stop.fullmatch(bigram)})


def carries_meaning(token: str) -> bool:
    """Tell whether a word, or a Chinese character, is more than grammar; figures are compared as quantities."""
    stop, chinese_stop = _stop_words()
    return token not in stop and not token[0].isdigit() and not chinese_stop.fullmatch(token)


@lru_cache(maxsize=4096)
def content_sequence(text: str) -> tuple[str, ...]:
    """Return the words that carry meaning, numbers and names among them, in order."""
    stop, chinese_stop = _stop_words()
    folded = normal(text)
    tokens = (token.rstrip("./'-") for token in _SEQUENCE.findall(folded))
    latin = [stem(token) for token in tokens if token not in stop]
    bigrams = [run[i : i + 2] for run in _ZH_RUN.findall(folded) for i in range(len(run) - 1)]
    return (*latin, *(bigram for bigram in bigrams if not chinese_stop.fullmatch(bigram)))


@lru_cache(maxsize=16384)
def stem(word: str) -> str:
    """Return an English word's stem; other words as they are."""
    return str(_STEMMER.stemWord(word))


_STEMMER = snowballstemmer.stemmer("english")


def _mask(folded: str, names: Iterable[str]) -> str:
    """Blank out names, so that their letters and digits are not read as words and numbers."""
    for name in sorted(names, key=len, reverse=True):
        whole = rf"(?<![a-z0-9]){re.escape(name)}(?![a-z0-9])"
        folded = re.sub(whole, " " * len(name), folded)
    return folded


def _blank(text: str, numbers: Iterable[Mention]) -> str:
    """Blank out numbers with their units, which are compared by value."""
    for number in numbers:
        text = text[: number.start] + " " * (number.end - number.start) + text[number.end :]
    return text


def _polarity(text: str) -> tuple[frozenset[str], frozenset[str]]:
    """Return the content words behind negations, and those that are not."""
    denied, rest, cursor = [], [], 0
    for match in _NEGATION_SCOPE.finditer(text):
        rest.append(text[cursor : match.start()])
        denied.append(match[0])
        cursor = match.end()
    rest.append(text[cursor:])
    return content_words(" , ".join(denied)), content_words(" , ".join(rest))


def _rates(text: str) -> Iterable[str]:
    for match in _RATE.finditer(text):
        found = match[1] or match[2] or match[3]
        yield _RATE_NAMES.get(found, found)


def _sides(text: str) -> frozenset[tuple[str, int]]:
    found = set()
    for name, one, other in _side_patterns():
        rest = other.sub(" ", text)
        if len(rest) != len(text) or rest != text:
            found.add((name, 1))
        if one.search(rest):
            found.add((name, 0))
    return frozenset(found)
