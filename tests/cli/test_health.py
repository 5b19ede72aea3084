"""Test ``kvasir health``, the probes of a running Kvasir, and what it does about a lost index."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.e2e.conftest import Place, Running
from tests.services import free_ports
from tests.waiting import WAIT_S

pytestmark = [pytest.mark.slow, pytest.mark.timeout(720)]

NO_ENGINE = "http://127.0.0.1:9"
LINKS = {"KVASIR_PORT": "tcp://10.0.0.7:3000", "KVASIR_SERVICE_HOST": "10.0.0.7"}


class Probes:
    """Probes of one running Kvasir."""

    def __init__(self, port: int, session: aiohttp.ClientSession) -> None:
        self._url = f"http://127.0.0.1:{port}"
        self._session = session

    async def get(self, path: str = "/readyz") -> tuple[int, dict[str, Any]]:
        """Return the status and the answer; 0 while nothing listens."""
        try:
            async with self._session.get(f"{self._url}{path}") as answer:
                return answer.status, await answer.json()
        except aiohttp.ClientError:
            return 0, {"checks": {}}

    async def wait(self, status: int, name: str = "", text: str = "") -> dict[str, Any]:
        async with asyncio.timeout(WAIT_S):
            while True:
                found, state = await self.get()
                if found == status and text in state["checks"].get(name, ""):
                    return state
                await asyncio.sleep(0.02)


@contextlib.asynccontextmanager
async def running(place: Place, environ: dict[str, str]) -> AsyncIterator[tuple[Running, Probes]]:
    async with aiohttp.ClientSession() as session:
        probes = Probes(int(environ["KVASIR_HEALTH_PORT"]), session)
        starting = asyncio.create_task(probes.wait(503, "database", "starting"))
        async with place.run(**environ) as run:
            assert "It is not open yet" in (await starting)["checks"]["slack"], "the port is open before the database"
            yield run, probes


@pytest.fixture
def environ() -> dict[str, str]:
    return {"KVASIR_HEALTH_PORT": str(free_ports(1)[0]), "KVASIR_ENGINE_URL": NO_ENGINE, **LINKS}


async def ask(run: Running, contains: str) -> None:
    ts = await run.box.say("ada", "#general", "@Kvasir how many days of leave?")
    await run.box.wait_for_message(
        lambda m: m["root"] == ts and m.get("bot_id") and contains in json.dumps(m), deadline_s=60.0
    )


async def test_a_lost_index_is_named_and_built_again_without_a_command(place: Place, environ: dict[str, str]) -> None:
    status, out, _ = await place.command("health", **environ)
    assert status == 1
    assert "Start it: kvasir run" in out
    async with running(place, environ) as (run, probes):
        state = await probes.wait(200)
        assert state["checks"] | {"leader": "", "engine": "", "sources": ""} == {
            "database": "ok", "store": "ok", "index": "ok", "slack": "ok", "leader": "", "configuration": "ok",
            "embedder": "ok", "engine": "", "sources": "",
        }  # fmt: skip
        assert "answers quote the documents" in state["checks"]["engine"], "and it is ready nevertheless"
        status, out, _ = await place.command("health", **environ)
        assert (status, "ready" in out) == (0, True)
        await ask(run, "**thirty days** of leave")
        status, out, _ = await place.command("status", "--check", **environ)
        assert (status, "No problems" in out, "No server answers" in out) == (1, False, True)

        remove_folder(place.home)
        await probes.wait(503, "index", "the next sync builds")
        await probes.wait(200, "index", "ok")
        await ask(run, "**thirty days** of leave")
        assert (await probes.get("/livez"))[0] == 200
        assert any("services ignored" in line for line in run.lines)


def remove_folder(home: Path) -> None:
    shutil.rmtree(home / "lancedb")


async def test_a_lost_index_is_a_problem_for_every_command(place: Place) -> None:
    assert (await place.command("sync"))[0] == 0
    remove_folder(place.home)
    status, out, _ = await place.command("status", "--check")
    assert status == 1
    assert "No problems" not in out
    assert "The next sync builds it again" in out
    state = await place.json("status")
    assert state["index"]["complete"] == 0
    status, out, _ = await place.command("sync")
    assert (status, "updated" in out) == (0, True)
    status, out, _ = await place.command("status", "--check", KVASIR_ROLE="sync")
    assert (status, "No problems" in out, "No process leads" in out) == (1, False, True)
    for path in place.home.glob("lancedb/*/_indices/*/part_0_invert.lance"):
        os.truncate(path, path.stat().st_size // 2)
    status, out, _ = await place.command("status", "--check")
    assert "cannot be read" in " ".join(out.split())
    assert (await place.command("sync"))[0] == 0
    assert (await place.command("search", "leave"))[0] == 0


async def test_a_missing_folder_is_a_problem_for_every_command(place: Place) -> None:
    assert (await place.command("sync"))[0] == 0
    (place.folder / "docs").rename(place.folder / "elsewhere")
    for command in (("status", "--check"), ("doctor",), ("sync",)):
        status, out, err = await place.command(*command)
        assert status == 1
        assert "Check that it is mounted" in " ".join((out + err).split())


async def test_readiness_falls_before_the_end(place: Place, environ: dict[str, str]) -> None:
    (port,) = free_ports(1)
    async with running(place, {**environ, "KVASIR_API_PORT": str(port)}) as (run, probes):
        await probes.wait(200)
        run.process.send_signal(signal.SIGTERM)
        await probes.wait(503, "drain", "stopping")
        with contextlib.closing(await open_connection(port)):
            pass  # the API still takes requests, until load balancers have noticed
        assert await asyncio.wait_for(run.process.wait(), WAIT_S) == 0
        assert (await probes.get())[0] == 0


async def open_connection(port: int) -> asyncio.StreamWriter:
    _, writer = await asyncio.open_connection("127.0.0.1", port)
    return writer


async def test_a_health_port_is_needed(place: Place) -> None:
    status, _, err = await place.command("health")
    assert (status, "KVASIR_HEALTH_PORT" in err) == (2, True)


async def test_a_schedule_that_cannot_be_parsed_is_refused_before_anything_starts(place: Place) -> None:
    with (place.folder / "kvasir.toml").open("a", encoding="utf-8") as file:
        file.write('schedule = "every day"\n')
    for command in ("doctor", "status", "run"):
        status, _, err = await place.command(command)
        assert status == 2
        assert "schedule should be a cron line" in err
