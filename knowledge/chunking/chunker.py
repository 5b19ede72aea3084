"""Documents to passages: chunks that follow the headings, carry their title path and keep their ids.

A chunk is embedded with its title path in front; both together stay under what the embedder reads. Within a section
the breaks are chosen by what stands around them, not counted from the section's beginning, so that a paragraph put in
somewhere moves the breaks near it and no others.
"""

from __future__ import annotations

import hashlib
import uuid
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote

from knowledge.chunking.blocks import Block, BlockKind, CountTokens, Unit, group_units, split_blocks
from knowledge.interfaces import Chunk, Document, Section

VERSION: Final = 1
"""Raise it when the same bytes become other chunks (here or in a parser): every document is then cut anew."""

TARGET_TOKENS: Final = 320
"""Up to which blocks are packed into one chunk."""

MAX_TOKENS: Final = 480
"""Of a chunk and its title path together; a single paragraph up to this stays whole. The embedder reads 512, its
prefix and special tokens included."""

_MAX_PATH_TOKENS = 120
_TINY_TOKENS = 32
"""A section with less is merged with the equally tiny sections beside it, and a last chunk with the one before."""
_SEPARATOR = " › "
_MAX_TITLE_CHARACTERS = 200
_MAX_STEP_CHARACTERS = 80
_SHORT_STEP_CHARACTERS = 24
_SAFE_IN_FRAGMENT = "=-_.~:!"


@dataclass(frozen=True, slots=True)
class _Draft:
    """A chunk's text and place, before it is given its id."""

    heading: str
    anchor: str | None
    text: str


def chunk_document(
    document: Document,
    *,
    source: str,
    document_id: str,
    url: str | None,
    readers: frozenset[str],
    count_tokens: CountTokens,
) -> list[Chunk]:
    """Split a document into chunks, in reading order; linear in its length.

    ``source`` is the ``SourceKey.id``, ``url`` the document's own; a chunk's leads to its section where that is known.
    """
    title = _shorten_title(document.title, count_tokens)
    seen: Counter[_Draft] = Counter()
    chunks = []
    for draft in _draft_chunks(title, document.sections, count_tokens):
        occurrence = seen[draft]
        seen[draft] += 1
        chunks.append(
            Chunk(
                id=make_chunk_id(source, document_id, title, draft.heading, draft.anchor, occurrence, draft.text),
                source=source,
                document=document_id,
                title=title,
                heading=draft.heading,
                text=draft.text,
                url=_build_link(url, draft.anchor),
                readers=readers,
            )
        )
    return chunks


def make_chunk_id(  # noqa: PLR0917 - all that a passage is told apart by
    source: str, document: str, title: str, heading: str, anchor: str | None, occurrence: int, text: str
) -> str:
    """Return the passage's UUID: equal if and only if it is the same text at the same place.

    The place is the title, the heading path, where a link to it leads, and which of the *identical* passages there it
    is: never a position, which any insertion before it would change.
    """
    parts = (source, document, title, heading, anchor or "", str(occurrence), text)
    digest = hashlib.sha256()
    for part in parts:
        encoded = part.encode("utf-8", "surrogatepass")
        digest.update(len(encoded).to_bytes(8, "big") + encoded)
    return str(uuid.UUID(bytes=digest.digest()[:16], version=5))


def _draft_chunks(title: str, sections: Iterable[Section], count_tokens: CountTokens) -> Iterator[_Draft]:
    for group in _group_sections(sections, count_tokens):
        first = group[0]
        headings = first.headings if len(group) == 1 else first.headings[:-1]
        heading = _shorten_heading(headings, count_tokens)
        limit = MAX_TOKENS - count_tokens(_SEPARATOR.join((title, heading)))
        text = first.text if len(group) == 1 else "\n\n".join(map(_format_under_heading, group))
        blocks = split_blocks(text, limit, min(TARGET_TOKENS, limit), count_tokens)
        for packed in _pack_runs(_join_announcements(blocks), limit):
            yield _Draft(heading, first.anchor, packed)


# ── Sections too small to stand alone ────────────────────────────────────────────────────────────────────────────────


def _group_sections(sections: Iterable[Section], count_tokens: CountTokens) -> Iterator[list[Section]]:
    """Yield sections one by one, and neighbours together that are tiny, on one page and under one parent."""
    group: list[Section] = []
    size = 0
    for section in sections:
        tokens = _count_tiny_tokens(section, count_tokens)
        if group and (tokens is None or not _can_merge(group[-1], section) or size + tokens > TARGET_TOKENS):
            yield group
            group, size = [], 0
        if tokens is None:
            yield [section]
        else:
            group.append(section)
            size += tokens
    if group:
        yield group


