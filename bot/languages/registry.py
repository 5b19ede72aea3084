"""The languages in which Kvasir writes, and which of them a text is in. Pure."""

from __future__ import annotations

import re

from bot.languages.chinese import CHINESE
from bot.languages.english import ENGLISH
from bot.languages.pack import LanguagePack
from knowledge.language import LETTER

Language = str

LANGUAGES = {pack.code: pack for pack in (ENGLISH, CHINESE)}
"""The languages by their code, in the order in which a text for everybody has them."""
_NOISE = re.compile(r"```.*?(?:```|$)|`[^`\n]*`|https?://\S+|<[@#!][^<>\n]*>", re.DOTALL)


def find_pack(language: Language | None) -> LanguagePack:
    """Return what a language needs; that of English for a language that Kvasir does not write."""
    return LANGUAGES.get(language or "", ENGLISH)


def choose_language(text: str) -> Language:
    """Return the language in which Kvasir answers a text: English for a text in none of its languages."""
    return detect_language(text) or ENGLISH.code


def detect_language(text: str) -> Language | None:
    """Return the language of a text without its code and links; None for none of Kvasir's.

    The last language is asked first, because English takes every text in Latin letters.
    """
    prose = _NOISE.sub(" ", text)
    prose = prose if LETTER.search(prose) else text
    return next((pack.code for pack in reversed(LANGUAGES.values()) if pack.detect(prose)), None)
