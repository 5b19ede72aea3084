"""Which passages a prompt shows, and in which order, so that the engine finds most of it in its prefix cache.

A passage's place is its number. What a conversation was shown stays where it was shown, word for word, as long as the
manifest lists it for the same readers; what a follow-up finds beyond that comes behind it. What is new stands in the
order of the documents, not in that of the ranks: another question over the same passages has the same beginning.
A question that finds nothing of what was shown is a new subject, and begins anew.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass, replace
from typing import Final

from knowledge.interfaces import Hit

Still = Callable[[Collection[str], Collection[str]], Awaitable[frozenset[str]]]
"""Which of some chunks are current still and may be read by all of some readers."""

NEW: Final = 2
"""Passages that a follow-up gets beside those that the conversation was shown; each one more is read anew."""
_MOST: Final = 15
"""Passages of a conversation; with more of them it begins anew."""
_CONVERSATIONS: Final = 300


@dataclass(frozen=True, slots=True)
class Placed:
    """A passage in its place."""

    hit: Hit
    since: str = ""
    """The question with which the conversation was shown it first; "" for the one that is asked now."""

    @property
    def chunks(self) -> tuple[str, ...]:
        """Return the ids of what it is made of."""
        return self.hit.chunks or (self.hit.id,)


class Places:
    """Remembers what each conversation was shown, in its order."""

    def __init__(self) -> None:
        self._shown: OrderedDict[str, tuple[Placed, ...]] = OrderedDict()

    def of(self, conversation: str) -> tuple[Placed, ...]:
        """Return what was shown last; nothing of a conversation that is not known."""
        return self._shown.get(conversation, ())

    def note(self, conversation: str, question: str, shown: Sequence[Placed]) -> None:
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


def placed(hits: Sequence[Hit], earlier: Sequence[Placed], still: Collection[str], most: int) -> list[Placed]:
    """Return what is shown, in its places.

    Args:
        hits: best first.
        earlier: what the conversation was shown, in its places.
        still: the ids of those chunks of it that may be shown still.
        most: how many are shown where nothing was.

    """
    found = {hit.id: hit for hit in hits}
    kept = [_seen_again(one, found) for one in earlier if set(one.chunks) <= set(still)]
    held = {chunk for one in kept for chunk in one.chunks}
    best = hits[:most]
    new = [hit for hit in best if not set(hit.chunks or (hit.id,)) <= held]
    new = new[:NEW] if kept else new
    if kept and (len(kept) + len(new) > _MOST or not any(hit.id in held for hit in best)):
        return placed(hits, (), (), most)
    return [*kept, *map(Placed, sorted(new, key=lambda hit: (hit.source, hit.document, hit.heading, hit.id)))]


def _seen_again(one: Placed, found: dict[str, Hit]) -> Placed:
    """Return a passage as it was shown, with when its document was last seen, where that is known anew."""
    again = found.get(one.hit.id)
    return one if again is None else replace(one, hit=replace(one.hit, synced_at=again.synced_at))
