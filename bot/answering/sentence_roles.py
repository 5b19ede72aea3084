"""The role of each piece of an answer, and which pieces need no check. Pure.

For example, "## Leave" is a heading, "Here is how:" a lead-in and "I do not know." a refusal: none of them states
anything. "You get 25 days." is a claim, which the passages have to support.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Literal

from bot.answering.markdown.sentences import Piece
from bot.answering.support.claims import content_words, extract_claims
from bot.answering.support.interfaces import VerdictKind
from bot.answering.support.normalisation import strip_frame
from bot.answering.support.quantities import normalise_text
from bot.languages.registry import LANGUAGES

Role = Literal["claim", "heading", "lead_in", "table_head", "refusal", "code", "space", "empty"]
"""A ``heading``, a ``lead_in`` ("Here is how:") and a ``table_head`` are shown only with what follows them. A
``refusal`` says that the passages do not hold the answer. ``empty`` is a question or says nothing."""

_PLAIN_REFUSAL = re.compile(
    r"\W*+(?:(?:I am |I['’]m )?(?:very )?sorry|unfortunately|很?抱歉|对不起|不好意思)?\W*+(?:but )?(?:"
    r"I (?:do not|don['’]t) know\b|I (?:cannot|can['’]t|can not|could not|couldn['’]t) (?:answer|find|tell|say)\b"
    r"|I(?: am|['’]m) (?:not sure|(?:unable|not able) to (?:answer|find|tell|say))\b"
    r"|(?:(?:it|this|that|the answer) is )?not (?:mentioned|specified|stated)\W*$|the answer is (?:not known|unknown)\b"
    r"|(?:the|these) (?:(?:given|provided) )?(?:passages?|excerpts?) (?:do(?:es)? not|don['’]t|doesn['’]t)\b"
    r"|(?:the )?(?:given|provided) context (?:does not|doesn['’]t)\b"
    r"|[^，。]{0,4}(?:段落|上下文)[中里]?(?:没有|并未|未)(?:提到|提及|说明|包含|给出|提供)"
    r"|我?们?(?:无法|不能|没法)回答|不知道\W*$|我们?(?:也|并)?(?:不知道|不清楚|不确定)(?:\W|$|[这该此]|问题|答案|具体|如何))",
    re.IGNORECASE,
)
"""A sentence in which a model says that it does not know, even where a passage has the same words."""
_COLON_END = re.compile(r"[:：]\s*[*_]*$")
_QUESTION_END = re.compile(r"[?？][\"'”’」*_)）]*$")
_EMPHASIS_LINE = re.compile(r"\s*(\*\*|__)[^*_\n]{1,80}(?<![.!。！])\1\s*[:：]?\s*")
_SEPARATOR = re.compile(r"[|\s:-]+")


def classify_role(piece: Piece, *, table_open: bool) -> Role:
    """Return the role of a piece.

    Args:
        piece: its text is without markers.
        table_open: whether the piece before it was a row of a table too.

    """
    if piece.kind in {"blank", "rule"}:
        return "space"
    if piece.kind == "code":
        return "code"
    if piece.kind == "heading" or (piece.kind == "prose" and _EMPHASIS_LINE.fullmatch(piece.text)):
        return "heading"
    if piece.kind == "table":
        return "table_head" if not table_open or _SEPARATOR.fullmatch(piece.text) else "claim"
    return _classify_prose(piece.kind, piece.text.strip())


def _classify_prose(kind: str, text: str) -> Role:
    if _QUESTION_END.search(text) or not strip_frame(f"{text.strip('*_ ')},"):
        return "empty"
    if is_plain_refusal(text) or any(pack.refusal.search(text) for pack in LANGUAGES.values()):
        return "refusal"
    if kind == "prose" and _COLON_END.search(text):
        return "lead_in"
    claims = extract_claims(text)
    return "claim" if claims.words or claims.names or claims.figures or claims.identifiers else "empty"


def is_plain_refusal(text: str) -> bool:
    """Return whether a sentence only says that its writer does not know."""
    return _PLAIN_REFUSAL.match(text) is not None


# ── What states nothing ──────────────────────────────────────────────────────────────────────────────────────────────

_FORMAL = re.compile(
    r"\b(?:here (?:is|are)|as follows|follow(?:s|ing)?|below|these|this|your?|the|an?|to|of|for|in|on|with|and|how|"
    r"steps?|examples?|notes?|overview|summary|answer|details?|instructions?|rules?|ways?|options?|list|step \d+)\b"
    r"|以下是?|如下|这些|步骤|方法|说明|示例|例如|注意|概述|总结|答案|规则|选项|请|按照?|进行|操作|关于|如何|怎[么样]"
    r"|的|和|与|在"
)
"""Words of a lead-in that state nothing."""
_ENUMERATED = re.compile(r"^\W*(?:\d{1,2}[.)、:：])?\W*")


def is_formal(text: str) -> bool:
    """Return whether a heading, lead-in or cell has no word but those that state nothing."""
    return not any(map(str.isalnum, _FORMAL.sub(" ", _ENUMERATED.sub("", text.lower()))))


_ASKS_WHAT = re.compile(
    r"\b(?:what|how|who|whom|whose|which|where|when|why)\b|什么|怎么|怎样|如何|多少|多久|哪|谁|几|为何", re.IGNORECASE
)
_OFFERS = re.compile(r"\bor\b|还是|或", re.IGNORECASE)
_DIGITS = re.compile(r"\d+")


def repeats_question(text: str, question: str) -> bool:
    """Return whether a sentence only repeats a question that asks what, how or who."""
    said, question_claims = extract_claims(text), extract_claims(question)
    return (
        said.words <= question_claims.words
        and _ASKS_WHAT.search(question) is not None
        and not _OFFERS.search(question)
        and said.is_negated <= question_claims.is_negated
        and all(map(question_claims.holds_name, said.names | said.identifiers))
        and set(_DIGITS.findall(text)) <= set(_DIGITS.findall(question))
        and not (said.figures and not question_claims.figures)
    )


def adopted_share(text: str, question: str, passages: str) -> float:
    """Return the share of a sentence's words that are in the question and not in a known text.

    A model that does not find the answer puts a fact of the passages into the question's words: "Norway exported 10
    barrels", where the passages have 10 years and nothing about Norway.
    """
    said = content_words(normalise_text(text))
    adopted = (said & content_words(normalise_text(question))) - content_words(passages)
    return sum(word not in passages for word in adopted) / max(1, len(said))


# ── Code ─────────────────────────────────────────────────────────────────────────────────────────────────────────────

_TOKEN = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_./:@=-]*|[㐀-鿿]+")


def verdict_on_code(code: str, passages: str) -> VerdictKind:
    """Return whether a block of code is the passages' own: a placeholder may differ, no figure, command or key."""
    body = [line for line in code.splitlines() if not line.lstrip().startswith(("```", "~~~"))]
    tokens = _TOKEN.findall("\n".join(body))
    known = set(_TOKEN.findall(passages))
    strange = [token for token in tokens if token not in known]
    if not tokens or len(strange) > 0.1 * len(tokens):
        return "unsupported"
    if any(map(_DIGITS.search, strange)):
        return "contradicted"
    begins = filter(None, map(_TOKEN.search, body))
    return "supported" if all(token[0] in known for token in begins) else "unsupported"


def cite_code(code: str, passages: Mapping[int, str]) -> tuple[VerdictKind, tuple[int, ...]]:
    """Return whether passages support a block of code, and the numbers of those that do: one, or few together."""
    for n, text in passages.items():
        if verdict_on_code(code, text) == "supported":
            return "supported", (n,)
    verdict = verdict_on_code(code, "\n".join(passages.values()))
    if verdict != "supported":
        return verdict, ()
    code_tokens = set(_TOKEN.findall(code))
    shared = {n: code_tokens.intersection(_TOKEN.findall(text)) for n, text in passages.items()}
    left = set[str]().union(*shared.values())
    numbers: list[int] = []
    while left:
        best = max(shared, key=lambda n: len(shared[n] & left))
        left -= shared[best]
        numbers.append(best)
    return verdict, tuple(numbers)
