"""What a text denies, in English and Chinese. Pure; texts have passed ``normal``."""

from __future__ import annotations

import re

_BOUND_PHRASES = re.compile(
    r"\b(?:not|no|never) (?:more|less|later|fewer|earlier|longer) than\b|\bnot only\b|"
    r"\b(?:must|may|can|should|does|do|shall) ?not (?:exceed|be (?:more|less|lower|higher|older|younger) than)\b|"
    r"不(?:少|低|小|多|高|大)于|不[得能准可允许]*(?:超过|低于|少于|高于|多于)|不仅|不同|不过|不足|不满|未满|不到|不管|不论|"
    r"无论|未来|非常|不断|不久"
)
_NEGATION = re.compile(
    r"\bnot\b|n't\b|\bno\b(?! later)|\bnever\b|\bwithout\b|\bcannot\b|\bneither\b|\bnor\b|\bnobody\b|\bnone\b|"
    r"\bnothing\b|\bforbidden\b|\bprohibit|\bexclud|\brefus|\breject|\binstead of\b|\brather than\b|"
    r"\bswitch(?:ed)? off\b|\bdisabled?\b|\bsuspend|\bfree(?: of charge)?\b|\bwaived\b|\bexcept\b|"
    r"不|没有|没|无(?=需|须|法|权|人|理)|未(?!来|满|必|免)|勿|禁止|严禁|拒绝|除外|而非|停用|禁用|暂停|免费|免除"
)
_IMPLICIT = re.compile(
    r"\b(?:un(?!i[a-z]|der|til|less|ion)[a-z]{3,}|in(?:complete|valid|correct|active|abilit|sufficient|accessib|eligib)"
    r"|impossib|non-?[a-z]|dis(?:allow|continu|agree|approv)|fail|lack|unless|only|few|little|hardly|rarely|barely|stop|"
    r"avoid|prevent|den(?:y|ie[sd])|remov|exempt|despite|longer|least|los[set]|miss|absen|ban(?:ned|s)?\b|block|declin|"
    r"contrary|false|different|zero)|[没无未非勿禁免停缺误反只仅除]|避免|取消|失败|损失"
)
"""What can be said with a negation as well: incomplete, "fails to", 缺少."""
_NEGATION_SCOPE = re.compile(rf"(?:{_NEGATION.pattern})\s?(?:[^\s,;:，；：。、.!?]+ ?){{0,5}}")


def strip_bounds(text: str) -> str:
    """Return a text without phrases that deny nothing: "not more than", 不少于."""
    return _BOUND_PHRASES.sub(" ", text)


def is_negated(text: str) -> bool:
    """Return whether a text denies anything."""
    return bool(_NEGATION.search(strip_bounds(text)))


def count_negations(text: str) -> int:
    """Return how many negations a text has."""
    return len(_NEGATION.findall(strip_bounds(text)))


def may_deny(text: str) -> bool:
    """Return whether a text denies anything, if only by a word such as "incomplete"."""
    return is_negated(text) or bool(_IMPLICIT.search(text))


def split_polarity(text: str) -> tuple[str, str]:
    """Return what stands right behind negations, and the rest."""
    denied, rest, cursor = [], [], 0
    text = " ".join(strip_bounds(text).split())  # names and numbers are blanked out
    for match in _NEGATION_SCOPE.finditer(text):
        rest.append(text[cursor : match.start()])
        denied.append(match[0])
        cursor = match.end()
    return " , ".join(denied), " , ".join((*rest, text[cursor:]))
