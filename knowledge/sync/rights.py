"""Ask sources who may read documents now, and store the answer in the manifest.

A right that is taken away at its source counts within a minute. For example, somebody removes Bo from a page of the
wiki at 10:00:00. A question of his at 10:00:50 may still use the readers that the wiki named at 10:00:00. At 10:01:00
the wiki is asked again before anything is shown, and without an answer he sees nothing of the page.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from knowledge.defects import describe_defect
from knowledge.errors import KnowledgeError
from knowledge.interfaces import WORLD, RightsSource, find_place, narrow_readers
from knowledge.sync.manifest.index_manifest import IndexManifest
from knowledge.sync.manifest.records import DocumentRights, SourceOrigin, decode_readers, encode_readers, is_storable
from knowledge.sync.manifest.rows import slice_items
from knowledge.sync.signals import cancel_and_wait

_log = logging.getLogger(__name__)

FRESH_S: Final = 55.0
"""How long the readers that a source named are used without asking again. With the time of a check it is a minute."""
_BATCH: Final = 25
"""Documents in one call of ``RightsSource.read_rights``."""
_ASK_S: Final = 10.0
"""The time for one call. A question waits for less, but the manifest learns the answer in any case."""

_Answer = Mapping[int, str | None]
"""The encoded readers by the rows of documents; empty if the source did not answer.

None stands for a document that this process cannot see or judge.
"""


@dataclass(frozen=True, slots=True)
class RightsAnswer:
    """What sources said of some documents, given by their rows in the manifest."""

    unanswered_rows: frozenset[int] = frozenset()
    """Nobody may see them now: their source did not answer in time, or this process cannot see or judge them."""
    changed_rows: frozenset[int] = frozenset()
    """They have other readers than before, which the manifest knows now."""
    silent: frozenset[str] = frozenset()
    """``SourceKey.id`` of the sources that did not answer."""


async def read_known_rights(
    source: RightsSource, documents: Collection[str], origin: SourceOrigin
) -> Mapping[str, frozenset[str] | None]:
    """Return who may read some documents now: nobody if a document is gone, None if this process cannot see it.

    Raises:
        SourceError: the source does not answer, or refuses.

    """
    found = await source.read_rights(documents)
    missing = [one for one in documents if one not in found]
    is_elsewhere = bool(missing and origin.place) and origin.is_elsewhere(await find_place(source))
    return {**dict.fromkeys(missing, None if is_elsewhere else frozenset[str]()), **found}


class RightsChecker:
    """Asks each source once for a document, however many questions wait for the answer."""

    def __init__(
        self,
        sources: Mapping[str, RightsSource],
        configurations: Mapping[str, str] | None = None,
        *,
        now: Callable[[], float] = time.time,
    ) -> None:
        """Take the sources and their ``SourceSpec.configuration_key`` by their ``SourceKey.id``.

        ``now`` returns seconds since the epoch.
        """
        self._sources = sources
        self._configurations = configurations or {}
        self._now = now
        self._asking: dict[int, asyncio.Task[_Answer]] = {}
        self._silent: set[str] = set()
        """Sources whose failure the log has."""

    @property
    def fresh_since(self) -> float:
        """Return the moment since which the readers that a source named are used without asking again."""
        return self._now() - FRESH_S

    def needs_check(self, readers: frozenset[str], rights_at: float) -> bool:
        """Return whether the source must be asked before a document with these readers is shown."""
        return WORLD not in readers and not self.fresh_since < rights_at <= self._now()

    async def check_rights(
        self, manifest: IndexManifest, documents: Collection[DocumentRights], within_s: float
    ) -> RightsAnswer:
        """Ask the sources of those documents whose readers are too old, all at the same time.

        Cancellation stops the wait, not the question, because others may wait for it.
        """
        questions = {
            one.row: one
            for one in documents
            if one.source in self._sources and self.needs_check(decode_readers(one.readers), one.rights_at)
        }
        tasks = self._ask_sources(manifest, questions.values())
        if tasks:
            await asyncio.wait(set(tasks.values()), timeout=within_s)
        answers = {row: _get_answer(task) for row, task in tasks.items()}
        named = {row: readers for row, answer in answers.items() if (readers := answer.get(row)) is not None}
        return RightsAnswer(
            frozenset(answers.keys() - named.keys()),
            frozenset(row for row, readers in named.items() if readers != questions[row].readers),
            frozenset(questions[row].source for row, answer in answers.items() if row not in answer),
        )

    async def close(self) -> None:
        """Stop asking."""
        await cancel_and_wait(tuple(set(self._asking.values())))

    def _ask_sources(
        self, manifest: IndexManifest, documents: Collection[DocumentRights]
    ) -> dict[int, asyncio.Task[_Answer]]:
        """Return the task that asks for each document; those that nobody asks for yet are asked in batches."""
        by_source: dict[str, list[DocumentRights]] = {}
        for one in documents:
            if one.row not in self._asking:
                by_source.setdefault(one.source, []).append(one)
        for source, every in by_source.items():
            for some in slice_items(every, _BATCH):
                task = asyncio.create_task(self._ask_source(manifest, source, some), name=f"rights {source}")
                self._asking.update((one.row, task) for one in some)
        return {one.row: self._asking[one.row] for one in documents}

    async def _ask_source(self, manifest: IndexManifest, source: str, documents: Sequence[DocumentRights]) -> _Answer:
        asked_at = self._now()
        try:
            async with asyncio.timeout(_ASK_S):
                origin = await manifest.read_origin(source)
                found = await read_known_rights(self._sources[source], [one.document for one in documents], origin)
            answer: dict[int, str | None] = dict.fromkeys(one.row for one in documents)
            seen = [(one, readers) for one in documents if (readers := found[one.document]) is not None]
            named = {one.row: frozenset(filter(is_storable, readers)) for one, readers in seen}
            if origin.configuration in {"", self._configurations.get(source, "")}:
                answer |= await manifest.record_rights(named, asked_at, self._now())
            else:
                # This process has another configuration than the sync. Its answer counts for its own questions alone.
                answer |= {one.row: one.readers for one, _ in seen if _confirms_readers(one, named[one.row])}
        except (KnowledgeError, TimeoutError) as error:
            return self._log_failure(source, str(error) or f"no answer within {_ASK_S:.0f} s")
        except Exception as error:  # noqa: BLE001 (a plug-in may raise anything)
            return self._log_failure(source, f"a defect: {describe_defect(error)}")
        finally:
            for one in documents:
                self._asking.pop(one.row, None)
        self._silent.discard(source)
        return answer

    def _log_failure(self, source: str, why: str) -> _Answer:
        """Log the first failure of a source in a row, and return that it did not answer."""
        if source not in self._silent:
            self._silent.add(source)
            name = source.partition("\x1f")[0]
            _log.warning("%s does not say who may read its documents, so Kvasir shows none of them: %s", name, why)
        return {}


def _confirms_readers(known: DocumentRights, named: frozenset[str]) -> bool:
    """Return whether a source admits all readers that the manifest has."""
    return encode_readers(narrow_readers(decode_readers(known.readers), named)) == known.readers


def _get_answer(task: asyncio.Task[_Answer]) -> _Answer:
    return task.result() if task.done() and not task.cancelled() else {}
