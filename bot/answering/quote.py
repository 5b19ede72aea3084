"""The best passages, quoted word for word: what is shown when there is no answer of a model to show. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from bot.answering.claims import content_words
from bot.answering.events import Passage
from bot.answering.quantities import normal
from bot.answering.sentences import Piece, split, unwrap

QUOTED_PASSAGES = 3
_QUOTE_CHARS = 320
_QUOTE_PIECES = 3
_NEARLY = 0.03
"""In likeness to the question; the embedder's likenesses lie between 0.75 and 0.95."""
_BREAKS = re.compile(r"\n{2,}")


def quoted(
    question: str, passages: Sequence[Passage], likeness: Mapping[int, NDArray[np.float32]] | None = None
) -> tuple[str, tuple[Passage, ...]]:
    """Return Markdown that quotes the stretch of each of the best passages that fits the question, and those passages.

    Args:
        question: as asked.
        passages: best first.
        likeness: how alike the question is to each sentence of each passage, by number, where it is known; else
            shared words decide.

    """
    chosen = _fitting(passages[:QUOTED_PASSAGES], likeness or {})
    blocks = [_block(passage, excerpt(question, passage, (likeness or {}).get(passage.n))) for passage in chosen]
    return "\n\n".join(blocks), chosen


def _fitting(passages: Sequence[Passage], likeness: Mapping[int, NDArray[np.float32]]) -> tuple[Passage, ...]:
    """Return the first passage, and those that are nearly as alike to the question as the most alike one."""
    best = {n: float(found.max()) for n, found in likeness.items() if len(found)}
    least = max(best.values(), default=0.0) - _NEARLY
    return tuple(p for rank, p in enumerate(passages) if rank == 0 or best.get(p.n, least) >= least)


def excerpt(question: str, passage: Passage, likeness: NDArray[np.float32] | None = None) -> str:
    """Return the few lines of a passage around the sentence that fits the question best."""
    pieces = split(unwrap(passage.text))
    spoken = [number for number, piece in enumerate(pieces) if piece.text]
    if not spoken:
        return ""
    words = content_words(normal(question))
    scores = np.array([len(words & content_words(normal(pieces[number].text))) for number in spoken], np.float64)
    scores = scores / max(1, len(words))
    if likeness is not None and len(likeness) == len(spoken):
        scores += 10.0 * (likeness - likeness.max())  # the model's likenesses lie close together, a tenth apart at most
    first = spoken[int(scores.argmax())]
    return _around(pieces, first)


def _around(pieces: Sequence[Piece], first: int) -> str:
    """Return a few whole pieces, from ``first`` on as far as there are any; what introduces it comes along."""
    start = first
    while start > 0 and (pieces[start - 1].text.endswith((":", "：")) or pieces[start - 1].kind == "table"):
        start -= 1
    end, size, spoken = start, 0, 0
    while end < len(pieces) and (end <= first or (spoken < _QUOTE_PIECES and size < _QUOTE_CHARS)):
        if end > first and pieces[end].kind == "heading":
            break
        size += len(pieces[end].text)
        spoken += bool(pieces[end].text)
        end += 1
    while start > 0 and spoken < _QUOTE_PIECES and size < _QUOTE_CHARS and pieces[start - 1].kind != "heading":
        start -= 1
        size += len(pieces[start].text)
        spoken += bool(pieces[start].text)
    text = "".join(piece.lead + piece.text + piece.tail for piece in pieces[start:end])
    return _BREAKS.sub("\n", text).strip()


def _block(passage: Passage, text: str) -> str:
    lines = "\n".join(f"> {line}" for line in text.splitlines())
    return f"**{path_of(passage)}** [{passage.n}]\n{lines}" if lines else f"**{path_of(passage)}** [{passage.n}]"


def listed(passages: Sequence[Passage]) -> str:
    """Return a short list of passages by their titles, with markers."""
    return "\n".join(f"- {path_of(passage)} [{passage.n}]" for passage in passages)


def path_of(passage: Passage) -> str:
    """Return where a passage stands, for a person: title and innermost heading, without Markdown's marks."""
    heading = passage.heading.rsplit(" › ", 1)[-1]
    parts = [part for part in (passage.title or passage.document, heading) if part]
    path = " › ".join(dict.fromkeys(parts))
    return re.sub(r"[*_`\[\]<>#|]", "", path).strip() or passage.document
