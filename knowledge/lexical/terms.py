"""Make BM25 terms, separated by blanks, so that both stores find alike. Pure.

English words become Snowball stems. Chinese and Japanese become single characters and pairs. Korean, and scripts
without blanks (Thai, Lao, Khmer, Burmese), become pairs. Identifiers, numbers and file names stay whole *and* are
split: ``KVASIR_ENGINE_URL`` gives ``kvasir_engine_url kvasir engin url``, a path also its last two names, and
``v3.11.2`` also ``3_11_2``. A term has only letters, digits, marks and ``_``, so no store reads an operator in it.

A passage keeps all its terms. A question loses its function words (``what is the``), which find nothing and would make
the best passage seem incomplete.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator
from functools import lru_cache
from itertools import islice, pairwise
from typing import Final

VERSION: Final = 3
"""Increase it if the same text gets other terms. Every passage is then indexed again."""

MAX_INDEX_TERMS: Final = 20_000
"""Terms of one text. A chunk has some hundreds."""

MAX_QUERY_TERMS: Final = 256
"""Distinct terms of a question. A longer question keeps its first and last terms, which usually say what it asks."""

MAX_TERM_CHARACTERS: Final = 128
"""Characters of a word. Longer ones (a key, a blob) are cut, in questions and passages alike."""

_HAN_KANA = (
    "々〇\u3041-\u3096\u309d-\u309f\u30a1-\u30fa\u30fc-\u30ff\u31f0-\u31ff"
    "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
)
_HANGUL = "\u1100-\u11ff\u3130-\u318f\uac00-\ud7a3"
_UNSPACED = "\u0e01-\u0e3a\u0e40-\u0e4e\u0e81-\u0ece\u1000-\u1049\u1780-\u17d3"
_MARKS = (
    "\u0300-\u036f\u0483-\u0487\u0591-\u05bd\u05bf\u05c1-\u05c2\u0610-\u061a\u064b-\u065f\u0670\u06d6-\u06dc"
    "\u0900-\u0963\u0966-\u0df3\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff"
)
_SPACED = f"[^\\W_{_HAN_KANA}{_HANGUL}{_UNSPACED}]"
_LETTER = f"(?:{_SPACED}|[{_MARKS}])"

_TOKEN = re.compile(
    f"(?P<han>[{_HAN_KANA}]+)"
    f"|(?P<hangul>[{_HANGUL}]+)"
    f"|(?P<unspaced>[{_UNSPACED}]+)"
    f"|(?P<sharp>(?<!{_SPACED})[A-Za-z](?:\\+\\+|#)(?!{_SPACED}))"
    f"|(?P<word>{_LETTER}+(?:[_.,:@/\\\\'&=+-]{{1,2}}{_LETTER}+){{0,63}})"
)
_OUTER = re.compile(r"[:@/\\&=,]+")
"""Splits a path, an address or a list into names."""
_INNER = re.compile(r"[_.+-]+")
"""Splits a name into words."""
_VERSION_NAME = re.compile(r"[vV]\d++(?:[._-]\w++)++")
"""``v3.11.2``, which is also written 3.11.2."""
_THOUSANDS = re.compile(r"\d{1,3}(?:,\d{3})+(?:\.\d+)?")
_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])|(?<=[^\W\d_])(?=\d)|(?<=\d)(?=[^\W\d_])")
_APOSTROPHES = str.maketrans({"’": "'", "ʼ": "'"})
_ACCENTS = re.compile("([a-z])[\u0300-\u036f]+")
_NOT_A_TERM = re.compile(f"(?:[^\\w{_MARKS}{_UNSPACED}]|_)+")
_SENTENCE_WORDS = frozenset(
    """
    a an the and or but if then than as at by for from in into of on onto to with about
    am is are was were be been being do does did doing have has had having
    can could may might must shall should will would
    what which who whom whose when where why how many much whats dont doesnt cant
    i me my we us our you your he him his she her it its they them their
    this that these those there here any some please
    """.split()  # noqa: SIM905 - a list of a hundred strings is no easier to read
)
"""Function words exclude words that reverse a meaning or give a direction (not, no, without, before, off, out)."""
_CONTRACTED = re.compile(r"(?:'(?:s|re|ve|ll|d|m)|n't)$")
_CONTRACTED_STEMS = frozenset({"ca", "wo", "sha"})
"""Parts of can't, won't and shan't."""
_SENTENCE_CHARACTERS = frozenset("的了吗呢吧么嘛啊是在和与及或这那哪什怎谁有被把个为我你他她它们")
"""Chinese function words. Pairs with them stay, so 目的, 和平 and 因为 are still found."""
_KANA = re.compile("[\u3041-\u3096\u30a1-\u30fa]")
"""Identifies Japanese, in which 和 and 有 have another meaning."""
_QUOTES = frozenset("\"'`“”‘「」『』«»")
_OPENING = " \t\"'`“‘「『«(["
_LOOKED_BACK_CHARACTERS = 16
_STEM_CACHE_WORDS = 1 << 15
_MAX_QUERY_CHARACTERS = 100_000
_MAX_NAME_CHARACTERS = 2_048
"""Parts of a name that become terms."""


