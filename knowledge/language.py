"""The scripts that a text is written in, as the search compares passages and questions. Pure."""

from __future__ import annotations

import re
from functools import lru_cache

IDEOGRAPH = re.compile(r"[㐀-䶿一-鿿]")
LETTER = re.compile(r"[^\W\d_]")
_CJK = re.compile("[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7a3\uf900-\ufaff]")
_KANA = re.compile("[\u3041-\u3096\u30a1-\u30fa]")
_HANGUL = re.compile("[\uac00-\ud7a3]")
_READ_CHARACTERS = 1000


@lru_cache(maxsize=4096)
def is_cjk(text: str) -> bool:
    """Return whether a text is written in Chinese, Japanese or Korean, as the search compares passages and questions.

    A fifth of its letters is enough, because names and code are Latin. The weights of the search and the centres of
    the embedder are fitted to this boundary, so it is not the one of ``bot.languages.registry.detect_language``.
    """
    beginning = text[:_READ_CHARACTERS]
    cjk = len(_CJK.findall(beginning))
    return cjk > 0 and 5 * cjk >= len(LETTER.findall(beginning))


def detect_cjk_language(query: str) -> str:
    """Return ``zh``, ``ja`` or ``ko`` for a query in that script, "" for any other; some services want the language."""
    if not is_cjk(query):
        return ""
    return "ko" if _HANGUL.search(query) else "ja" if _KANA.search(query) else "zh"
