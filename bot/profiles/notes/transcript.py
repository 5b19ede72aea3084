"""Reads the transcript of a conversation into exchanges, which are searched and cited by their lines. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from bot.errors import BotError
from bot.messages import notes as texts
from knowledge.interfaces import MATERIAL, Chunk, Material
from knowledge.lexical.terms import index_terms

_SPEAKER: Final = re.compile(
    r"\s*(?:\[\d{1,2}(?::\d{2}){1,2}(?:[.,]\d{1,3})?\]\s*)?"
    r"(?:\[(?!\d+:)([^\[\]\n]{1,40})\]|((?:[^\W\d_]{1,4}\.\s*)?[^\W\d_][\w'’ -]{0,38})\s*[:：])\s*(.*)"
)
"""A name in brackets, or one before a colon, with a title such as "Dr." or without; a time in brackets may precede."""
_EXCHANGE_CHARACTERS: Final = 400
"""An exchange ends with the answer that makes it so long: a small model reads three of them."""
_MAX_LINE_CHARACTERS: Final = 10_000


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
    """Return what was said; a line without a speaker goes on with the one before it, unless that is long already.

    Raises:
        TranscriptError: no line names a speaker and says something, or a line is too long.

    """
    said: list[Utterance] = []
    for n, line in enumerate(text.splitlines(), 1):
        if len(line) > _MAX_LINE_CHARACTERS:
            raise TranscriptError(texts.LINE_TOO_LONG.fill(n=n, characters=_MAX_LINE_CHARACTERS))
        found = _SPEAKER.fullmatch(line)
        if found is not None:
            said.append(Utterance(n, n, (found[1] or found[2]).strip(), found[3].strip()))
        elif said and line.strip():
            before = said[-1]
            if len(before.text) < _EXCHANGE_CHARACTERS:
                said[-1] = Utterance(before.first, n, before.speaker, f"{before.text} {line.strip()}".strip())
            else:
                said.append(Utterance(n, n, before.speaker, line.strip()))
    said = [one for one in said if one.text]
    if not said:
        raise TranscriptError(texts.NO_TRANSCRIPT)
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
    """Yield what was said in parts that begin with the first speaker, who asks.

    Long ones end at any other speaker, and very long ones anywhere.
    """
    part: list[Utterance] = []
    length = 0
    for one in said:
        most = _EXCHANGE_CHARACTERS
        if one.speaker != said[0].speaker:
            most *= 2 if part and one.speaker != part[-1].speaker else 4
        if length >= most:
            yield part
            part, length = [], 0
        part.append(one)
        length += len(one.text)
    yield part