def index_terms(text: str) -> str:
    """Return the terms of a passage with repetitions, at most ``MAX_INDEX_TERMS``."""
    terms = (term for token in _TOKEN.finditer(_normalise_text(text)) for term in _split_match(token))
    return " ".join(islice(terms, MAX_INDEX_TERMS))


def query_terms(text: str) -> str:
    """Return the distinct terms of a question, at most ``MAX_QUERY_TERMS``.

    Function words are left out, unless there are no other words. A word in quotes, in capitals (``IT``, ``OR``) or
    capitalised within a sentence (``The Who``) is a name, not a function word.
    """
    if len(text) > _MAX_QUERY_CHARACTERS:
        text = f"{text[: _MAX_QUERY_CHARACTERS // 2]} {text[-_MAX_QUERY_CHARACTERS // 2 :]}"
    tokens = list(_TOKEN.finditer(_normalise_text(text)))
    content_terms = [
        term for token in _skip_sentence_words(tokens) for term in _split_match(token) if not _is_particle(term, token)
    ]
    distinct = list(dict.fromkeys(content_terms or (term for token in tokens for term in _split_match(token))))
    if len(distinct) > MAX_QUERY_TERMS:
        half = MAX_QUERY_TERMS // 2
        distinct = distinct[:half] + distinct[-half:]
    return " ".join(distinct)


def is_sentence_word(word: str) -> bool:
    """Return whether a word in lower case, or one Chinese character, is a function word."""
    return word in _SENTENCE_WORDS or word in _SENTENCE_CHARACTERS


def _normalise_text(text: str) -> str:
    return unicodedata.normalize("NFKC", text).translate(_APOSTROPHES)


def _skip_sentence_words(tokens: Iterable[re.Match[str]]) -> Iterator[re.Match[str]]:
    """Drop the function words."""
    after_one = False
    for token in tokens:
        only_sentence = _is_sentence_word(token, after_one=after_one)
        if not only_sentence:
            yield token
        after_one = only_sentence


def _is_sentence_word(token: re.Match[str], *, after_one: bool) -> bool:
    """Return whether a token is a function word; ``after_one`` separates ``do I`` from ``World War I``."""
    word = token.group()
    folded = word.lower()
    bare = _CONTRACTED.sub("", folded)
    if not (bare in _SENTENCE_WORDS or (bare in _CONTRACTED_STEMS and folded != bare)) or _is_quoted(token):
        return False
    if word == folded:
        return True
    capitalised = word == folded.capitalize()
    return capitalised and (_begins_sentence(token) or (bare == "i" and after_one))


def _is_quoted(token: re.Match[str]) -> bool:
    text, start, end = token.string, token.start(), token.end()
    return text[max(0, start - 1) : start] in _QUOTES and text[end : end + 1] in _QUOTES


