"""Names and past years of a question that no passage mentions: the documents say nothing about them. Pure.

The constants were chosen on the questions about an API gateway that the search lets through. A name is reported for 15
of the 46 that have no answer, and for none of the 143 that have one. docs/benchmarks.md has two other sets.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from difflib import get_close_matches
from typing import Final

from bot.answering.support.claims import extract_claims
from bot.answering.support.features import is_abbreviation
from bot.answering.support.quantities import normalise_text
from knowledge.interfaces import Hit
from knowledge.language import is_cjk

_SURE: Final = 0.75
"""From this confidence on, a passage may answer although it lacks a name: "I am Max from Sales, how do I …"."""
_YEAR: Final = re.compile(r"(?<![\d.,])(?:1[0-9]|20)[0-9]{2}(?!\d)")
_CAPITALISED_WORD: Final = re.compile(r"[A-Z][a-z]+")
_WORD: Final = re.compile(r"[a-z0-9]+")
_SHORT: Final = 4
"""Letters of a name that must be found as it is; a longer one may have another ending of up to three letters."""
_CLOSE: Final = 0.87
"""``difflib``'s likeness of a name to its misspelt form."""


def find_unmentioned(question: str, hits: Sequence[Hit], this_year: int) -> list[str]:
    """Return the names and past years of a question that no hit has in any form, as the question writes them."""
    if not hits or max(hit.confidence for hit in hits[:2]) >= _SURE:
        return []
    text = normalise_text("\n".join(f"{hit.document} {hit.title} {hit.heading} {hit.text}" for hit in hits))
    words = frozenset(_WORD.findall(text))
    # Another language may have its own form of a capitalised word (London, 伦敦), but not of an acronym.
    translated = not is_cjk(question) and is_cjk(hits[0].text)
    claims = extract_claims(unicodedata.normalize("NFKC", question))  # as the passages are
    names = [
        spelling
        for name in claims.names | claims.identifiers
        if _is_proper(spelling := _find_spelling(name, question))
        and not (translated and _CAPITALISED_WORD.fullmatch(spelling))
        and not _mentions_name(text, words, name)
    ]
    years = [year for year in _YEAR.findall(question) if int(year) < this_year - 1 and year not in text]
    return _join_adjacent(sorted(names, key=question.find), question) + years


def _join_adjacent(names: Sequence[str], question: str) -> list[str]:
    """Return names of several words, such as "Sistine Chapel", as one name each."""
    whole_names: list[str] = []
    for name in names:
        whole = f"{whole_names[-1]} {name}" if whole_names else ""
        if whole and whole in question:
            whole_names[-1] = whole
        else:
            whole_names.append(name)
    return whole_names


def _find_spelling(name: str, question: str) -> str:
    found = re.search(re.escape(name), question, re.IGNORECASE)
    return found[0] if found else ""


def _is_proper(spelling: str) -> bool:
    """Return whether a name is more than a word of another language in the question."""
    return len(spelling) >= 3 and spelling.isascii() and any(map(str.isupper, spelling))  # noqa: PLR2004 - TV is television


def _mentions_name(text: str, words: frozenset[str], name: str) -> bool:
    """Return whether a text has a name, its parts, words with its initials, another form or a misspelling of it."""
    if set(_WORD.findall(name)) <= words or is_abbreviation(name, text):
        return True
    stem = name[: max(_SHORT, len(name) - 3)]
    if any(word.startswith(stem) for word in words):
        return True
    if len(name) <= _SHORT:
        return name[:-1] in words
    whole = re.sub(r"[\W_]+", "", name) in re.sub(r"[\W_]+", "", text)
    return whole or bool(get_close_matches(name, words, 1, _CLOSE))
