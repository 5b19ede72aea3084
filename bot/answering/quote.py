"""The best passages, quoted word for word: what is shown when there is no answer of a model to show. Pure."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from bot.answering.citations import Numbering
from bot.answering.events import Passage
from bot.answering.foreign import hosts, without_foreign_links
from bot.answering.sentences import Piece, split, unwrap
from bot.answering.verification.claims import content_words
from bot.answering.verification.quantities import normal

QUOTED_PASSAGES = 3
_WHOLE_CHARS = 700
"""A passage up to this is quoted whole, and of a longer one about as much."""
_NEARLY = 0.03
"""In likeness to the question; the embedder's likenesses lie between 0.75 and 0.95."""


def quoted(
    question: str,
    passages: Sequence[Passage],
    numbering: Numbering,
    likeness: Mapping[int, NDArray[np.float32]] | None = None,
) -> str:
    """Return Markdown that quotes the stretch of each of the best passages that fits the question.

    Args:
        question: as asked.
        passages: best first.
        numbering: gives them their displayed numbers.
        likeness: how alike the question is to each sentence of each passage, by number, where it is known; else
            shared words decide.

    """
    chosen = _fitting(passages[:QUOTED_PASSAGES], likeness or {})
    excerpts = [excerpt(question, passage, (likeness or {}).get(passage.n)) for passage in chosen]
    shown = [numbering.display(passage)[0] for passage in chosen]
    return "\n\n".join(_block(passage, text) for passage, text in zip(shown, excerpts, strict=True))


def _fitting(passages: Sequence[Passage], likeness: Mapping[int, NDArray[np.float32]]) -> tuple[Passage, ...]:
    """Return the first passage, and those that are nearly as alike to the question as the most alike one."""
    best = {n: float(found.max()) for n, found in likeness.items() if len(found)}
    least = max(best.values(), default=0.0) - _NEARLY
    return tuple(p for rank, p in enumerate(passages) if rank == 0 or best.get(p.n, least) >= least)


def excerpt(question: str, passage: Passage, likeness: NDArray[np.float32] | None = None) -> str:
    """Return a short passage whole; of a longer one, the blocks around the sentence that fits the question best."""
    pieces = split(unwrap(passage.text))
    spoken = [number for number, piece in enumerate(pieces) if piece.text]
    if not spoken:
        return ""
    if len(passage.text) <= _WHOLE_CHARS:
        return _written(pieces)
    words = content_words(normal(question))
    scores = np.array([len(words & content_words(normal(pieces[number].text))) for number in spoken], np.float64)
    scores = scores / max(1, len(words))
    if likeness is not None and len(likeness) == len(spoken):
        scores += 10.0 * (likeness - likeness.max())  # the model's likenesses lie close together, a tenth apart at most
    return _around(pieces, spoken[int(scores.argmax())])


def _around(pieces: Sequence[Piece], first: int) -> str:
    """Return whole blocks around a piece, within one heading, as many as make up a short passage."""
    starts = _block_starts(pieces)
    blocks = [pieces[start:end] for start, end in pairwise([*starts, len(pieces)])]
    hit = bisect_right(starts, first) - 1
    if _is_long_prose(blocks[hit]):
        return _written(_beginning(blocks[hit], first - starts[hit]))
    end, steps = hit + 1, hit
    while steps and _is_item(blocks[steps][0]) and any(map(_is_item, blocks[steps - 1])):
        steps -= 1
    start = steps if _size(blocks[steps:end]) <= _WHOLE_CHARS else hit
    while end < len(blocks) and blocks[end][0].kind != "heading" and _size(blocks[start : end + 1]) <= _WHOLE_CHARS:
        end += 1
    while start and blocks[start][0].kind != "heading" and _size(blocks[start - 1 : end]) <= _WHOLE_CHARS:
        start -= 1
    return _written([piece for block in blocks[start:end] for piece in block])


def _block_starts(pieces: Sequence[Piece]) -> list[int]:
    """Return where blocks begin: paragraphs, tables, code, list items with all that is indented under them.

    What introduces a block (a heading, a line that ends with a colon) belongs to it.
    """
    starts: list[int] = []
    for number, piece in enumerate(pieces):
        if not starts or not (piece.kind == "blank" or _goes_on(pieces, starts[-1], number)):
            starts.append(number)
    return starts


def _goes_on(pieces: Sequence[Piece], start: int, number: int) -> bool:
    """Tell whether a piece belongs to the block that began at ``start``."""
    piece, before = pieces[number], pieces[number - 1]
    if not before.ends_line and before.kind != "code":
        return True
    if before.kind == piece.kind == "table" or (_is_quote(before) and _is_quote(piece)):
        return True
    said = [other for other in pieces[start:number] if other.text]
    if not said or said[-1].kind == "heading" or said[-1].text.rstrip("*_").endswith((":", "：")):
        return True
    items = [other for other in said if _is_item(other)]
    return bool(items) and _indent(piece) > _indent(items[0])


def _is_item(piece: Piece) -> bool:
    return piece.kind == "item" and bool(piece.lead) and not _is_quote(piece)


def _is_quote(piece: Piece) -> bool:
    return piece.lead.lstrip().startswith(">")


def _indent(piece: Piece) -> int:
    line = piece.lead + piece.text
    return len(line) - len(line.lstrip(" \t"))


def _is_long_prose(block: Sequence[Piece]) -> bool:
    return _size([block]) > _WHOLE_CHARS and all(piece.kind in {"prose", "blank", "heading"} for piece in block)


def _beginning(block: Sequence[Piece], first: int) -> Sequence[Piece]:
    """Return the sentences of a long paragraph up to ``first``, and more while it is short."""
    end = first + 1
    while end < len(block) and _size([block[: end + 1]]) <= _WHOLE_CHARS:
        end += 1
    return block[:end]


def _size(blocks: Sequence[Sequence[Piece]]) -> int:
    return sum(len(piece.lead + piece.text + piece.tail) for block in blocks for piece in block)


def _written(pieces: Sequence[Piece]) -> str:
    """Return pieces as they stand in the passage, with one blank line where there are several."""
    kept = [piece for number, piece in enumerate(pieces) if piece.kind != "blank" or pieces[number - 1].kind != "blank"]
    return "".join(piece.lead + piece.text + piece.tail for piece in kept).strip("\n").rstrip()


def _block(passage: Passage, text: str) -> str:
    text = without_foreign_links(text, hosts([passage])) if passage.web else text
    lines = "\n".join(f"> {line}".rstrip() for line in text.splitlines())
    return f"**{path_of(passage)}** [{passage.n}]\n{lines}" if lines else f"**{path_of(passage)}** [{passage.n}]"


def listed(passages: Sequence[Passage]) -> str:
    """Return a short list of passages by their titles, with markers."""
    return "\n".join(f"- {path_of(passage)} [{passage.n}]" for passage in passages)


def path_of(passage: Passage) -> str:
    """Return where a passage stands, for a person: title, innermost heading and host, without Markdown's marks."""
    heading = passage.heading.rsplit(" › ", 1)[-1]
    parts = [part for part in (passage.title or passage.document, heading) if part]
    path = " › ".join(dict.fromkeys(parts))
    if passage.web is not None:
        return f"{_plain(path) or passage.web.host} ({passage.web.host})"
    return _plain(path) or passage.document


def _plain(path: str) -> str:
    return re.sub(r"[*_`\[\]<>#|]", "", path).strip()
