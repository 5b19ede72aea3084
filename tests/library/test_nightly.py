"""Nights of a library with sources of different kinds, run by the real scheduler; one of them fails on purpose."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pytest

from bot.wheels import WheelCache
from knowledge.library import Library
from knowledge.opening import open_library
from knowledge.settings import KnowledgeSettings, SourceSpec
from knowledge.status import LibraryStatus, SourceStatus
from knowledge.sync.schedule import Schedule
from tests.sources.contract import Workbench, opened, workbenches
from tests.sync.schedules import make_due

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

KINDS = ("FolderBench", "GitBench", "SqliteBench", "S3Bench", "WebsiteBench")
FAILING = "git"

NIGHTS = (
    "# Lighthouse {kind}\n\nThe lighthouse of {kind} was painted red by its keeper, who is called Ada of {kind}.",
    "# Lighthouse {kind}\n\nThe lighthouse of {kind} was painted green by its keeper, who is called Grace of {kind}.",
)


@contextlib.asynccontextmanager
async def benches(folder: Path) -> AsyncIterator[dict[str, Workbench]]:
    """Open a workbench of each kind that is there."""
    found = workbenches()
    async with contextlib.AsyncExitStack() as stack:
        names = [name for name in KINDS if name in found]
        yield {
            bench.kind: await stack.enter_async_context(opened(bench))
            for bench in (found[name](_made(folder / name)) for name in names)
        }


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True)
    return folder


@contextlib.asynccontextmanager
async def library_of(home: Path, sources: dict[str, Workbench]) -> AsyncIterator[Library]:
    cache = Path(os.environ.get("KVASIR_CACHE") or Path.home() / ".cache" / "kvasir")
    specs = tuple(
        SourceSpec(kind, kind, bench.options(), bench.folder, secrets=dict(bench.secrets), max_age_s=3_600.0)
        for kind, bench in sources.items()
    )
    settings = KnowledgeSettings(home, cache, f"sqlite:///{home}/kvasir.db", specs, nightly="30 2 * * *")
    async with open_library(settings, WheelCache(cache / "wheels").unpack_wheel) as library:
        yield library


async def night(library: Library, schedule: Schedule, before: LibraryStatus) -> dict[str, SourceStatus]:
    """Make the nightly run due, and return the sources' status after it."""
    was = {source.name: (source.synced_at, source.error) for source in before.sources}
    make_due(schedule)
    async with asyncio.timeout(240):
        while True:
            status = await library.status()
            over = {
                source.name: source
                for source in status.sources
                if source.syncing is None and (source.synced_at, source.error) != was[source.name]
            }
            if len(over) == len(was) and not schedule._runs:  # the run itself tells of failures when all are through
                return over
            await asyncio.sleep(0.05)


async def keeper(library: Library, kind: str) -> str:
    """Return the hits for a source's lighthouse."""
    hits = (await library.search("who is the keeper that painted the lighthouse?", sources=[kind])).hits
    return " ".join(hit.text for hit in hits)


async def test_a_nightly_sync_completes_although_one_source_fails(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "knowledge.sync.unattended")
    async with benches(tmp_path / "sources") as sources, library_of(_made(tmp_path / "home"), sources) as library:
        assert len(sources) == len(KINDS)
        async with library.syncs.run_schedule() as schedule:
            for kind, bench in sources.items():
                await bench.put("lighthouse.md", NIGHTS[0].format(kind=kind).encode())
            first = await night(library, schedule, await library.status())
            assert {kind: (one.documents, one.error) for kind, one in first.items()} == dict.fromkeys(
                sources, (1, None)
            )
            for kind in sources:
                assert f"Ada of {kind}" in await keeper(library, kind)

            for kind, bench in sources.items():
                if kind == FAILING:
                    await bench.break_down()
                else:
                    await bench.put("lighthouse.md", NIGHTS[1].format(kind=kind).encode())
            await asyncio.sleep(0.01)
            status = await library.status()
            second = await night(library, schedule, status)
            status = await library.status()

        for kind, source in second.items():
            text = await keeper(library, kind)
            if kind == FAILING:
                assert source.error
                assert (source.documents, source.pending_deletions, source.synced_at) == (1, 0, first[kind].synced_at)
                assert f"Ada of {kind}" in text, "nothing of it is lost"
            else:
                assert (source.documents, source.error) == (1, None)
                assert f"Grace of {kind}" in text
                assert f"Ada of {kind}" not in text
            assert not source.late
            assert source.next_at is not None
            assert source.next_at > datetime.now().astimezone()
            assert replace(source, age_s=3_601.0).late
        assert status.last_repair is not None
        assert (status.last_repair.differences, status.growth, status.elsewhere) == (0, None, None)
    warnings = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert len(warnings) == 1
    assert warnings[0].startswith(f"The sync of {FAILING} stopped: ")
