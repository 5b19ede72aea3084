"""What a text claims that can be compared word for word: content words, numbers, names, polarity. Pure."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from functools import cache, cached_property, lru_cache
from importlib import resources

from bot.answering.support.quantities import Mention, find_numbers, normalise_text
from bot.languages.registry import Language, choose_language
from knowledge.lexical.terms import stem

_HERE = resources.files("bot.answering.support")


@cache
def _stop_words() -> tuple[frozenset[str], re.Pattern[str]]:
    """Return the English ones, and a pattern for a run of Chinese ones."""
    lines = _HERE.joinpath("stopwords.txt").read_text("utf-8").splitlines()
    words = " ".join(line for line in lines if not line.startswith("#")).split()
    chinese = sorted((word for word in words if not word.isascii()), key=len, reverse=True)
    return frozenset(word for word in words if word.isascii()), re.compile(f"(?:{'|'.join(chinese)})+")


_ZH_RUN = re.compile(r"[㐀-䶿一-鿿]+")
_WORD = re.compile(r"[a-zà-ÿ][a-zà-ÿ']*")
_CODE = re.compile(r"`([^`\n]+)`")
_QUOTED = re.compile(r"[“「『\"]([^“”「」『』\"\n]{1,24})[”」』\"]")
_TOKEN = re.compile(r"[A-Za-z0-9][A-Za-z0-9_./:@#+=\\~-]*[A-Za-z0-9_/=]|[A-Za-z0-9]")
_CAPITAL = re.compile(r"(?<=[a-z,0-9] )[A-Z][a-z]+\b|(?<=; )[A-Z][a-z]+\b(?![^;:.]{0,80}: )")
"""A capitalised word inside a sentence, but not the name of a column in a row: "Kind: hotel; Limit: 120 euros"."""
_CALENDAR = re.compile(
    r"(?:january|february|march|april|may|june|july|august|september|october|november|december"
    r"|(?:mon|tues|wednes|thurs|fri|satur|sun)days?)"
)
_WORD_AND_FIGURE = re.compile(r"[A-Za-z][a-z]+-\d+[a-z]{0,2}")
_UNIT_TAIL = re.compile(
    r"\d[\d.,]*-[a-z]+|\d[\d.,]*(?:st|nd|rd|th|[a-z]{1,5})?(?:-\d[\d.,]*[a-z]{0,5})?|\d+(?::\d\d)?(?:-\d+(?::\d\d)?)?"
)

_BOUND_PHRASES = re.compile(
    r"\b(?:(?:not|no|never) (?:more|less|later|fewer|earlier|longer) than|not only|"
    r"(?:must|may|can|should|does|do|shall) ?not (?:exceed|be (?:more|less|lower|higher|older|younger) than))\b|"
    r"不(?:少|低|小|多|高|大)于|不[得能准可允许]*(?:超过|低于|少于|高于|多于)|不仅|不同|不过|不足|不满|未满|不到|不管|不论|"
    r"无论|未来|非常|不断|不久"
)
_NEGATION = re.compile(
    r"\b(?:(?:not|no(?! later)|never|without|cannot|neither|nor|nobody|none|nothing|forbidden|instead of|rather than|"
    r"switch(?:ed)? off|disabled?|free(?: of charge)?|waived|except)\b|prohibit|exclud|refus|reject|suspend)|n't\b|"
    r"不|没有|没|无(?=需|须|法|权|人|理)|未(?!来|满|必|免)|勿|禁止|严禁|拒绝|除外|而非|停用|禁用|暂停|免费|免除"
)
_IMPLICIT = re.compile(
    r"\b(?:un(?!i[a-z]|der|til|less|ion)[a-z]{3,}|in(?:complete|valid|correct|active|abilit|sufficient|accessib|eligib)"
    r"|impossib|non-?[a-z]|dis(?:allow|continu|agree|approv)|fail|lack|unless|only|few|little|hardly|rarely|barely|stop|"
    r"avoid|prevent|den(?:y|ie[sd])|remov|exempt|despite|longer|least|los[set]|miss|absen|ban(?:ned|s)?\b|block|declin|"
    r"contrary|false|different|zero)|[没无未非勿禁免停缺误反只仅除]|避免|取消|失败|损失"
)
"""What can be said with a negation as well: incomplete, "fails to", 缺少."""
_NEGATION_SCOPE = re.compile(rf"(?:{_NEGATION.pattern})\s?(?:[^\s,;:，；：。、.!?]+ ?){{0,5}}")


class Claims:
    """The claims of a text, each computed on first use: most of a long passage is never needed."""

    def __init__(self, source: str) -> None:
        self.source = source

    @cached_property
    def text(self) -> str:
        """Return the text as ``normalise_text`` makes it, for looking up what it holds literally."""
        return normalise_text(self.source)

    @cached_property
    def language(self) -> Language:
        """Return its language."""
        return choose_language(self.source)

    @cached_property
    def all_words(self) -> frozenset[str]:
        """Return its content words, those of names and numbers among them."""
        return content_words(self.text)

    @cached_property
    def numbers(self) -> tuple[Mention, ...]:
        """Return the numbers that it states."""
        return find_numbers(self._masked_text, self.text)

    @cached_property
    def figures(self) -> tuple[Mention, ...]:
        """Return the numbers that are figures by themselves, without "a month"."""
        return tuple(number for number in self.numbers if not number.each)

    @property
    def identifiers(self) -> frozenset[str]:
        """Return what must be found letter for letter: code, versions, addresses."""
        return self._find_names[0]

    @property
    def names(self) -> frozenset[str]:
        """Return names without figures in them (a brand, an acronym, something quoted), which may be translated."""
        return self._find_names[1]

    @cached_property
    def literals(self) -> frozenset[str]:
        """Return its identifiers and names."""
        return self.identifiers | self.names

    @cached_property
    def words(self) -> frozenset[str]:
        """Return the English stems and Chinese bigrams that carry meaning."""
        return content_words(self._wordy)

    @cached_property
    def negations(self) -> int:
        """Return how many negations it has."""
        return len(_NEGATION.findall(strip_bounds(self._masked_text)))

    @property
    def is_negated(self) -> bool:
        """Return whether it denies anything."""
        return self.negations > 0

    @property
    def may_deny(self) -> bool:
        """Return whether it denies anything, if only by a word such as "incomplete"."""
        return self.is_negated or _IMPLICIT.search(self._masked_text) is not None

    @cached_property
    def polarity(self) -> tuple[frozenset[str], frozenset[str]]:
        """Return those of ``words`` right behind a negation, and those that stand elsewhere; a word may be both."""
        text = " ".join(strip_bounds(self._wordy).split())  # names and numbers are blanked out
        denied = " , ".join(match[0] for match in _NEGATION_SCOPE.finditer(text))
        return content_words(denied), content_words(_NEGATION_SCOPE.sub(" , ", text))

    @cached_property
    def _find_names(self) -> tuple[frozenset[str], frozenset[str]]:
        return _find_identifiers_and_names(self.source)

    @cached_property
    def _masked_text(self) -> str:
        return _mask_names(self.text, self.literals)

    @cached_property
    def _wordy(self) -> str:
        """The text with names and numbers blanked out."""
        return _blank_numbers(self._masked_text, self.numbers)

    def holds_name(self, name: str) -> bool:
        """Return whether the text has a name as a word of its own (``http`` is not in ``https``)."""
        return name in self.text and _compile_name(name).search(self.text) is not None


@lru_cache(maxsize=4096)
def extract_claims(text: str) -> Claims:
    """Return a text's claims; cached, since passages are compared with many sentences."""
    return Claims(text)


