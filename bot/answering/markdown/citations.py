"""Citation markers such as ``[1]``: parse them in every form that models write, strip, format and number them. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final

from bot.answering.events import Passage

WARNING: Final = "⚠"
"""Stands behind a sentence that no passage supports."""

_NUMBERS = r"\d{1,3}(?:\s*[,，、;和–-]\s*\d{1,3})*"
_LABELLED = rf"(?:source|passage|来源|资料|段落)\s*{_NUMBERS}(?:\s*[:：][^\]】］\n]{{0,80}})?"
_MARKER = (
    rf"[ \t]*[\[【［]\s*(?:{_LABELLED}|\^?{_NUMBERS}(?:†[^\]】］\n]{{0,40}})?)\s*[\]】］](?:\([^()\s]{{0,300}}\))?"
)
MARKERS: Final = re.compile(rf"(?:{_MARKER})+", re.IGNORECASE)
MARKER_BEGUN: Final = re.compile(
    r"[ \t]*(?:[\[【［][^\]】］\n]{0,100}|[\[【［][^\]】］\n]{0,100}[\]】］](?:\([^()\s]{0,300})?)?$"
)
"""What may become a marker once more text follows."""

_ONE = re.compile(rf"(?<![ \t]){_MARKER}", re.IGNORECASE)  # blanks are read once, from the first
_RANGE = re.compile(r"(\d{1,3})\s*[–-]\s*(\d{1,3})")
_RANGE_MOST = 20
_CODE = re.compile(r"(?<!`)(`+)(?!`)(?:.*?[^`])\1(?!`)", re.DOTALL)
_LAST_CELL = re.compile(r"\s*\|\s*$")

_DISPLAYED = re.compile(r"(?<![\\!])\[(\d{1,3})\](?!\()")
_CODE_OR_DISPLAYED = re.compile(rf"{_CODE.pattern}|{_DISPLAYED.pattern}", re.DOTALL)
_LINKED = re.compile(r"\[\\?\[(\d+)\\?\]\]\([^)\s]*\)|<https?://[^|>]+\|\[(\d+)\]>")
_SHOWN = re.compile(rf"{_CODE.pattern}|\s?(?:{_LINKED.pattern}|\[\d{{1,3}}\](?!\()|{WARNING})", re.DOTALL)
_DISAGREEMENT = re.compile(r"\s?[(（][^()（）\n]*(?:says otherwise[)）]|说法不同[)）])")


def find_cited_numbers(text: str) -> tuple[int, ...]:
    """Return the passage numbers that a text cites, each once, in order; code is left aside."""
    return tuple(dict.fromkeys(n for marker in _find_markers(text) for n in _parse_numbers(marker)))


def strip_markers(text: str) -> str:
    """Return the text without its markers, code untouched."""
    for marker in reversed(_find_markers(text)):
        text = text[: marker.start()] + text[marker.end() :]
    return text.rstrip()


def append_suffix(text: str, suffix: str, kind: str = "prose") -> str:
    """Return a piece of a kind with a suffix behind it: inside a row's last cell, on a line of its own after code."""
    if kind == "table" and (cell := _LAST_CELL.search(text)):
        return f"{text[: cell.start()]} {suffix} |"
    if not suffix or kind == "code":
        return f"{text}\n{suffix}".rstrip()
    return f"{text} {suffix}" if text[-1:].isascii() or not suffix.startswith("[") else f"{text}{suffix}"


def format_markers(passages: Sequence[Passage]) -> str:
    """Return the markers of passages that have their displayed numbers: ``[1][2]``."""
    return "".join(f"[{passage.n}]" for passage in passages)


def link_displayed(text: str, url_of: Callable[[int], str]) -> str:
    """Return the text with its displayed markers as Markdown links; ``url_of`` returns "" for one without a link."""

    def add_link(marker: re.Match[str]) -> str:
        url = url_of(int(marker[1]))
        return f"[\\[{marker[1]}\\]]({url})" if url else marker[0]

    return _DISPLAYED.sub(add_link, text)


def escape_displayed(text: str) -> str:
    """Return a document's text with what looks like a displayed marker escaped, code untouched."""
    return _CODE_OR_DISPLAYED.sub(lambda found: found[0] if found[1] else f"\\{found[0]}", text)


def unlink_displayed(text: str) -> str:
    """Return the text with plain markers in the place of linked ones."""
    return _LINKED.sub(lambda marker: f"[{marker[1] or marker[2]}]", text)


def strip_displayed(text: str) -> str:
    """Return an earlier answer without its markers, remarks and warnings: another answer numbers other passages."""
    return _DISAGREEMENT.sub("", _SHOWN.sub(lambda found: found[0] if found[1] else "", text))


def split_disagreements(text: str) -> tuple[str, str]:
    """Return a shown sentence without the remarks that passages say otherwise, and these remarks."""
    return _DISAGREEMENT.sub("", text), "".join(_DISAGREEMENT.findall(text))


class Numbering:
    """The displayed numbers of one answer's passages: from 1, in the order in which its text names them."""

    def __init__(self) -> None:
        self._displayed: dict[int, Passage] = {}

    @property
    def passages(self) -> tuple[Passage, ...]:
        """Return the passages that were displayed, with their displayed numbers, in order."""
        return tuple(self._displayed.values())

    def display_passages(self, *passages: Passage) -> tuple[Passage, ...]:
        """Return passages with their displayed numbers, in the order of these."""
        for passage in passages:
            if passage.n not in self._displayed:
                self._displayed[passage.n] = replace(passage, n=len(self._displayed) + 1)
        return tuple(sorted((self._displayed[passage.n] for passage in passages), key=lambda passage: passage.n))

    def clear(self) -> None:
        """Begin again from 1, as nothing was displayed yet."""
        self._displayed.clear()


def _find_markers(text: str) -> list[re.Match[str]]:
    bare = _CODE.sub(lambda code: "\0" * len(code[0]), text)
    return [marker for marker in _ONE.finditer(bare) if not _is_index(bare, marker)]


def _parse_numbers(marker: re.Match[str]) -> list[int]:
    listed = re.split(r"[\]】］†:：]", marker[0], maxsplit=1)[0]
    numbers: list[int] = []
    for first, last in _RANGE.findall(listed):
        numbers += range(int(first), min(int(last), int(first) + _RANGE_MOST) + 1)
    return numbers + [int(number) for number in re.findall(r"\d+", _RANGE.sub(" ", listed))]


def _is_index(text: str, marker: re.Match[str]) -> bool:
    """Tell an index like ``items[0]`` from a marker that was written close to its word."""
    before = text[marker.start() - 1 : marker.start()]
    return before.isascii() and before.isalnum() and marker[0][0] == "[" and _parse_numbers(marker) == [0]
