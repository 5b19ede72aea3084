"""Join a hit to a readable passage: neighbours are added if it is short or its section was split.

The citation stays the hit itself; ``Hit.context`` is the text that a model reads. A neighbour is joined only if the
manifest lists it now, in the same document, at the next place and for the same readers.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from knowledge.interfaces import Chunk, CurrentChunk, Store
from knowledge.stores.common import run_both
from knowledge.sync.manifest.records import is_intact

CurrentChunks = Callable[[Collection[str]], Awaitable[Mapping[str, CurrentChunk]]]
"""Returns the current ones of these chunk ids from the manifest. Other ids may not be shown."""

Neighbours = Callable[[Collection[str], int], Awaitable[Mapping[str, tuple[Sequence[str], Sequence[str]]]]]
"""Return the current chunks before and after each of these in its document, at most so many."""

_SEPARATOR: Final = " › "
_BYTES_PER_TOKEN: Final = 4
"""Tokens of the embedder's vocabulary, in English and Chinese. An exact count would cost more than the search."""


@dataclass(frozen=True, slots=True)
class JoinLimits:
    """Limits for joining, in estimated tokens."""

    reach: int = 2
    """Chunks on either side."""
    short: int = 120
    """A shorter hit is joined with chunks of related sections."""
    short_with_others: int = 320
    """Limit for a short hit with chunks of other sections."""
    most: int = 640
    """Limit for a passage: two full chunks."""


JOIN_LIMITS: Final = JoinLimits()


@dataclass(frozen=True, slots=True)
class JoinedPassage:
    """A hit with its joined neighbours."""

    text: str
    """The joined text; "" if nothing was joined."""
    chunks: tuple[str, ...]
    """The ids of its chunks, in the document's order."""


@dataclass(frozen=True, slots=True)
class JoinResult:
    """The passages of some hits, and the manifest's rows for their chunks."""

    passages: Mapping[str, JoinedPassage]
    """The passages by the hit's id. A hit within the passage of a better one has none."""
    current: Mapping[str, CurrentChunk]
    """The manifest's rows for the hits, the known chunks and the neighbours."""
    neighbours_of_hits: frozenset[str]
    missing: frozenset[str]
    """Neighbours that are no longer listed or have no right row, so that their passages lack them."""
    damaged: frozenset[str]
    """Neighbours whose rows have another text than the manifest says."""


async def join_passages(
    store: Store, current: CurrentChunks, neighbours: Neighbours, hits: Sequence[Chunk], known: Mapping[str, Chunk]
) -> JoinResult:
    """Return the passage of each hit.

    If a hit is listed differently now, its document has changed, and neighbours of other hits may belong to another
    version. If its readers changed, those of its neighbours changed too.

    Args:
        store: has the rows of neighbours.
        current: returns what the manifest lists.
        neighbours: returns the neighbours of chunks from the manifest.
        hits: best first.
        known: chunks that need not be fetched, by their ids.

    Raises:
        StoreError, DatabaseError: that part failed.

    """
    near = await neighbours([hit.id for hit in hits], JOIN_LIMITS.reach)
    adjacent = {id_ for before, after in near.values() for id_ in (*before, *after)}
    unknown = sorted(adjacent - known.keys())
    ids = {*adjacent, *known, *(hit.id for hit in hits)}
    listed, rows = await run_both(current(ids), store.read_rows(unknown))
    damaged = find_damaged((row.chunk for row in rows), listed)
    chunks = {**known, **{row.chunk.id: row.chunk for row in rows if row.chunk.id not in damaged}}
    found = {hit.id for hit in hits}
    passages: dict[str, JoinedPassage] = {}
    used_ids: set[str] = set()
    for hit in hits:
        if hit.id in used_ids:
            continue
        before, after = near.get(hit.id, ((), ()))
        line = [id_ for id_ in (*before, hit.id, *after) if id_ in chunks and id_ not in used_ids]
        line = [id_ for id_ in line if id_ not in found or _is_same_section(hit, chunks[id_])]
        parts = grow_passage(hit, [chunks[id_] for id_ in _find_unbroken_stretch(hit.id, line, listed)], JOIN_LIMITS)
        used_ids.update(part.id for part in parts)
        text = format_passage(hit, parts) if len(parts) > 1 else ""
        passages[hit.id] = JoinedPassage(text, tuple(part.id for part in parts))
    missing = frozenset(id_ for id_ in adjacent if id_ not in listed or id_ not in chunks)
    return JoinResult(passages, listed, frozenset(adjacent), missing, damaged)


