"""Compare a question with the single sentences of passages, and order the passages by their most similar one.

A passage of several sentences has one vector, which hides the sentence that answers. So the few first passages are
compared again, sentence by sentence, where their order matters: for extracts, and for a small model that reads three.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from bot.answering.events import Passage
from bot.answering.markdown.sentences import passage_sentences

CompareTexts = Callable[[str, Sequence[str]], Awaitable[NDArray[np.float32]]]
"""Return how similar a question is to each of some texts of documents; ``Library.compare_texts`` implements it."""
Similarities = Mapping[int, NDArray[np.float32]]
"""How similar a question is to each sentence (``passage_sentences``) of each passage, by the passage's number."""

COMPARED: Final = 5
"""Passages of which the sentences are compared: about 25 texts, which take 0.3 s on two cores."""
_RANK_STEP: Final = 0.01
"""What a passage has to be more similar by for each place that it moves up. Chosen on the questions in own words about
a gateway: the first passage holds the fact for 35 % of them, without comparing sentences for 27 %."""


async def compare_sentences(question: str, passages: Sequence[Passage], compare: CompareTexts) -> Similarities:
    """Return the similarities of the first passages.

    Raises:
        KnowledgeError: the embedder failed.

    """
    sentences = {passage.n: passage_sentences(passage.text) for passage in passages[:COMPARED]}
    paths = {passage.n: _format_path(passage) for passage in passages[:COMPARED]}
    texts = [f"{paths[n]}\n{sentence}".lstrip("\n") for n, found in sentences.items() for sentence in found]
    values = await compare(question, texts) if texts else np.zeros(0, np.float32)
    ends = np.cumsum([len(found) for found in sentences.values()])
    parts = np.split(values, ends[:-1]) if sentences else []
    return {n: part for n, part in zip(sentences, parts, strict=True) if part.size}


def order_passages(passages: Sequence[Passage], similarities: Similarities) -> tuple[tuple[Passage, ...], Similarities]:
    """Return the passages numbered in their new order, and their similarities by the new numbers."""
    compared = passages[:COMPARED]
    order = sorted(
        range(len(compared)),
        key=lambda rank: rank * _RANK_STEP - float(np.max(similarities.get(compared[rank].n, np.zeros(1)))),
    )
    ordered = [*(compared[rank] for rank in order), *passages[COMPARED:]]
    renumbered = {passage.n: n for n, passage in enumerate(ordered, 1)}
    return (
        tuple(replace(passage, n=renumbered[passage.n]) for passage in ordered),
        {renumbered[n]: values for n, values in similarities.items()},
    )


def _format_path(passage: Passage) -> str:
    heading = passage.heading.rpartition(" › ")[2]
    return " › ".join(part for part in (passage.title, heading) if part)
