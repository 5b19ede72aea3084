"""Which language a text is in, by its script, and in which of ours a notice about it is written."""

from __future__ import annotations

import re
from typing import Literal

TextLanguage = Literal["en", "zh", "other"]
"""Of a text. "other" has neither script; "en" stands for every text in Latin letters."""

Language = Literal["en", "zh"]
"""Of what Kvasir says itself."""

_NOISE = re.compile(r"```.*?(?:```|$)|`[^`\n]*`|https?://\S+|<[@#!][^>\n]*>", re.DOTALL)
IDEOGRAPH = re.compile(r"[㐀-䶿一-鿿]")
_KANA_HANGUL = re.compile(r"[぀-ヿ가-힣]")
_LATIN_WORD = re.compile(r"[A-Za-zÀ-ɏ]+(?:['’][A-Za-z]+)*")
_OTHER_LETTER = re.compile(r"[^\W\d_]")
_ENGLISH_GRAMMAR = re.compile(
    r"\b(?:what|how|why|when|where|which|who|the|is|are|do|does|can|should|please|in|of|to|for|and|mean|means)\b",
    re.IGNORECASE,
)
_CHINESE_GRAMMAR = re.compile(r"[的吗呢么吧是在了和与请哪谁几]|什么|怎么|怎样|如何|多少|为什么|可以|需要")

_IDEOGRAPHS_A_WORD = 1.6
"""Chinese words in running text are a little longer than one character and a half."""


def detect_language(text: str) -> TextLanguage:
    """Tell a text's language by the share of its scripts, code and links aside.

    A text of both scripts goes by its grammar first ("what does 年假 mean" is English, "VPN 怎么连" is Chinese), and by
    the number of words if that does not tell.
    """
    prose = _NOISE.sub(" ", text)
    prose = prose if _OTHER_LETTER.search(prose) else text
    ideographs = len(IDEOGRAPH.findall(prose))
    latin = len(_LATIN_WORD.findall(prose))
    if len(_KANA_HANGUL.findall(prose)) > latin or not (ideographs or latin):
        return "other"
    if ideographs and latin:
        return _of_mixed(prose, ideographs, latin)
    return "zh" if ideographs else "en"


def _of_mixed(prose: str, ideographs: int, latin: int) -> TextLanguage:
    english, chinese = len(_ENGLISH_GRAMMAR.findall(prose)), len(_CHINESE_GRAMMAR.findall(prose))
    if bool(english) != bool(chinese) and max(english, chinese) > 1:
        return "en" if english else "zh"
    if chinese and not english:
        return "zh"
    return "zh" if ideographs / _IDEOGRAPHS_A_WORD >= latin else "en"


def choose_language(text: str) -> Language:
    """Return the language that instructions and notices are written in for a question."""
    return "zh" if detect_language(text) == "zh" else "en"