def _begins_sentence(token: re.Match[str]) -> bool:
    before = token.string[max(0, token.start() - _LOOKED_BACK_CHARACTERS) : token.start()].rstrip(_OPENING)
    return not before or not (before[-1].isalnum() or before[-1] == ",")


def _is_particle(term: str, token: re.Match[str]) -> bool:
    return term in _SENTENCE_CHARACTERS and term != token.group() and not _KANA.search(token.group())


def _split_match(match: re.Match[str]) -> Iterator[str]:
    token = match.group()
    match match.lastgroup:
        case "han":
            yield from token
            yield from map("".join, pairwise(token))
        case "hangul":
            yield from _split_korean_word(token)
        case "unspaced":
            yield from _split_bigrams(token)
        case "sharp":
            yield from (f"{token[0].lower()}_{'sharp' if token[1] == '#' else 'plus'}", token[0].lower())
        case _:
            yield from _split_identifier(token)


def _split_bigrams(token: str) -> Iterator[str]:
    return map("".join, pairwise(token)) if len(token) > 1 else iter(token)


def _split_korean_word(word: str) -> Iterator[str]:
    """Korean words end in particles: the pairs find the stem, and the whole word finds itself."""
    if len(word) != 2:  # noqa: PLR2004 - a word of two is its own pair
        yield word[:MAX_TERM_CHARACTERS]
    if len(word) > 1:
        yield from _split_bigrams(word)


def _split_identifier(token: str) -> Iterator[str]:
    if _THOUSANDS.fullmatch(token):
        yield from _split_name(token.replace(",", ""))
        return
    names = [name for name in _OUTER.split(token) if name]
    if len(names) > 1 and "," not in token:
        yield from _normalise_identifier(token)
        if len(names) > 2:  # noqa: PLR2004 - a path is also named by its end: conf/config.yaml
            yield from _normalise_identifier("/".join(names[-2:]))
    for name in names:
        yield from _split_name(name)


def _split_name(name: str) -> Iterator[str]:
    name = name[:_MAX_NAME_CHARACTERS]
    words = [word for part in _INNER.split(name) for word in _CAMEL.split(part) if word]
    if len(words) < 2:  # noqa: PLR2004 - one word is no identifier
        yield from _stem_word(name)
        return
    if _VERSION_NAME.fullmatch(name):
        yield from _normalise_identifier(name[1:])
    # Without capitals, a name of letters is one word, so both forms get the same stem.
    yield from _normalise_identifier(name) if _INNER.search(name) else _stem_word(name)
    for word in words:
        if len(word) > 1 or word.isdigit():
            yield from _stem_word(word)


def _normalise_identifier(token: str) -> Iterator[str]:
    """Return an identifier in one spelling for all of its variants."""
    joined = _NOT_A_TERM.sub("_", _fold_word(token)).strip("_")
    if joined:
        yield joined[:MAX_TERM_CHARACTERS]


def _stem_word(word: str) -> Iterator[str]:
    folded = _fold_word(word[: 2 * MAX_TERM_CHARACTERS])
    stemmed = stem(folded) if folded.isascii() else folded
    yield from _normalise_identifier(stemmed.replace("'", ""))


def _fold_word(token: str) -> str:
    """Return the text in lower case, without accents on Latin letters."""
    lowered = token.casefold()
    if lowered.isascii():
        return lowered
    return unicodedata.normalize("NFC", _ACCENTS.sub(r"\1", unicodedata.normalize("NFD", lowered)))


@lru_cache(maxsize=_STEM_CACHE_WORDS)
def stem(word: str) -> str:
    """Return an English word's stem; other words as they are."""
    from snowballstemmer.english_stemmer import EnglishStemmer  # noqa: PLC0415 - slow, and many commands stem nothing

    # A stemmer stores the current word, so each call makes its own, which is cheap and thread-safe.
    return str(EnglishStemmer().stemWord(word))
