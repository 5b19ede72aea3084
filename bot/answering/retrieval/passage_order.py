"""Choose and order the passages of a prompt so that most of it is in the engine's prefix cache.

A passage's place is its number. A passage that a conversation has seen keeps its place and its text as long as all
viewers may read it. New passages of a follow-up come behind, if their scores are close to the best. They are in the
order of their documents, not of their ranks, so that another question over the same passages has the same beginning. A
question that is no follow-up and finds none of the documents seen before is a new subject: its prompt starts over.
Passages of a question's materials come behind those of earlier answers, in reading order. Like pages of the web they
belong to one answer, and no conversation remembers them.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from knowledge.interfaces import Hit, Viewers
from knowledge.latest_entries import LatestEntries

FindReadableChunks = Callable[[Collection[str], Viewers], Awaitable[frozenset[str]]]
"""Returns which of some chunks are still current and may be read by all viewers."""

MOST: Final = 24
"""Passages of a conversation; with more the prompt starts over."""
_SAME_SUBJECT: Final = 2
"""New passages of a follow-up whose best hit its conversation has seen. Each costs the engine time."""
_BETTER_HITS: Final = 3
"""New passages of a follow-up whose conversation has seen another hit than the best one."""
_NEW_SUBJECT: Final = 5
"""New passages of a follow-up whose conversation has seen none of the hits: the subject is new."""
CLOSE: Final = 0.6
"""The share of the best hit's score that a hit needs. Hits below answered no follow-up in the measurements, and a
small model takes them for the answer. Of 251 questions to a real documentation with an answer among the first three
passages, none loses it.
"""
_CONVERSATIONS: Final = 300


@dataclass(frozen=True, slots=True)
class PlacedPassage:
    """A passage with the question that found it."""

    hit: Hit
    since: str = ""
    """The earlier question that found it first; "" for the question at hand."""

    @property
    def chunks(self) -> tuple[str, ...]:
        """Return the ids of its chunks."""
        return self.hit.chunks or (self.hit.id,)


class ConversationPassages:
    """Remembers which passages each conversation has seen, in order."""

    def __init__(self) -> None:
        self._shown: LatestEntries[str, tuple[PlacedPassage, ...]] = LatestEntries(_CONVERSATIONS)

    def list_passages(self, conversation: str) -> tuple[PlacedPassage, ...]:
        """Return the passages of a conversation; none if it is unknown."""
        return self._shown.get(conversation, ())

    def note_passages(self, conversation: str, question: str, passages: Sequence[PlacedPassage]) -> None:
        """Remember the passages of a conversation; beyond a limit, forget the least recently used one."""
        if not conversation:
            return
        remembered = [one for one in passages if one.hit.material is None]
        self._shown[conversation] = tuple(replace(one, since=one.since or question) for one in remembered)

    def forget_conversation(self, conversation: str) -> None:
        """Forget a conversation; "" for all."""
        if conversation:
            self._shown.pop(conversation, None)
        else:
            self._shown.clear()


def place_hits(
    hits: Sequence[Hit],
    earlier: Sequence[PlacedPassage],
    readable: Collection[str],
    most: int,
    *,
    is_follow_up: bool,
) -> list[PlacedPassage]:
    """Return the passages of a prompt, in order.

    Args:
        hits: best first.
        earlier: what the conversation has seen, in order.
        readable: the ids of those chunks of it that the viewers may still read.
        most: how many are shown if the conversation has seen none.
        is_follow_up: whether the question cannot be understood without those before it.

    """
    places = [(hit.material.place, hit) for hit in hits if hit.material is not None]
    materials = [PlacedPassage(hit) for _, hit in sorted(places, key=lambda one: one[0])]
    best = [hit for hit in hits if hit.material is None][:most]
    seen_at = {hit.id: hit.synced_at for hit in hits}
    earlier_passages = [
        replace(one, hit=replace(one.hit, synced_at=seen_at.get(one.hit.id, one.hit.synced_at)))
        for one in earlier
        if set(one.chunks) <= set(readable)
    ]
    held = {chunk for one in earlier_passages for chunk in one.chunks}
    ours = [hit for hit in best if not hit.web]
    again = [hit.id in held for hit in ours]
    new = [hit for hit in ours if hit.id not in held and hit.score >= CLOSE * ours[0].score]
    new = new[: _NEW_SUBJECT if not any(again) else _SAME_SUBJECT if again[0] else _BETTER_HITS]
    new += [hit for hit in best if hit.web]  # a page of the web is of one answer, and new to each
    goes_on = bool(earlier_passages and best) and (
        any(again) or is_follow_up or _list_documents(best) & _list_documents(one.hit for one in earlier_passages)
    )
    if not goes_on or len(earlier_passages) + len(new) > MOST:
        return [*materials, *(PlacedPassage(hit) for hit in _sort_hits(best))]
    return [*earlier_passages, *materials, *(PlacedPassage(_strip_shown_context(hit, held)) for hit in _sort_hits(new))]


def _list_documents(hits: Iterable[Hit]) -> set[tuple[str, str]]:
    return {(hit.source, hit.document) for hit in hits}


def _sort_hits(hits: Sequence[Hit]) -> list[Hit]:
    """Return hits in the order of their documents, pages of the web last."""
    return sorted(hits, key=lambda hit: (hit.web is not None, hit.source, hit.document, hit.heading, hit.id))


def _strip_shown_context(hit: Hit, held: set[str]) -> Hit:
    """Return a hit without its context if a part of that is shown already."""
    return hit if held.isdisjoint(hit.chunks) else replace(hit, context="", chunks=(hit.id,))
