"""Which of the two kinds of writing a text is in. Pure."""

from __future__ import annotations

import re
from functools import lru_cache

_CJK = re.compile("[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7a3\uf900-\ufaff]")
_LETTER = re.compile(r"[^\W\d_]")
_READ_CHARACTERS = 1000


@lru_cache(maxsize=4096)
def is_cjk(text: str) -> bool:
    """Whether a text is Chinese, Japanese or Korean; a fifth of its letters is enough, names and code being Latin."""
    beginning = text[:_READ_CHARACTERS]
    cjk = len(_CJK.findall(beginning))
    return cjk > 0 and 5 * cjk >= len(_LETTER.findall(beginning))
