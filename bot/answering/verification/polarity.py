"""What a text denies, and on which side of a scale (before, after) it speaks. Pure; texts have passed ``normal``.

English and Chinese share one set of names here, so that "before" meets 之前 and "not" meets 不得.
"""

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
_NEGATION_SCOPE = re.compile(rf"(?:{_NEGATION.pattern})\s?(?:[^\s,;:，；：。、.!?]+ ?){{0,5}}")
_SCALES = {
    "order": (
        re.compile(r"\bbefore(?:hand)?\b|\bprior to\b|\bin advance\b|之前|以前|前(?!端|台|缀|向|往|提)|事先|提前"),
        re.compile(r"\bafter(?:wards)?\b|之后|以后|后(?!端|台|缀|果|备)|事后"),
    ),
    "bound": (
        re.compile(r"\bat least\b|\bminimum\b|\bno less than\b|\bor more\b|至少|不少于|不低于|不小于|最少|最低"),
        re.compile(
            r"\bat most\b|\bup to\b|\bmaximum\b|\bno more than\b|\bnot exceed\b|\bor less\b|"
            r"最多|不得?超过|不多于|不高于|最高|最大|最长|最迟|最晚|上限"
        ),
    ),
    "level": (
        re.compile(r"\babove\b|\bmore than\b|\bexceed|\bhigher than\b|超过|高于|大于|以上|超出"),
        re.compile(r"\bbelow\b|\b(?:less|lower|fewer) than\b|低于|小于|不足|以下|[不未]满"),
    ),
    "change": (
        re.compile(r"\bincreas|\bris(?:e|es|ing)\b|\bgrow|\brais|增加|提高|上升|增长|调高"),
        re.compile(r"\bdecreas|\breduc|\bfall(?:s|ing)?\b|\bdrop|减少|降低|下降|下调"),
    ),
    "switch": (
        re.compile(r"\benabled?\b|\b(?:switch|turn)(?:ed)? on\b|\bopen(?:ed|s)?\b|启用|开启|打开"),
        re.compile(r"\bdisabled?\b|\b(?:switch|turn)(?:ed)? off\b|\bclosed?\b|停用|禁用|关闭"),
    ),
    "outcome": (
        re.compile(r"\bsucceed|\bsuccessful|\bstart(?:s|ed)?\b|\bbeg[ia]n|成功|开始"),
        re.compile(r"\bfail(?:s|ed|ure)?\b|\bend(?:s|ed)?\b|\bstop(?:s|ped)?\b|\bfinish|失败|结束|停止|完成"),
    ),
}
"""Scales with a pattern for each side. The second side is looked for first, so that "not exceed" is not "exceed"."""


def is_negated(text: str) -> bool:
    """Return whether a text denies anything."""
    return bool(_NEGATION.search(_BOUND_PHRASES.sub(" ", text)))


def split_polarity(text: str) -> tuple[str, str]:
    """Return what stands right behind negations, and the rest."""
    denied, rest, cursor = [], [], 0
    text = _BOUND_PHRASES.sub(" ", text)
    for match in _NEGATION_SCOPE.finditer(text):
        rest.append(text[cursor : match.start()])
        denied.append(match[0])
        cursor = match.end()
    return " , ".join(denied), " , ".join((*rest, text[cursor:]))


def find_sides(text: str) -> frozenset[tuple[str, int]]:
    """Return the sides that a text is on, as pairs of a scale and 0 or 1; it may be on both."""
    found = set()
    for name, (one, other) in _SCALES.items():
        rest = other.sub("", text)
        if len(rest) != len(text):
            found.add((name, 1))
        if one.search(rest):
            found.add((name, 0))
    return frozenset(found)
