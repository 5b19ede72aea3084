"""Which language a text is in: for the texts that Kvasir writes, and for how passages are compared. Pure."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Literal

Language = Literal["en", "zh"]
"""A language that Kvasir writes. "en" means every text in Latin letters."""

_NOISE = re.compile(r"```.*?(?:```|$)|`[^`\n]*`|https?://\S+|<[@#!][^<>\n]*>", re.DOTALL)
IDEOGRAPH = re.compile(r"[㐀-䶿一-鿿]")
_KANA_HANGUL = re.compile(r"[぀-ヿ가-힣]")
_LATIN_WORD = re.compile(r"[A-Za-zÀ-ɏ]+(?:['’][A-Za-z]+)*")
_CJK = re.compile("[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7a3\uf900-\ufaff]")
_KANA = re.compile("[\u3041-\u3096\u30a1-\u30fa]")
_HANGUL = re.compile("[\uac00-\ud7a3]")
_LETTER = re.compile(r"[^\W\d_]")
_ENGLISH_GRAMMAR = re.compile(
    r"\b(?:what|how|why|when|where|which|who|the|is|are|do|does|can|should|please|in|of|to|for|and|mean|means)\b",
    re.IGNORECASE,
)
_CHINESE_GRAMMAR = re.compile(r"[的吗呢么吧是在了和与请哪谁几]|什么|怎么|怎样|如何|多少|为什么|可以|需要")

_IDEOGRAPHS_A_WORD = 1.6
"""Chinese words in running text are a little longer than one character and a half."""
_READ_CHARACTERS = 1000


def choose_language(text: str) -> Language:
    """Return the language in which Kvasir answers a text: Chinese for Chinese, English for every other."""
    return detect_language(text) or "en"


def detect_language(text: str) -> Language | None:
    """Return the language of a text by the share of its scripts, without code and links; None for another script.

    The grammar decides for a text of both scripts ("what does 年假 mean" is English, "VPN 怎么连" is Chinese).
    If it does not decide, the number of words does.
    """
    prose = _NOISE.sub(" ", text)
    prose = prose if _LETTER.search(prose) else text
    ideographs = len(IDEOGRAPH.findall(prose))
    latin = len(_LATIN_WORD.findall(prose))
    if len(_KANA_HANGUL.findall(prose)) > latin or not (ideographs or latin):
        return None
    if ideographs and latin:
        return _detect_in_mixed(prose, ideographs, latin)
    return "zh" if ideographs else "en"


def _detect_in_mixed(prose: str, ideographs: int, latin: int) -> Language:
    english, chinese = len(_ENGLISH_GRAMMAR.findall(prose)), len(_CHINESE_GRAMMAR.findall(prose))
    if bool(english) != bool(chinese) and max(english, chinese) > 1:
        return "en" if english else "zh"
    if chinese and not english:
        return "zh"
    return "zh" if ideographs / _IDEOGRAPHS_A_WORD >= latin else "en"


@lru_cache(maxsize=4096)
def is_cjk(text: str) -> bool:
    """Return whether a text is written in Chinese, Japanese or Korean, as the search compares passages and questions.

    A fifth of its letters is enough, because names and code are Latin. The weights of the search and the centres of
    the embedder are fitted to this boundary, so it is not the one of ``detect_language``.
    """
    beginning = text[:_READ_CHARACTERS]
    cjk = len(_CJK.findall(beginning))
    return cjk > 0 and 5 * cjk >= len(_LETTER.findall(beginning))


def detect_cjk_language(query: str) -> str:
    """Return ``zh``, ``ja`` or ``ko`` for a query in that script, "" for any other; some services want the language."""
    if not is_cjk(query):
        return ""
    return "ko" if _HANGUL.search(query) else "ja" if _KANA.search(query) else "zh"
