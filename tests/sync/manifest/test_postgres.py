"""The manifest on a real PostgreSQL: the same syncs, and the ways in which a server fails."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import urlsplit

import pytest

from knowledge.errors import DatabaseError
from knowledge.sync.manifest.lease import Lease
from knowledge.sync.manifest.manifest import open_manifest
from knowledge.sync.manifest.records import IndexIdentity
from tests.waiting import WAIT_S

pytestmark = pytest.mark.slow


async def test_syncs_converge_on_postgresql(rig_on: Any, postgres: str, expected: Any, store_down: Exception) -> None:
    async with rig_on(postgres) as rig:
        for n in range(40):
            rig.source.put(f"{n}.md", f"text {n}\n\nsame" if n != 7 else "broken")
        report = await rig.report()
        assert report.error is None
        assert (report.added, report.failed, report.chunks_written) == (39, 1, 78)
        rig.source.put("3.md", "changed\n\nsame")
        del rig.source.texts["4.md"]
        rig.store.plan("write", store_down)
        assert (await rig.report()).error == str(store_down)
        report = await rig.report()
        assert (report.updated, report.chunks_written, report.failed) == (1, 1, 1)
        assert await rig.answers() == expected(rig.source)
        assert await rig.agree()
        rig.store.rows_by_id.pop(next(iter(rig.store.rows_by_id)))
        assert (await rig.sync()).repaired == 1
        assert await rig.answers() == expected(rig.source)
        await rig.manifest.forget_index((await rig.manifest.list_indexes())[0])


async def test_two_processes_make_the_tables_at_once(postgres: str) -> None:
    manifests = await asyncio.gather(*(open_manifest(postgres) for _ in range(4)))
    identity = IndexIdentity("memory", "e", "c", "t")
    rows = [await manifest.add_index(identity) for manifest in manifests]
    assert len({row.id for row in rows}) == 1
    for manifest in manifests:
        await manifest.close()


@pytest.mark.parametrize(
    ("old", "new"),
    [("secret@", "hunter2@"), ("/test_", "/missing_"), ("kvasir:", "nobody:"), ("127.0.0.1", "nohost.invalid")],
)
async def test_a_refusal_is_reported_without_the_password(postgres: str, old: str, new: str) -> None:
    with pytest.raises(DatabaseError) as caught:
        await open_manifest(new.join(postgres.rsplit(old, 1)))
    assert "KVASIR_DATABASE_URL" in str(caught.value)
    assert "hunter2" not in str(caught.value)
    assert "secret" not in str(caught.value)


@contextlib.asynccontextmanager
async def line_to(server: str) -> AsyncIterator[tuple[str, asyncio.Event]]:
    """Return the URL of a connection to the server, and an event that opens or blocks it."""
    address, passes = urlsplit(server), asyncio.Event()
    passes.set()

    async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.closing(writer):
            while data := await reader.read(65_536):
                await passes.wait()
                writer.write(data)

    async def meet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection(address.hostname, address.port)
        ways = [asyncio.create_task(carry(reader, back)), asyncio.create_task(carry(there, writer))]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            await asyncio.wait(ways)

    async with await asyncio.start_server(meet, "127.0.0.1", 0) as listening:
        port = listening.sockets[0].getsockname()[1]
        yield server.replace(f":{address.port}/", f":{port}/"), passes
        passes.set()


async def test_a_silent_server_is_reported_at_every_step(postgres: str) -> None:
    async with line_to(postgres) as (url, passes):
        manifest = await open_manifest(url, answer_s=1.0)
        lease = Lease(manifest.database)
        assert await lease.try_take()
        passes.clear()
        async with asyncio.timeout(WAIT_S):
            for call in (lease.renew, lease.find_leader, Lease(manifest.database).try_take):
                with pytest.raises(DatabaseError, match="did not answer within 1 s"):
                    await call()
            with pytest.raises(DatabaseError, match="did not answer within 1 s"):
                await manifest.list_indexes()
            with pytest.raises(DatabaseError, match="did not answer within 1 s"):
                await manifest.add_index(IndexIdentity("memory", "silent", "c", "t"))
            passes.set()
            await lease.renew()
            assert await manifest.list_indexes() is not None
            await manifest.close()
