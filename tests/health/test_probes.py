"""Probes over real sockets, with parts that answer late, fail or start."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from bot.health import checks, parts
from bot.health.checks import Finding, Health
from bot.health.probes import open_health
from bot.http.listeners import Listeners
from engine.interfaces import EngineState, EngineStatus
from knowledge.errors import DatabaseUnavailable, IndexLost, StoreUnavailable
from knowledge.sync.index_watch import IndexHealth
from knowledge.sync.manifest.lease import LeaderState
from knowledge.sync.manifest.records import IndexRebuild
from tests.services import free_ports
from tests.waiting import WAIT_S


class Probed:
    """A health with its address."""

    def __init__(self, health: Health, url: str, session: aiohttp.ClientSession) -> None:
        self.health, self._url, self._session = health, url, session

    async def get(self, path: str = "/readyz") -> tuple[int, dict[str, Any]]:
        async with self._session.get(f"{self._url}{path}") as answer:
            return answer.status, await answer.json()

    def open_all(self) -> None:
        for name in parts.NEEDED_PARTS:
            self.health.add_check(name, Finding)


@pytest.fixture
async def probed() -> AsyncIterator[Probed]:
    (port,) = free_ports(1)
    async with open_health(Listeners(), "127.0.0.1", port) as health, aiohttp.ClientSession() as session:
        yield Probed(health, f"http://127.0.0.1:{port}", session)


async def wait_for_text(probed: Probed, name: str, text: str) -> tuple[int, dict[str, Any]]:
    async with asyncio.timeout(WAIT_S):
        while True:
            found = await probed.get()
            if text in found[1]["checks"][name]:
                return found
            await asyncio.sleep(0.02)


async def test_a_process_is_ready_once_all_that_questions_need_is_open(probed: Probed) -> None:
    status, state = await probed.get()
    assert status == 503
    assert set(state["checks"]) == {"database", "store", "index", "slack"}
    assert (await probed.get("/livez"))[0] == 200
    probed.open_all()
    assert await probed.get() == (200, {"ready": True, "ok": True, "checks": dict.fromkeys(parts.NEEDED_PARTS, "ok")})
    probed.health.add_check("leader", lambda: Finding("Nobody leads, so nothing is synced."))
    status, state = await probed.get()
    assert (status, state["ready"], state["ok"]) == (200, True, False)
    assert state["checks"]["leader"] == "Nobody leads, so nothing is synced."


async def test_readiness_falls_at_the_beginning_of_the_end(probed: Probed) -> None:
    probed.open_all()
    probed.health.is_draining = True
    status, state = await probed.get()
    assert status == 503
    assert "stopping" in state["checks"]["drain"]
    assert (await probed.get("/livez"))[0] == 200


@pytest.mark.parametrize(("name", "needed", "failed"), [("database", True, 503), ("leader", False, 200)])
async def test_a_part_that_fails_or_does_not_answer_is_named(
    probed: Probed, monkeypatch: pytest.MonkeyPatch, *, name: str, needed: bool, failed: int
) -> None:
    monkeypatch.setattr(checks, "_ASK_EVERY_S", 0.01)
    monkeypatch.setattr(checks, "_LATE_S", 0.1)
    probed.open_all()
    failure: Exception | None = DatabaseUnavailable("The database is locked.")
    resume = asyncio.Event()
    resume.set()

    async def ask() -> None:
        await resume.wait()
        if failure is not None:
            raise failure

    probed.health.ask_repeatedly(name, ask, needed=needed)
    assert (await wait_for_text(probed, name, "The database is locked."))[0] == failed
    failure = ValueError("postgresql://user:hush@host")
    status, state = await wait_for_text(probed, name, "ValueError")
    assert (status, "hush" in str(state)) == (failed, False)
    failure = None
    assert (await wait_for_text(probed, name, "ok"))[0] == 200
    resume.clear()
    assert (await wait_for_text(probed, name, "has not answered for"))[0] == failed
    resume.set()
    assert (await wait_for_text(probed, name, "ok"))[0] == 200


async def test_who_leads_and_other_configurations_are_findings(probed: Probed) -> None:
    probed.open_all()
    leader = LeaderState("process 1 on a", 0.0, True, {})
    assert (parts.find_leader(leader), parts.find_differences({})) == (Finding(), Finding())
    probed.health.ask_repeatedly("leader", lambda: asyncio.sleep(0, parts.find_leader(None)), needed=False)
    assert (await wait_for_text(probed, "leader", "No process leads"))[0] == 200
    assert "b: docs, wiki" in parts.find_differences({"b": ["docs", "wiki"]}).text


def test_an_engine_that_loads_and_an_index_that_is_rebuilt_leave_a_process_ready() -> None:
    loading = parts.find_engine(EngineStatus(EngineState.STARTING, progress=0.4))
    assert loading.is_usable
    assert "starting, 40%" in loading.text
    assert parts.find_engine(EngineStatus(EngineState.READY)) == Finding()
    rebuilt = parts.find_index(IndexHealth(rebuild=IndexRebuild(12, 100)))
    assert rebuilt.is_usable
    assert "The index is being rebuilt, 12%" in rebuilt.text
    lost = IndexHealth(loss=IndexLost("The index is gone."))
    assert parts.find_index(lost) == Finding("The index is gone.", is_usable=False)
    assert parts.find_store(lost) == Finding()
    down = IndexHealth(unavailable=StoreUnavailable("Weaviate is down."))
    assert parts.find_store(down) == Finding("Weaviate is down.", is_usable=False)


async def test_an_event_loop_that_was_stuck_is_not_alive(probed: Probed, monkeypatch: pytest.MonkeyPatch) -> None:
    assert (await probed.get("/livez"))[1]["ok"]
    monkeypatch.setattr(checks, "_MOST_LAG_S", 0.1)
    time.sleep(checks._LAG_EVERY_S + 0.2)  # noqa: ASYNC251 - the loop is stuck
    assert not probed.health.describe_liveness()[0]
    monkeypatch.setattr(checks, "_MOST_LAG_S", -1.0)
    status, state = await probed.get("/livez")
    assert (status, state["ok"]) == (503, False)


async def test_without_a_port_nothing_listens() -> None:
    async with open_health(Listeners(), "127.0.0.1", None) as health:
        assert not health.describe_readiness()[0]
        assert health._tasks == []
