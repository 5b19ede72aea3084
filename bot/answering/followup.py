"""Make a follow-up question searchable: "and in Spain?" means nothing to a search without the question before it."""

from __future__ import annotations

import re
from collections.abc import Sequence

from bot.answering.events import Exchange
from bot.answering.language import language_of

_JOINED_CHARS = 600
_CHAIN = 3

_OPENERS = re.compile(
    r"^(?:and|but|also|or|so|then|ok(?:ay)?|what about|how about|what if|and what|why not|else|otherwise)\b"
    r"|^(?:那么?|还有|另外|而且|但是?|如果|要是|万一|所以|然后|或者|以及|以上|上述|具体)",
    re.IGNORECASE,
)
_POINTERS = re.compile(
    r"\b(?:it|its|they|them|their|theirs|that|this|these|those|one|ones|there|he|him|his|she|her|same|former|latter"
    r"|above|instead)\b"
    r"|[它他她]|这(?:个|些|样|种|里|儿|一|项|条|两)?|那(?:个|些|样|种|里|儿|一|项|条|两)|其(?:中|他|它|余)?|上面|前者|后者|同样|该",
    re.IGNORECASE,
)
_NOT_POINTERS = re.compile(
    r"\b(?:is|are|was) there\b|\bthere (?:is|are|was|were)\b|\bthis (?:week|month|year|quarter)\b|\b(?:so|such) that\b|"
    r"\bone (?:of|day|month|year|person)\b|\bno one\b|\bthe same\b",
    re.IGNORECASE,
)
_DEFINES = re.compile(
    r"^(?:what|who|where) (?:is|are|was|were) (?!it\b|that\b|this\b)|(?:是什么|是谁|在哪里?|什么意思)[？?。]?$",
    re.IGNORECASE,
)
_WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9_./'-]*")
_IDEOGRAPH = re.compile(r"[㐀-鿿]")
_EMPTY_WORDS = re.compile(
    r"a|an|the|is|are|was|were|do|does|did|can|could|should|would|will|may|must|i|we|you|me|my|our|your|to|of"
    r"|for|in|on|at|by|with|from|and|or|not|no|yes|what|how|why|when|where|which|who|whom|whose|many|much|long"
    r"|often|far|big|please|tell|give|more|detail|details|example|examples|exactly|really|still|about|be|been"
    r"|have|has|had|get|need"
)
_EMPTY_CHINESE = re.compile(
    "什么|怎么样|怎么|怎样|如何|为什么|多少|多久|多长|多大|几|哪里|哪个|哪些|哪|谁|吗|呢|吧|啊|的|了|是|有|在|我|你|请|能|会|可以|需要|"
    "应该|要|详细|具体|例子|一下|说|讲|更|再|和|与|时间|时候"
)


def searchable(question: str, history: Sequence[Exchange]) -> str:
    """Return what to search for: the question, with those before it that it leans on.

    By rule: a question that opens like a continuation, points at something said, or names next to nothing itself is
    joined with the question before, and so on for at most three questions.
    """
    parts = [question.strip()]
    for exchange in reversed(history[-_CHAIN:]):
        if not leans(parts[0]):
            break
        if exchange.question.strip():
            parts.insert(0, exchange.question.strip())
    joined = " ".join(parts)
    return joined if len(joined) <= _JOINED_CHARS else f"{parts[0][:_JOINED_CHARS]} {parts[-1]}"[-2 * _JOINED_CHARS :]


def leans(question: str) -> bool:
    """Tell whether a question cannot be understood without what was said before."""
    text = question.strip()
    if _OPENERS.search(text) or _POINTERS.search(_NOT_POINTERS.sub(" ", text)):
        return True
    return _substance(text) < (1 if _DEFINES.search(text) else 2)


def _substance(text: str) -> int:
    """Count what a question names: English words with a meaning, Chinese characters with one by twos."""
    words = sum(not _EMPTY_WORDS.fullmatch(word.lower()) for word in _WORD.findall(text))
    if language_of(text) != "zh":
        return words
    return words + (len(_IDEOGRAPH.findall(_EMPTY_CHINESE.sub("", text))) + 1) // 2
