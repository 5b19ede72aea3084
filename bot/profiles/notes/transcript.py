"""Reads the transcript of a conversation into exchanges, which are searched and cited by their lines. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from bot.errors import BotError
from knowledge.interfaces import MATERIAL, Chunk, Material
from knowledge.lexical.terms import index_terms

_SPEAKER: Final = re.compile(
    r"\s*(?:\[\d{1,2}(?::\d{2}){1,2}(?:[.,]\d{1,3})?\]\s*)?"
    r"(?:\[(?!\d+:)([^\[\]\n]{1,40})\]|((?:[^\W\d_]{1,4}\.\s*)?[^\W\d_][\w'’ -]{0,38})\s*[:：])\s*(.*)"
)
"""A name in brackets, or one before a colon, with a title such as "Dr." or without; a time in brackets may precede."""
_EXCHANGE_CHARACTERS: Final = 400
"""An exchange ends with the answer that makes it so long: a small model reads three of them."""


class TranscriptError(BotError):
    """A file is no transcript; the text names the next step."""


@dataclass(frozen=True, slots=True)
class Utterance:
    """What one speaker said without a break."""

    first: int
    """The number of its first line in the file, from 1."""
    last: int
    speaker: str
    text: str


def read_transcript(text: str) -> tuple[Utterance, ...]:
    """Return what was said; a line without a speaker goes on with the one before it.

    Raises:
        TranscriptError: no line names a speaker.

    """
    said: list[Utterance] = []
    for n, line in enumerate(text.splitlines(), 1):
        found = _SPEAKER.fullmatch(line)
        if found is not None:
            said.append(Utterance(n, n, (found[1] or found[2]).strip(), found[3].strip()))
        elif said and line.strip():
            before = said[-1]
            said[-1] = Utterance(before.first, n, before.speaker, f"{before.text} {line.strip()}".strip())
    if not said:
        raise TranscriptError(
            "The file is no transcript: no line begins with a speaker. Write lines such as “[doctor] How are you?” or"
            " “Doctor: How are you?”."
        )
    return tuple(said)


def make_material(said: Sequence[Utterance], name: str) -> Material:
    """Return a transcript as a material; the heading of each passage names its lines."""
    chunks = tuple(
        Chunk(
            f"lines {part[0].first}",
            MATERIAL,
            name,
            name,
            name_lines(part[0].first, part[-1].last),
            "\n".join(f"{one.speaker}: {one.text}" for one in part),
            None,
            kind="txt",
        )
        for part in _split_exchanges(said)
    )
    terms = tuple(index_terms(chunk.text) for chunk in chunks)
    return Material(name, name, None, "txt", chunks, terms, (None,) * len(chunks), is_given=True)


def name_lines(first: int, last: int) -> str:
    """Return how a citation names lines."""
    return f"l. {first}" if first == last else f"l. {first}–{last}"


def list_said(said: Sequence[Utterance], lines: str) -> Sequence[Utterance]:
    """Return what was said in lines that ``name_lines`` names."""
    numbers = [int(one) for one in re.findall(r"\d+", lines)]
    return [one for one in said if numbers[0] <= one.first <= numbers[-1]]


def _split_exchanges(said: Sequence[Utterance]) -> Iterator[Sequence[Utterance]]:
    """Yield what was said in parts that begin with the first speaker, who asks; long ones end at any other speaker."""
    part: list[Utterance] = []
    for one in said:
        length = sum(len(other.text) for other in part)
        is_long = length >= 2 * _EXCHANGE_CHARACTERS and one.speaker != part[-1].speaker
        if is_long or (one.speaker == said[0].speaker and length >= _EXCHANGE_CHARACTERS):
            yield part
            part = []
        part.append(one)
    yield part