@lru_cache(maxsize=1024)
def _compile_name(name: str) -> re.Pattern[str]:
    """Return a pattern of a name that is no part of a Latin word."""
    before, after = (r"[a-z0-9]" if edge.isascii() and edge.isalnum() else r"\0" for edge in (name[0], name[-1]))
    return re.compile(rf"(?<!{before}){re.escape(name)}(?!{after})")


def _find_identifiers_and_names(text: str) -> tuple[frozenset[str], frozenset[str]]:
    """Return the identifiers and the names of a text (see ``Claims``)."""
    spans = _CODE.findall(text)
    plain = _CODE.sub(" ", text)
    chinese = bool(_ZH_RUN.search(plain))
    tokens = _TOKEN.findall(plain)
    codes = {token for token in tokens if _is_code(token)}
    names = {token for token in tokens if token not in codes and _is_name(token, in_chinese=chinese)}
    names |= set(_QUOTED.findall(plain)) | _inner_capitals(plain)
    return _fold_names((*spans, *codes)), _fold_names(names)


def _fold_names(found: Iterable[str]) -> frozenset[str]:
    return frozenset(normalise_text(name).strip(".:/ ") for name in found) - {""}


def _is_code(token: str) -> bool:
    if token.isalpha() or _UNIT_TAIL.fullmatch(token.lower()):
        return False
    if not any(char.isalpha() for char in token):
        return token.count(".") > 1  # a version or an address; other figures are quantities
    return any(char.isdigit() or char in "_./:@#=\\" for char in token) and not _WORD_AND_FIGURE.fullmatch(token)


