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
from knowledge.interfaces import WORLD, RightsSource
from knowledge.sync.manifest.index_manifest import IndexManifest
from knowledge.sync.manifest.records import DocumentRights, decode_readers, is_storable
from knowledge.sync.manifest.rows import slice_items
from knowledge.sync.signals import cancel_and_wait

_log = logging.getLogger(__name__)

FRESH_S: Final = 55.0
"""How long the readers that a source named are used without asking again. With the time of a check it is a minute."""
_BATCH: Final = 25
"""Documents in one call of ``RightsSource.read_rights``."""
_ASK_S: Final = 10.0
"""The time for one call. A question waits for less, but the manifest learns the answer in any case."""

_Answer = Mapping[int, str]
"""The encoded readers by the rows of documents; empty if the source did not answer."""


@dataclass(frozen=True, slots=True)
class RightsAnswer:
    """What sources said of some documents, given by their rows in the manifest."""

    unanswered_rows: frozenset[int] = frozenset()
    """Nobody may see them now, because their source did not answer in time."""
    changed_rows: frozenset[int] = frozenset()
    """They have other readers than before, which the manifest knows now."""
    silent: frozenset[str] = frozenset()
    """``SourceKey.id`` of the sources that did not answer."""


class RightsChecker:
    """Asks each source once for a document, however many questions wait for the answer."""

    def __init__(self, sources: Mapping[str, RightsSource], *, now: Callable[[], float] = time.time) -> None:
        """Take the sources by their ``SourceKey.id``. ``now`` returns seconds since the epoch."""
        self._sources = sources
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
        answers = {row: _get_answer(task).get(row) for row, task in tasks.items()}
        unanswered = frozenset(row for row, readers in answers.items() if readers is None)
        return RightsAnswer(
            unanswered,
            frozenset(row for row, readers in answers.items() if readers not in {None, questions[row].readers}),
            frozenset(questions[row].source for row in unanswered),
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
                found = await self._sources[source].read_rights([one.document for one in documents])
            named = {one.row: frozenset(filter(is_storable, found.get(one.document, ()))) for one in documents}
            answer = await manifest.record_rights(named, asked_at, self._now())
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


def _get_answer(task: asyncio.Task[_Answer]) -> _Answer:
    return task.result() if task.done() and not task.cancelled() else {}
