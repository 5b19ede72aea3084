"""Which passages a prompt shows, and in which order, so that the engine finds most of it in its prefix cache.

A passage's place is its number. What a conversation was shown stays where it was shown, word for word, as long as the
manifest lists it for the same readers; what a follow-up finds beyond that comes behind it, and only as much of it as
scores close to the best. What is new stands in the order of the documents, not in that of the ranks: another question
over the same passages has the same beginning. A question that can be understood alone and finds nothing of the
documents that were shown is a new subject, and begins anew.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from knowledge.interfaces import Hit

FindReadableChunks = Callable[[Collection[str], Collection[str]], Awaitable[frozenset[str]]]
"""Which of some chunks are current readable and may be read by all of some readers."""

MOST: Final = 24
"""Passages of a conversation; with more of them it begins anew."""
_SAME_SUBJECT: Final = 2
"""Passages that a follow-up gets beside those that its conversation was shown, where the best that it finds is among
those; each one more is read anew."""
_BETTER_HITS: Final = 3
"""The same where others that it finds are."""
_NEW_SUBJECT: Final = 5
"""The same where none is: it is about another thing in the same conversation."""
CLOSE: Final = 0.6
"""Of the best hit's score. What is further behind answers no follow-up, as measured, and is read anew all the same.

A small model takes it for the answer, and it is none: of 251 questions to a real documentation with an answer among the
first three passages, none loses it.
"""
_CONVERSATIONS: Final = 300


@dataclass(frozen=True, slots=True)
class PlacedPassage:
    """A passage in its place."""

    hit: Hit
    since: str = ""
    """The question with which the conversation was shown it first; "" for the one that is asked now."""

    @property
    def chunks(self) -> tuple[str, ...]:
        """Return the ids of what it is made of."""
        return self.hit.chunks or (self.hit.id,)


class ConversationPassages:
    """Remembers what each conversation was shown, in its order."""

    def __init__(self) -> None:
        self._shown: OrderedDict[str, tuple[PlacedPassage, ...]] = OrderedDict()

    def of(self, conversation: str) -> tuple[PlacedPassage, ...]:
        """Return what was shown last; nothing of a conversation that is not known."""
        return self._shown.get(conversation, ())

    def note(self, conversation: str, question: str, shown: Sequence[PlacedPassage]) -> None:
        """Remember what is shown now; of very many conversations, the one that rested longest is forgotten."""
        if not conversation:
            return
        self._shown[conversation] = tuple(replace(one, since=one.since or question) for one in shown)
        self._shown.move_to_end(conversation)
        if len(self._shown) > _CONVERSATIONS:
            self._shown.popitem(last=False)

    def forget(self, conversation: str) -> None:
        """Let a conversation begin anew."""
        self._shown.pop(conversation, None)


def place_hits(
    hits: Sequence[Hit],
    earlier: Sequence[PlacedPassage],
    readable: Collection[str],
    most: int,
    *,
    is_follow_up: bool,
) -> list[PlacedPassage]:
    """Return what is shown, in its places.

    Args:
        hits: best first.
        earlier: what the conversation was shown, in its places.
        readable: the ids of those chunks of it that may be shown readable.
        most: how many are shown where nothing was.
        is_follow_up: whether the question cannot be understood without those before it.

    """
    best = hits[:most]
    seen_at = {hit.id: hit.synced_at for hit in hits}
    kept = [
        replace(one, hit=replace(one.hit, synced_at=seen_at.get(one.hit.id, one.hit.synced_at)))
        for one in earlier
        if set(one.chunks) <= set(readable)
    ]
    held = {chunk for one in kept for chunk in one.chunks}
    ours = [hit for hit in best if not hit.web]
    again = [hit.id in held for hit in ours]
    new = [hit for hit in ours if hit.id not in held and hit.score >= CLOSE * ours[0].score]
    new = new[: _NEW_SUBJECT if not any(again) else _SAME_SUBJECT if again[0] else _BETTER_HITS]
    new += [hit for hit in best if hit.web]  # a page of the web is of one answer, and new to each
    goes_on = bool(kept and best) and (
        any(again) or is_follow_up or _documents(best) & _documents(one.hit for one in kept)
    )
    if not goes_on or len(kept) + len(new) > MOST:
        return [PlacedPassage(hit) for hit in _sort_hits(best)]
    return [*kept, *(PlacedPassage(_strip_shown_context(hit, held)) for hit in _sort_hits(new))]


def _documents(hits: Iterable[Hit]) -> set[tuple[str, str]]:
    return {(hit.source, hit.document) for hit in hits}


def _sort_hits(hits: Sequence[Hit]) -> list[Hit]:
    """Return new passages as they stand: documents first, and pages of the web behind them."""
    return sorted(hits, key=lambda hit: (hit.web is not None, hit.source, hit.document, hit.heading, hit.id))


def _strip_shown_context(hit: Hit, held: set[str]) -> Hit:
    """Return a hit without what stands around it, where a part of that is shown already."""
    return hit if held.isdisjoint(hit.chunks) else replace(hit, context="", chunks=(hit.id,))