def _is_name(token: str, *, in_chinese: bool) -> bool:
    if not token.isalpha() and "-" not in token:
        return False
    return len(token) > 1 if in_chinese else not token.islower() and sum(map(str.isupper, token)) > 1


def _inner_capitals(text: str) -> frozenset[str]:
    """Return words with a capital inside a sentence: in English, a name, unless the word is only grammar ("These")."""
    found = (word for word in _CAPITAL.findall(text) if not _CALENDAR.fullmatch(word.lower()))
    return frozenset(word for word in found if carries_meaning(word.lower()))


@lru_cache(maxsize=512)
def content_words(text: str) -> frozenset[str]:
    """Return English stems and Chinese bigrams, without words that carry no meaning of their own."""
    stop, chinese_stop = _stop_words()
    english = {stem(word) for word in _WORD.findall(text) if word not in stop and len(word) > 1}
    chinese = {run[i : i + 2] for run in _ZH_RUN.findall(text) for i in range(max(1, len(run) - 1))}
    return frozenset(english | {bigram for bigram in chinese if not chinese_stop.fullmatch(bigram)})


def carries_meaning(token: str) -> bool:
    """Return whether a word, or a Chinese character, is more than grammar; figures are compared as quantities."""
    stop, chinese_stop = _stop_words()
    return token not in stop and not token[0].isdigit() and not chinese_stop.fullmatch(token)


def _mask_names(folded: str, names: Collection[str]) -> str:
    """Blank out names, so that their letters and digits are not read as words and numbers."""
    if not names:
        return folded
    longest_first = "|".join(map(re.escape, sorted(names, key=len, reverse=True)))
    return re.sub(rf"(?<![a-z0-9])(?:{longest_first})(?![a-z0-9])", lambda name: " " * len(name[0]), folded)


def _blank_numbers(text: str, numbers: Iterable[Mention]) -> str:
    """Blank out numbers with their units, which are compared by value."""
    parts: list[str] = []
    cursor = 0
    for number in numbers:
        parts += text[cursor : number.start], " " * (number.end - number.start)
        cursor = max(cursor, number.end)
    return "".join((*parts, text[cursor:]))


def strip_bounds(text: str) -> str:
    """Return a text without phrases that deny nothing: "not more than", 不少于."""
    return _BOUND_PHRASES.sub(" ", text)
