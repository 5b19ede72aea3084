"""Documents whose pages are images are read last, one at a time, and no other document waits for them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from knowledge.errors import DocumentScanned
from knowledge.interfaces import Chunk, DocumentContent, ListedDocument, SourceKey
from knowledge.sync.running.workbench import ChunkDocument
from tests.waiting import WAIT_S


class Recognition:
    """Splits documents by ``passages``; one that begins with "scan" needs recognition, which waits for ``gate``."""

    def __init__(self, passages: ChunkDocument) -> None:
        self._passages = passages
        self.gate = asyncio.Event()
        self.most_at_once = self._at_once = 0
        self.asked: list[tuple[str, bool]] = []

    async def split(
        self, key: SourceKey, listed: ListedDocument, content: DocumentContent, *, recognises: bool = False
    ) -> tuple[str, Sequence[Chunk]]:
        self.asked.append((listed.document, recognises))
        if content.data.startswith(b"scan"):
            if not recognises:
                raise DocumentScanned(f"{listed.document} has only scanned images of text.")
            self._at_once += 1
            self.most_at_once = max(self.most_at_once, self._at_once)
            await self.gate.wait()
            self._at_once -= 1
        return await self._passages(key, listed, content)


async def wait_until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(WAIT_S):
        while not holds():  # noqa: ASYNC110 - the store has no event
            await asyncio.sleep(0.01)


async def test_other_documents_do_not_wait_for_scans(rig: Any, dict_passages: Any, new_source: Any) -> None:
    recognition = Recognition(dict_passages)
    rig.chunk_document, rig.recognises = recognition.split, True
    one, other = new_source("one", "/one"), new_source("other", "/other")
    for source in (one, other):
        for number in range(3):
            source.put(f"{number}.pdf", f"scan {number} of {source.key.name}")
            source.put(f"{number}.txt", f"text {number} of {source.key.name}")
    sync = asyncio.create_task(rig.sync(one, other))
    await wait_until(lambda: len(rig.store.rows_by_id) == 6 and recognition.most_at_once == 1)
    assert all(row.chunk.text.startswith("text") for row in rig.store.rows_by_id.values())
    recognition.gate.set()
    report = await sync
    assert not any(source.failures for source in report.sources.values())
    assert recognition.most_at_once == 1
    assert len(await rig.answers(one, other)) == 6, "both sources have the same names of documents"
    assert len(rig.store.rows_by_id) == 12
    asked = len(recognition.asked)
    await rig.sync(one, other)
    assert len(recognition.asked) == asked, "unchanged scans are not read again"


async def test_scans_that_failed_are_read_once_recognition_is_on(rig: Any, dict_passages: Any) -> None:
    recognition = Recognition(dict_passages)
    recognition.gate.set()
    rig.chunk_document = recognition.split
    rig.source.put("a.pdf", "scan of a contract")
    assert len((await rig.report()).failures) == 1
    assert recognition.asked == [("a.pdf", False)]
    rig.clock_s += 1e6
    await rig.report()
    assert recognition.asked == [("a.pdf", False)], "the same bytes are not tried again in vain"
    rig.recognises = True
    rig.clock_s += 1e6
    assert (await rig.report()).failures == ()
    assert (await rig.answers())["a.pdf"] == ["scan of a contract"]


async def test_a_cancelled_sync_ends_while_a_scan_is_read(rig: Any, dict_passages: Any) -> None:
    recognition = Recognition(dict_passages)
    rig.chunk_document, rig.recognises = recognition.split, True
    rig.source.put("a.pdf", "scan of a contract")
    sync = asyncio.create_task(rig.sync())
    await wait_until(lambda: recognition.most_at_once == 1)
    sync.cancel()
    await asyncio.wait([sync])
    recognition.gate.set()
    assert (await rig.report()).failures == ()
    assert (await rig.answers())["a.pdf"] == ["scan of a contract"]
