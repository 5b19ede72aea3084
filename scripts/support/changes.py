"""Change supported sentences, or their passages, so that the passages no longer support the sentence.

- ``other document``: the passages of another item of the set.
- ``near document``: the passages of another item that share most words with the sentence.
- ``number``, ``name``: a number or name that the passages lack.
- ``other number``, ``other name``: one that the passages state about something else.
- ``negation``: adds or removes a negation.
- ``swap``: exchanges two names of the sentence.
- ``side``: replaces a word by its opposite.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import lru_cache

from bot.answering.support.claims import content_words
from bot.answering.support.quantities import normalise_text
from scripts.support.sets import Evidence, Pair

_NUMBER = re.compile(r"(?<![\w.,:/-])\d{1,3}(?:,\d{3})+|(?<![\w.,:/-])\d+(?:\.\d+)?(?![\w,:/-]*\d)")
_NAME = re.compile(r"(?<=[a-z,] )[A-Z][a-z]{2,}(?: (?:of (?:the )?)?[A-Z][a-z]+)*")
_AUXILIARY = re.compile(
    r"\b(is|are|was|were|can|will|would|could|should|must|may|has been|have been|had been)\b(?! not\b|n't)"
)
_NOT = re.compile(
    r"\b(is|are|was|were|can|will|would|could|should|must|may|do|does|did|has|have|had)(?: not|n't)\b|\bcannot\b"
)
_NEGATIVE = re.compile(r"\b(?:not?|never|without|cannot|neither|nor|none|nothing|only|just)\b|n['’]t\b", re.IGNORECASE)
_ZH_NEGATIVE = re.compile("[不没无未非]")
_ZH_AFFIRMED = re.compile(r"(?<![不没别可但只还就总凡若于倒])(是|可以|能够|会|允许|需要|属于|包括|支持)(?![否的])")
_ZH_DENIED = re.compile(r"不(?=是|可以|能|会|允许|需要|属于|包括|支持)|没(?=有)")
_SIDES = (
    "before/after", "more/less", "first/last", "increase/decrease", "increased/decreased", "higher/lower",
    "largest/smallest", "most/least", "north/south", "east/west", "northern/southern", "eastern/western", "early/late",
    "above/below", "minimum/maximum", "male/female", "rise/fall", "won/lost", "enabled/disabled", "required/optional",
    "public/private", "inside/outside", "always/never", "all/none", "older/younger", "open/closed", "includes/excludes",
    "positive/negative", "internal/external", "upper/lower", "left/right", "hot/cold", "buy/sell", "buyer/seller",
    "之前/之后", "以前/以后", "增加/减少", "最大/最小", "最高/最低", "最早/最晚", "第一/最后", "以上/以下", "东部/西部",
    "南部/北部", "上升/下降", "允许/禁止", "公开/私有", "多于/少于", "高于/低于", "男/女", "成功/失败", "开启/关闭",
    "提高/降低",
)  # fmt: skip
_OPPOSITE = {word: other for pair in _SIDES for word, other in (pair.split("/"), pair.split("/")[::-1])}
_SIDE = re.compile(
    "|".join(rf"\b{word}\b" if word.isascii() else word for word in sorted(_OPPOSITE, key=len, reverse=True))
)


def make_changes(pairs: Sequence[Pair]) -> Iterator[Pair]:
    """Yield the changed pairs of the supported ones."""
    true = [pair for pair in pairs if pair.label == "supported" and pair.kind == "human"]
    for place, pair in enumerate(true):
        others = list(_pair_with_other_documents(true, place))
        for kind, other in (("other document", others[:1]), ("near document", _find_nearest(pair, others))):
            for one in other:
                yield replace(pair, id=f"{pair.id}/{kind}", passages=one.passages, label="unsupported", kind=kind,
                              answer="")  # fmt: skip
        for kind, make in _MAKERS.items():
            changed = make(pair)
            if changed and changed != pair.sentence:
                yield pair.with_sentence(kind, changed)


def _pair_with_other_documents(true: Sequence[Pair], place: int) -> Iterator[Pair]:
    """Yield the pairs in the same languages, of another conversation, that share no passage."""
    mine = true[place]
    for step in range(1, len(true)):
        other = true[(place + 7 * step) % len(true)]
        talks = {pair.answer.partition("<")[0] for pair in (mine, other)}
        apart = not mine.answer or len(talks) > 1
        if other.language == mine.language and apart and not set(mine.passages) & set(other.passages):
            yield other


def _find_nearest(pair: Pair, others: Sequence[Pair]) -> list[Pair]:
    """Return the pair whose passages share most words with a sentence, of another title; none across languages."""
    words, titles = content_words(normalise_text(pair.sentence)), {source.title for source in pair.passages} - {""}
    if ">" in pair.language:
        return []
    apart = [other for other in others if not titles & {source.title for source in other.passages}]
    return sorted(apart, key=lambda other: len(words & _list_words(other.passages)), reverse=True)[:1]


@lru_cache(maxsize=4096)
def _list_words(passages: Sequence[Evidence]) -> frozenset[str]:
    return content_words(normalise_text(" ".join(f"{source.title} {source.text}" for source in passages)))


def _join_passages(pair: Pair) -> str:
    return " ".join(f"{source.title} {source.text}" for source in pair.passages)


def _pick(pair: Pair, found: Sequence[str]) -> str:
    return found[pair.digest % len(found)] if found else ""


def _replace_number(pair: Pair) -> str:
    numbers = _NUMBER.findall(pair.sentence)
    old = _pick(pair, numbers)
    if not old:
        return ""
    digits = [place for place, char in enumerate(old) if char.isdigit()]
    text = _join_passages(pair)
    for step in range(1, 9):
        place = digits[-1] if len(digits) < 3 else digits[-1 - step % 2]
        new = old[:place] + str((int(old[place]) + step) % 10) + old[place + 1 :]
        if new not in text and new not in numbers and not new.startswith("0"):
            return re.sub(rf"(?<!\d){re.escape(old)}(?!\d)", new, pair.sentence, count=1)
    return ""


def _borrow_number(pair: Pair) -> str:
    mine = _NUMBER.findall(pair.sentence)
    old = _pick(pair, mine)
    theirs = sorted({n for n in _NUMBER.findall(_join_passages(pair)) if n not in mine and len(n) == len(old)})
    new = _pick(pair, theirs)
    return re.sub(rf"(?<!\d){re.escape(old)}(?!\d)", new, pair.sentence, count=1) if new else ""


_STRANGERS = (
    "Margaret Lindholm", "Oakvale", "Peter Drummond", "Castleford University", "Brasilia", "Ingrid Solberg", "Nairobi",
    "Harlan Institute", "Yokohama", "Lake Turkana", "Matteo Ricci Foundation", "Quebec",
)  # fmt: skip


def _replace_name(pair: Pair) -> str:
    old = _pick(pair, [name for name in _NAME.findall(pair.sentence) if name in _join_passages(pair)])
    return pair.sentence.replace(old, _pick(pair, _STRANGERS), 1) if old else ""


def _borrow_name(pair: Pair) -> str:
    mine = _NAME.findall(pair.sentence)
    old = _pick(pair, [name for name in mine if name in _join_passages(pair)])
    theirs = sorted({
        name
        for name in _NAME.findall(_join_passages(pair))
        if name not in pair.sentence
        and len(name.split()) == len(old.split())
        and not set(name.split()) & set(old.split())
    })  # fmt: skip
    new = _pick(pair, theirs)
    return pair.sentence.replace(old, new, 1) if old and new else ""


def _swap_names(pair: Pair) -> str:
    names = list(dict.fromkeys(_NAME.findall(pair.sentence)))
    if len(names) < 2 or names[0] in names[1] or names[1] in names[0]:
        return ""
    if re.search(rf"{re.escape(names[0])},? (?:and|or) {re.escape(names[1])}|,[^,]*,[^,]* and ", pair.sentence):
        return ""
    swapped = pair.sentence.replace(names[0], "\0", 1).replace(names[1], names[0], 1)
    return swapped.replace("\0", names[1], 1)


def _toggle_negation(pair: Pair) -> str:
    """Return the sentence without its only negation, or with one if it has none."""
    text, chinese = pair.sentence, pair.language.endswith("zh")
    negative = len((_ZH_NEGATIVE if chinese else _NEGATIVE).findall(text))
    if negative > 1:
        return ""
    if chinese:
        return _ZH_DENIED.sub("", text, count=1) if negative else _ZH_AFFIRMED.sub(r"不\1", text, count=1)
    if negative:
        return _NOT.sub(lambda match: match[1] or "can", text, count=1)
    return _AUXILIARY.sub(
        lambda match: match[1].replace(" ", " not ", 1) if " " in match[1] else f"{match[1]} not", text, count=1
    )


def _reverse_side(pair: Pair) -> str:
    return _SIDE.sub(lambda match: _OPPOSITE[match[0]], pair.sentence, count=1)


_MAKERS: dict[str, Callable[[Pair], str]] = {
    "number": _replace_number, "other number": _borrow_number, "name": _replace_name, "other name": _borrow_name,
    "swap": _swap_names, "negation": _toggle_negation, "side": _reverse_side,
}  # fmt: skip
