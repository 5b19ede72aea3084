"""Split documents into chunks that follow the headings, have their title path, and keep their ids.

A chunk is embedded with its title path in front; together they stay within the embedder's limit. Within a section the
nearby text chooses the breaks, not the distance from the beginning. So an inserted paragraph moves only the breaks near
it.
"""

from __future__ import annotations

import hashlib
import uuid
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final
from urllib.parse import quote

from knowledge.chunking.blocks import Block, BlockKind, CountTokens, Unit, group_units, split_blocks
from knowledge.interfaces import Chunk, Document, Section, make_class_key, number_readers
from knowledge.tables import state_scales

VERSION: Final = 4
"""Increase it if the same bytes become other chunks (here or in a parser). Every document is then split again."""

TARGET_TOKENS: Final = 320
"""Blocks are packed into one chunk up to this size."""

MAX_TOKENS: Final = 480
"""Limit for a chunk with its title path. A single paragraph up to this size stays whole. The embedder reads 512 tokens,
including its prefix and special tokens."""

_MAX_PATH_TOKENS = 120
_TINY_TOKENS = 32
"""A smaller section is merged with equally small neighbours, and a small last chunk with the one before."""
_SEPARATOR = " › "
_MAX_TITLE_CHARACTERS = 200
_MAX_STEP_CHARACTERS = 80
_SHORT_STEP_CHARACTERS = 24
_SAFE_IN_FRAGMENT = "=-_.~:!&,"


@dataclass(frozen=True, slots=True)
class _Draft:
    """A chunk's text and place, before it has an id."""

    heading: str
    anchor: str | None
    text: str


def truncate_sections(sections: Iterable[Section], max_characters: int) -> list[Section]:
    """Return the sections without the text beyond a limit."""
    left, shortened = max_characters, []
    for section in sections:
        if left <= 0:
            break
        shortened.append(section if len(section.text) <= left else replace(section, text=section.text[:left]))
        left -= len(section.text)
    return shortened


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

    ``source`` is the ``SourceKey.id``, ``url`` the link of the document. A chunk's link leads to its section if that is
    known.
    """
    title = _cut_to_tokens(document.title[:_MAX_TITLE_CHARACTERS], _MAX_PATH_TOKENS // 2, count_tokens)
    occurrences: Counter[_Draft] = Counter()
    chunks = []
    for draft in _draft_chunks(title, document.sections, count_tokens):
        occurrence = occurrences[draft]
        occurrences[draft] += 1
        chunks.append(
            Chunk(
                id=make_chunk_id(source, document_id, title, draft.heading, draft.anchor, occurrence, draft.text),
                source=source,
                document=document_id,
                title=title,
                heading=draft.heading,
                text=draft.text,
                url=_build_link(url, draft.anchor),
                audience=make_class_key(readers),
                principals=number_readers(readers),
            )
        )
    return chunks


def make_chunk_id(  # noqa: PLR0917 - all fields that distinguish passages
    source: str, document: str, title: str, heading: str, anchor: str | None, occurrence: int, text: str
) -> str:
    """Return the passage's UUID, which is equal only for the same text at the same place.

    The place is the title, the heading path, the target of its link, and its number among *identical* passages. It is
    not a position, which any earlier insertion would change.
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
        blocks = split_blocks(state_scales(text), limit, min(TARGET_TOKENS, limit), count_tokens)
        for packed in _pack_runs(_join_announcements(blocks), limit):
            yield _Draft(heading, first.anchor, packed)


# ── Small sections ────────────────────────────────────────────────────────────────────────────────────────────────────


def _group_sections(sections: Iterable[Section], count_tokens: CountTokens) -> Iterator[list[Section]]:
    """Yield sections one by one, and small neighbours together if they share a page and a parent."""
    group: list[Section] = []
    size = 0
    for section in sections:
        tokens = _count_tiny_tokens(section, count_tokens)
        if group and (
            tokens is None
            or (group[-1].page, group[-1].headings[:-1]) != (section.page, section.headings[:-1])
            or size + tokens > TARGET_TOKENS
        ):
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
    """Return the tokens of a section that can be merged, None for other sections."""
    if not section.headings or len(section.text) > 8 * _TINY_TOKENS or "```" in section.text:
        return None
    tokens = count_tokens(section.text)
    return tokens + count_tokens(section.headings[-1]) if tokens < _TINY_TOKENS else None


def _format_under_heading(section: Section) -> str:
    heading = section.headings[-1]
    return heading if section.text == heading else f"{heading}\n{section.text}"


# ── Blocks into chunks ───────────────────────────────────────────────────────────────────────────────────────────────


def _join_announcements(blocks: Iterable[Block]) -> Iterator[Unit]:
    """Keep an introducing line ("For example:") with the next block."""
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
    units: list[Unit] = []
    for run in group_units(runs, min(TARGET_TOKENS, limit)):
        if (
            units
            and _count_run_tokens(run) < _TINY_TOKENS
            and _count_run_tokens(units) + _count_run_tokens(run) <= limit
        ):
            units.extend(run)
            continue
        if units:
            yield _join_runs(units)
        units = list(run)
    if units:
        yield _join_runs(units)


def _count_run_tokens(runs: Iterable[Unit]) -> int:
    return sum(tokens for _, tokens in runs)


def _join_runs(runs: Iterable[Unit]) -> str:
    return "\n\n".join(text for text, _ in runs)


# ── The title path and the link ──────────────────────────────────────────────────────────────────────────────────────


def _shorten_heading(headings: Sequence[str], count_tokens: CountTokens) -> str:
    """Join the title path. If it is too long, shorten its steps, then drop those in the middle."""
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