def _find_unbroken_stretch(hit: str, line: Sequence[str], listed: Mapping[str, CurrentChunk]) -> list[str]:
    """Return the chunks around a hit that are consecutive in its document and have the same readers."""
    mine = listed.get(hit)
    if mine is None:
        return [hit]
    ours = [id_ for id_ in line if id_ in listed and (listed[id_].row, listed[id_].readers) == (mine.row, mine.readers)]
    place = ours.index(hit)
    start = end = place
    while start and listed[ours[start - 1]].place == listed[ours[start]].place - 1:
        start -= 1
    while end + 1 < len(ours) and listed[ours[end + 1]].place == listed[ours[end]].place + 1:
        end += 1
    return ours[start : end + 1]


def find_damaged(chunks: Iterable[Chunk], listed: Mapping[str, CurrentChunk]) -> frozenset[str]:
    """Return the listed chunks whose text is not the one that was indexed, as after a fault of a disk."""
    return frozenset(one.id for one in chunks if one.id in listed and not is_intact(one, listed[one.id].text_hash))


# ── Pure ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def grow_passage(hit: Chunk, line: Sequence[Chunk], room: JoinLimits) -> list[Chunk]:
    """Return the hit and its joined neighbours in order; ``line`` has consecutive chunks around it.

    Adds the next chunk after and the next chunk before in turn, until a side ends or the limit is reached.
    """
    place = next(n for n, chunk in enumerate(line) if chunk.id == hit.id)
    start = end = place
    tokens = _estimate_tokens(hit)
    open_ends = [1, -1]
    while open_ends:
        side = open_ends.pop(0)
        other = end + 1 if side > 0 else start - 1
        if not 0 <= other < len(line):
            continue
        tokens += _estimate_tokens(line[other])
        if tokens > _choose_limit(hit, line[other], room):
            tokens -= _estimate_tokens(line[other])
            continue
        start, end = min(start, other), max(end, other)
        open_ends.append(side)
    return list(line[start : end + 1])


def _estimate_tokens(chunk: Chunk) -> int:
    return len(chunk.text.encode(errors="replace")) // _BYTES_PER_TOKEN


def _choose_limit(hit: Chunk, other: Chunk, room: JoinLimits) -> int:
    """Return the size limit of a passage with this neighbour, 0 if the two are unrelated."""
    if _is_same_section(hit, other):
        return room.most
    if _estimate_tokens(hit) < room.short and _are_related(hit.heading, other.heading):
        return room.short_with_others
    return 0


def _is_same_section(one: Chunk, other: Chunk) -> bool:
    """Return whether the two come from one section. Hits of other sections are cited with their own links."""
    return (one.heading, one.url) == (other.heading, other.url)


def _are_related(one: str, other: str) -> bool:
    """Return whether one section is within the other, or both are within one."""
    mine, theirs = one.split(_SEPARATOR), other.split(_SEPARATOR)
    shorter = min(len(mine), len(theirs))
    return mine[:shorter] == theirs[:shorter] or (len(mine) == len(theirs) and mine[:-1] == theirs[:-1] != [])


def format_passage(hit: Chunk, parts: Sequence[Chunk]) -> str:
    """Return the parts as one text, with headings of other sections, and without repeated table heads."""
    text = _add_heading(parts[0], hit.heading)
    for before, part in pairwise(parts):
        rows = _drop_table_head(before.text, part.text) if before.heading == part.heading else None
        text += f"\n{rows}" if rows is not None else f"\n\n{_add_heading(part, before.heading)}"
    return text


def _add_heading(part: Chunk, current: str) -> str:
    if part.heading == current or not part.heading:
        return part.text
    return f"{part.heading.rpartition(_SEPARATOR)[2]}\n{part.text}"


def _drop_table_head(before: str, text: str) -> str | None:
    """Return the further rows of a table without its repeated head, or None if it is no table."""
    head = text.split("\n", 2)
    if len(head) < 3 or not all(line.lstrip().startswith("|") for line in head[:2]):  # noqa: PLR2004 - head, rule, rows
        return None
    rows = before.rsplit("\n\n", 1)[-1].split("\n")
    goes_on = rows[:2] == head[:2] and rows[-1].lstrip().startswith("|")
    return head[2] if goes_on else None
