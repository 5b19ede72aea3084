"""Decide whether two questions are the same for certain, by their words. Pure.

Embeddings do not separate "revenue in 2022" from "revenue in 2023", so nothing here measures similarity. Two questions
are the same if nothing is left that differs after politeness, punctuation, articles and other writings of a number.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Final

from bot.answering.support.claims import Claims, carries_meaning, extract_claims
from bot.answering.support.quantities import Mention, meets_any
from knowledge.language import IDEOGRAPH

_LONGEST: Final = 500
"""Characters. A longer message says more than a question."""
_MAX_CACHED: Final = 65_536

_CONTRACTIONS: Final = (
    (re.compile(r"\b(what|who|where|when|how|why|which|that|there|it)'s\b"), r"\1 is"),
    (re.compile(r"\bi'm\b"), "i am"),
    (re.compile(r"\b(ca|wo|sha)n't\b"), lambda found: {"ca": "can", "wo": "will", "sha": "shall"}[found[1]] + " not"),
    (re.compile(r"\b(\w+)n't\b"), r"\1 not"),
    (re.compile(r"\bcannot\b"), "can not"),
    (re.compile(r"\b(i|we|you|they)'(d|ll|ve|re)\b"), r"\1 \2"),
)
_GREETING: Final = re.compile(
    r"(?:(?:hi|hello|hey|dear|good (?:morning|afternoon|evening|day))(?: (?:there|all|everyone|everybody|team|kvasir))?"
    r"|kvasir(?=\s*[,:，：])|ok|okay|please|pls|plz|sorry|excuse me"
    r"|(?:(?:just )?a )?quick question|i have a question)\b"
    r"|(?:你好|您好|大家好|请问一下|请问|麻烦问一下|想问一下|问一下|谢谢|麻烦)"
)
_FRAME: Final = re.compile(
    r"(?:(?:can|could|would|will) (?:you|any(?:one|body)|some(?:one|body))(?: please| kindly)?"
    r" (?:tell|explain to) (?:me|us)"
    r"|(?:do|does) (?:you|any(?:one|body)|some(?:one|body))(?: happen to)? know"
    r"|(?:please )?(?:tell|explain to) (?:me|us)|let me know"
    r"|(?:i|we) (?:would|d) (?:like|love) to know|(?:i|we) (?:want|need) to know|(?:i|we) wonder"
    r"|(?:i am|i was|we are|we were) wondering|may i ask(?: you)?|can i ask(?: you)?)\b(?: please)?"
    r"|(?:能不能|可不可以|可以|能)?(?:请)?(?:你|您)?(?:帮我)?告诉(?:我|我们)(?:一下)?|(?:我|我们)?想(?:知道|了解)(?:一下)?"
)
"""What turns a question into an indirect one: "can you tell me what the limit is"."""
_WHETHER: Final = re.compile(r"(?:whether|if)\b")
_CLOSING: Final = re.compile(
    r"\b(?:(?:many )?(?:thanks|thank you|thx|cheers)(?: (?:very|so) much| a lot| in advance)?|please|pls|plz)$"
    r"|(?:谢谢了?|多谢|感谢|呢|啊|呀|哦)$"
)
_FILLER: Final = frozenset(("the", "a", "an", "please", "pls", "plz", "actually", "btw"))
_CAPITALS: Final = re.compile(r"(?<=\w )A(?![\w'’])|(?<![\w'’])[A-Z]{2,}(?![\w'’$€£])")
_FEW: Final = re.compile(r"\ba (few|little)\b")
_HOW: Final = re.compile(r"^how (?:do|can|should|may) (?:i|we|you|one)\b")
_MAY: Final = re.compile(r"^(?:(?:can|may) (i|we)|(?:am|are) (i|we) allowed to)\b")
_ZH_SYNONYMS: Final = (
    (re.compile(r"怎么样|怎样|如何"), "怎么"),
    (re.compile(r"多长时间|多少时间"), "多久"),
    (re.compile(r"何时|什么时间"), "什么时候"),
    (re.compile(r"哪儿|何处|什么地方"), "哪里"),
    (re.compile(r"您"), "你"),
)
_TOKEN: Final = re.compile(r"⟨[^⟩]*⟩|[a-z0-9à-ÿ]+(?:[.'’_/:@#+=&-][a-z0-9à-ÿ]+)*[+#]*|[€$£¥%°<>=≥≤±^~*/\\|!+-]|[^\W_]")
_PUNCTUATION: Final = re.compile(r"[!*~^|\\/=-]")
"""A mark that stands alone; ``>`` and ``%`` mean something."""
_RELATIVE_TIME: Final = re.compile(
    r"\b(?:today|tonight|tomorrow|yesterday|now|right now|currently|nowadays|ago|at the moment|at present"
    r"|(?:last|next|previous|coming|past) (?:couple of|\w+) (?:minutes|hours|days|weeks|months|quarters|years)"
    r"|(?:this|last|next|previous|coming|past|current)"
    r" (?:(?:mon|tues|wednes|thurs|fri|satur|sun)?day|minute|hour|week(?:end)?|month|quarter|year"
    r"|morning|afternoon|evening|night))\b"
    r"|今天|今日|今晚|明天|昨天|前天|后天|现在|目前|当前|此刻|眼下|接下来|刚才|本周|这周|上周|下周|这个?星期|上个?星期|下个?星期|本月|这个月|上个?月|下个?月"
    r"|今年|去年|明年|前年|本季度|上个?季度|下个?季度"
)
_AUXILIARIES: Final = frozenset(
    """is are was were am can may must should will would could shall might has have had need""".split()  # noqa: SIM905
)


def normalise_question(text: str) -> tuple[str, ...]:
    """Return the words of a question that decide what it asks; () if it has none or depends on the day.

    The facts stay: numbers by their value and unit, names, negations, the question word, and the order of words.
    """
    return _read_question(text)[0]


def is_same_question(one: str, other: str) -> bool:
    """Return whether two questions are the same for certain."""
    if not (mine := normalise_question(one)) or not (theirs := normalise_question(other)):
        return False
    if mine == theirs:  # names are among the words
        return _have_same_figures(extract_claims(one), extract_claims(other))
    return (_is_indirect_form(one, other) or _is_indirect_form(other, one)) and has_same_facts(one, other)


def depends_on_day(text: str) -> bool:
    """Return whether a question means something else on another day: "today", 去年."""
    return _RELATIVE_TIME.search(extract_claims(text).text) is not None


def has_same_facts(one: str, other: str) -> bool:
    """Return whether two questions, in any language, name the same numbers, identifiers and names, and deny alike."""
    mine, theirs = extract_claims(one), extract_claims(other)
    return _have_same_figures(mine, theirs) and _have_same_names(mine, theirs)


def _have_same_figures(mine: Claims, theirs: Claims) -> bool:
    if mine.identifiers != theirs.identifiers or mine.is_negated != theirs.is_negated:
        return False
    a, b = mine.figures, theirs.figures
    return len(a) == len(b) and all(meets_any(one, b) for one in a) and all(meets_any(one, a) for one in b)


def _have_same_names(mine: Claims, theirs: Claims) -> bool:
    if mine.language == theirs.language:
        return mine.names == theirs.names
    return all(theirs.holds_name(name) for name in mine.names if not IDEOGRAPH.search(name)) and all(
        mine.holds_name(name) for name in theirs.names if not IDEOGRAPH.search(name)
    )


@lru_cache(maxsize=_MAX_CACHED)
def _read_question(text: str) -> tuple[tuple[str, ...], bool]:
    """Return the words of a question, and whether it was an indirect one."""
    if len(text) > _LONGEST or depends_on_day(text):
        return (), False
    claims = extract_claims(_mark_names(text))
    folded = _replace_numbers(claims.text, claims.numbers)
    for pattern, replacement in _CONTRACTIONS:
        folded = pattern.sub(replacement, folded)
    folded = _FEW.sub(r"a_\1", folded)
    folded, is_indirect = _strip_politeness(folded)
    folded = _HOW.sub("how to", folded)
    folded = _MAY.sub("may we", folded)
    for pattern, replacement in _ZH_SYNONYMS:
        folded = pattern.sub(replacement, folded)
    tokens = _TOKEN.findall(folded)
    words = tuple(one for one in tokens if one not in _FILLER and not _PUNCTUATION.fullmatch(one))
    return words, is_indirect


def _mark_names(text: str) -> str:
    """Return a question whose names differ from the words of grammar with their letters: US, IT, plan A."""
    return (
        text
        if text.isupper()
        else _CAPITALS.sub(lambda found: found[0] if carries_meaning(found[0].lower()) else f"⟨{found[0]}⟩", text)
    )


def _replace_numbers(folded: str, numbers: Sequence[Mention]) -> str:
    """Return a text with each number as a word that is the same for every writing: 5,000 € and 5000 euros."""
    parts: list[str] = []
    cursor = 0
    for one in numbers:
        if one.start < cursor:
            continue
        readings = ",".join(sorted(f"{reading.kind}={reading.value:.9g}" for reading in one.readings))
        parts += folded[cursor : one.start], f" ⟨{'each ' if one.each else ''}{readings}⟩ "
        cursor = one.end
    return "".join((*parts, folded[cursor:]))


def _strip_politeness(folded: str) -> tuple[str, bool]:
    """Return a question without greetings, thanks and "can you tell me", and whether it had the latter."""
    text, is_indirect = _trim_question(folded), False
    while text:
        if found := _GREETING.match(text):
            text = _trim_question(text[found.end() :])
        elif found := _FRAME.match(text):
            text, is_indirect = _trim_question(text[found.end() :]), True
            if whether := _WHETHER.match(text):
                text = _trim_question(text[whether.end() :])
        elif found := _CLOSING.search(text):
            text = _trim_question(text[: found.start()])
        else:
            break
    return text, is_indirect


def _trim_question(text: str) -> str:
    return text.strip(" \t\r\n.,:;!?。，：；！？、…\"'“”‘’()[]-")


def _is_indirect_form(indirect: str, direct: str) -> bool:
    """Return whether one question is the indirect form of another: "what the limit is" for "what is the limit"."""
    words, is_indirect = _read_question(indirect)
    plain, _ = _read_question(direct)
    if not is_indirect or (words[0] != plain[0] and plain[0] not in _AUXILIARIES | {"do", "does"}):
        return False
    for place, word in enumerate(plain[:6]):
        rest = (*plain[:place], *plain[place + 1 :])
        if word in {"do", "does"} and (rest == words or (word == "does" and _is_inflected_once(rest, words))):
            return True
        if word in _AUXILIARIES and any(
            words[later] == word and (*words[:later], *words[later + 1 :]) == rest
            for later in range(place + 1, len(words))
        ):
            return True
    return False


def _is_inflected_once(plain: Sequence[str], inflected: Sequence[str]) -> bool:
    """Return whether exactly one word differs, by the ending of the third person: take, takes."""
    if len(plain) != len(inflected):
        return False
    pairs = [(one, other) for one, other in zip(plain, inflected, strict=True) if one != other]
    if len(pairs) != 1:
        return False
    one, other = pairs[0]
    return other in {f"{one}s", f"{one}es", f"{one[:-1]}ies" if one.endswith("y") else f"{one}s"}
