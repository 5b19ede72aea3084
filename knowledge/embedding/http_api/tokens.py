"""Count the tokens of a model's vocabulary, or estimate them, and cut texts by them."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from pathlib import Path
from typing import Final

from knowledge.embedding.local.files import load_vocabulary

CountTokens = Callable[[str], int]

MAX_TOKENS: Final = 480
"""Longer texts are cut. Models such as bge-large take 512 tokens with a prefix; no chunk is longer."""
_MAX_CHARACTERS: Final = 32_768

_UNITS: Final = re.compile(
    r"(?P<word>[A-Za-z]+)|(?P<one>[\u2e80-\u9fff\uac00-\ud7af\uff00-\uffef\n]|[!-~])|\S", re.ASCII
)
_LETTERS: Final = 3
"""Letters of a word for each token."""


def estimate_tokens(text: str) -> int:
    """Return an estimate that is too high for nearly every text and vocabulary.

    Words count a token for three letters, digits, signs and Chinese characters one each, other characters their bytes.
    Of 4,000 paragraphs of English and Chinese documentation and code, 0.4 % have more tokens of XLM-R's vocabulary and
    0.3 % of Qwen's. In sum it is 37 % and 61 % too high.
    """
    count = 0
    for unit in _UNITS.finditer(text):
        if word := unit["word"]:
            count += (len(word) + _LETTERS - 1) // _LETTERS
        else:
            count += 1 if unit["one"] else len(unit[0].encode("utf-8", "replace"))
    return count


async def load_counter(path: Path) -> CountTokens:
    """Return a counter of the vocabulary in a ``tokenizer.json``.

    Raises:
        EmbedderError: the file cannot be read.

    """
    vocabulary = await asyncio.to_thread(load_vocabulary, path)
    return lambda text: len(vocabulary.encode(text, add_special_tokens=False).ids)


def cut_text(text: str, count_tokens: CountTokens) -> str:
    """Return a text of at most ``MAX_TOKENS``."""
    text = text[:_MAX_CHARACTERS]
    while (count := count_tokens(text)) > MAX_TOKENS:
        text = text[: min(len(text) - 1, len(text) * MAX_TOKENS // count)]
    return text
