"""What part a piece of an answer plays: does it claim something that has to be borne out? Pure."""

from __future__ import annotations

import re
from typing import Literal

from bot.answering.sentences import Piece
from bot.answering.verification.claims import claims
from bot.answering.verification.quantities import figures

Role = Literal["claim", "bridge", "decline", "code", "space", "empty"]
"""A ``bridge`` leads to something (a heading, "Here is how:", the head of a table) and is shown only if that is shown;
a ``decline`` says that the passages do not hold the answer."""

_DECLINE = re.compile(
    r"\b(?:passages?|documents?|sources?|context|texts?|information|documentation|excerpts?)\b[^.!?]*"
    r"\b(?:do(?:es)? not|don't|doesn't|no)\b[^.!?]*"
    r"\b(?:contain|say|mention|include|hold|answer|specify|state|provide|cover|give|information|describe|address)"
    r"|\bI (?:do not|don't) know\b|\b(?:cannot|can't|could not|couldn't|unable to|not able to) (?:find|answer)\b"
    r"|\bno information\b"
    r"|(?:资料|文档|段落|文中|文章|内容|信息|来源)[^。！？]*(?:没有|未|并未|不)[^。！？]*"
    r"(?:提到|提及|说明|包含|涉及|给出|提供|找到|答案|信息|记载)"
    r"|(?:我)?不知道|无法(?:回答|确定|找到)|没有(?:相关|找到)",
    re.IGNORECASE,
)
_INTRO_END = re.compile(r"[:：]\s*[*_]*$")
_QUESTION_END = re.compile(r"[?？][\"'”’」*_)）]*$")
_CONNECTIVES = re.compile(
    r"^(?:in (?:summary|short|conclusion|other words)|to (?:summari[sz]e|sum up)|here(?:'s| is| are)|for example|"
    r"for instance|please note|note that|according to|based on|as follows|steps?|answer|summary|"
    r"总之|综上|总的来说|简而言之|如下|例如|比如|注意|请注意|根据|步骤|答案|总结|以下是?)\W*$",
    re.IGNORECASE,
)
_BARE_VERDICT = re.compile(
    r"^\W*(?:yes|no|yep|nope|correct|right|true|false|sure|of course|certainly|great(?: question)?|ok(?:ay)?|"
    r"是的?|不是|对|不对|没错|可以|不可以|不能|当然(?:可以)?|好的?)\W*$",
    re.IGNORECASE,
)
_EMPHASIS_LINE = re.compile(r"^\s*(\*\*|__)[^*_\n]{1,80}\1\s*[:：]?\s*$")
_INTRO_WORDS = 18
_SEPARATOR = re.compile(r"[|\s:-]+")


def role_of(piece: Piece, *, table_open: bool) -> Role:
    """Return what part a piece plays.

    Args:
        piece: its text is without markers.
        table_open: whether the piece before it was a row of a table too.

    """
    if piece.kind in {"blank", "rule"}:
        return "space"
    if piece.kind == "code":
        return "code"
    if piece.kind == "heading" or _EMPHASIS_LINE.match(piece.text):
        return "bridge"
    if piece.kind == "table":
        return "bridge" if not table_open or _SEPARATOR.fullmatch(piece.text) else "claim"
    return _of_prose(piece.text)


def _of_prose(text: str) -> Role:
    if not text.strip() or _BARE_VERDICT.match(text):
        return "empty"
    if _CONNECTIVES.match(text.strip()):
        return "bridge"
    taken = claims(text)
    if figures(taken.numbers) or taken.identifiers:
        return "claim"
    if _DECLINE.search(text):
        return "decline"
    introduces = _INTRO_END.search(text) and len(taken.words) <= _INTRO_WORDS and not taken.negations
    if introduces or _QUESTION_END.search(text):
        return "bridge"
    return "claim" if taken.words or taken.names else "empty"


def code_is_quoted(code: str, passages: str) -> bool:
    """Tell whether a block of code is the passages' own: nearly all of its tokens stand there."""
    body = [line for line in code.splitlines() if not line.lstrip().startswith(("```", "~~~"))]
    tokens = _TOKEN.findall("\n".join(body))
    known = set(_TOKEN.findall(passages))
    strange = [token for token in tokens if token not in known]
    # A placeholder may differ, a figure may not.
    return len(strange) <= 0.1 * len(tokens) and bool(tokens) and not any(map(_has_digit, strange))


def _has_digit(token: str) -> bool:
    return any(char.isdigit() for char in token)


_TOKEN = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_./:@=-]*|[㐀-鿿]+")