def _count_tiny_tokens(section: Section, count_tokens: CountTokens) -> int | None:
    """Return the tokens of a section that is to be merged, None of any other."""
    if not section.headings or len(section.text) > 8 * _TINY_TOKENS or "```" in section.text:
        return None
    tokens = count_tokens(section.text)
    return tokens + count_tokens(section.headings[-1]) if tokens < _TINY_TOKENS else None


def _can_merge(one: Section, other: Section) -> bool:
    return one.page == other.page and one.headings[:-1] == other.headings[:-1]


def _format_under_heading(section: Section) -> str:
    heading = section.headings[-1]
    return heading if section.text == heading else f"{heading}\n{section.text}"


# ── Blocks into chunks ───────────────────────────────────────────────────────────────────────────────────────────────


def _join_announcements(blocks: Iterable[Block]) -> Iterator[Unit]:
    """Keep a line that announces something ("For example:") with what it announces."""
    last: Unit | None = None
    announced = False
    for block in blocks:
        if last is not None and announced and last[1] + block.tokens <= TARGET_TOKENS:
            last = f"{last[0]}\n\n{block.text}", last[1] + block.tokens
        else:
            if last is not None:
                yield last
            last = block.text, block.tokens
        announced = block.kind is BlockKind.PROSE and block.text.endswith((":", "："))
    if last is not None:
        yield last


def _pack_runs(runs: Iterable[Unit], limit: int) -> Iterator[str]:
    """Yield the chunks' texts, each at most the target, or one run of at most the limit."""
    held: list[Unit] = []
    for taken in group_units(runs, min(TARGET_TOKENS, limit)):
        if (
            held
            and _count_run_tokens(taken) < _TINY_TOKENS
            and _count_run_tokens(held) + _count_run_tokens(taken) <= limit
        ):
            held.extend(taken)
            continue
        if held:
            yield _join_runs(held)
        held = list(taken)
    if held:
        yield _join_runs(held)


def _count_run_tokens(runs: Iterable[Unit]) -> int:
    return sum(tokens for _, tokens in runs)


def _join_runs(runs: Iterable[Unit]) -> str:
    return "\n\n".join(text for text, _ in runs)


# ── The title path and the link ──────────────────────────────────────────────────────────────────────────────────────


def _shorten_title(title: str, count_tokens: CountTokens) -> str:
    return _cut_to_tokens(title[:_MAX_TITLE_CHARACTERS], _MAX_PATH_TOKENS // 2, count_tokens)


def _shorten_heading(headings: Sequence[str], count_tokens: CountTokens) -> str:
    """Join the path; of one that is too long the steps are shortened, then those in the middle left out."""
    heading = _SEPARATOR.join(headings)
    if len(heading) <= _MAX_PATH_TOKENS // 2 or count_tokens(heading) <= _MAX_PATH_TOKENS:
        return heading
    for longest in (_MAX_STEP_CHARACTERS, _SHORT_STEP_CHARACTERS):
        heading = _SEPARATOR.join(_shorten_step(step, longest) for step in headings)
        if count_tokens(heading) <= _MAX_PATH_TOKENS:
            return heading
    ends = (headings[0], "…", headings[-1]) if len(headings) > 1 else headings
    heading = _SEPARATOR.join(_shorten_step(step, _SHORT_STEP_CHARACTERS) for step in ends)
    return _cut_to_tokens(heading, _MAX_PATH_TOKENS, count_tokens)


def _shorten_step(step: str, longest: int) -> str:
    return step if len(step) <= longest else f"{step[: longest - 1].rstrip()}…"


def _cut_to_tokens(text: str, tokens: int, count_tokens: CountTokens) -> str:
    while count_tokens(text) > tokens and len(text) > 1:
        text = f"{text[: len(text) * 3 // 4].rstrip('…').rstrip()}…"
        if len(text) <= 2:  # noqa: PLR2004 - one character and the ellipsis
            break
    return text


def _build_link(url: str | None, anchor: str | None) -> str | None:
    if not url or not anchor or "#" in url:
        return url
    return f"{url}#{quote(anchor, safe=_SAFE_IN_FRAGMENT, errors='replace')}"
