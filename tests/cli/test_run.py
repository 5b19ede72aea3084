"""Test ``kvasir run`` when something that it needs is missing, in use or dies."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from asyncio.subprocess import PIPE
from pathlib import Path

import psutil
import pytest

from tests.e2e.conftest import ROOT, Place
from tests.forks import end_fork, start_command
from tests.services import weaviate_server

pytestmark = [pytest.mark.slow, pytest.mark.timeout(720)]

NO_ENGINE = "http://127.0.0.1:9"


async def refused(place: Place, **environ: str) -> str:
    """Return the error of a run that ends by itself with status 1."""
    status, _, err = await place.command("run", KVASIR_ENGINE_URL=NO_ENGINE, **environ)
    assert status == 1, err
    assert "Traceback" not in err
    return err.strip().splitlines()[-1]


async def test_a_weaviate_that_is_down_at_the_start_is_used_once_it_is_up(place: Place, tmp_path: Path) -> None:
    (tmp_path / "weaviate").mkdir()
    with weaviate_server(tmp_path / "weaviate") as server:
        server.kill()
        async with place.run(KVASIR_ENGINE_URL=NO_ENGINE, **server.variables) as run:
            await run.line(f"Nothing answers for Weaviate at {server.url}", 60.0)

            async def answer(contains: str) -> None:
                ts = await run.box.say("ada", "#general", "@Kvasir how many days of leave?")
                await run.box.wait_for_message(
                    lambda m: m["root"] == ts and m.get("bot_id") and contains in json.dumps(m), deadline_s=60.0
                )

            await answer("Nothing answers for Weaviate")
            await asyncio.to_thread(server.start)
            status, _, err = await place.command("sync", **server.variables)
            assert status == 0, err
            await answer("**thirty days** of leave")


async def test_a_wrong_weaviate_key_stops_the_start(place: Place, tmp_path: Path) -> None:
    (tmp_path / "weaviate").mkdir()
    with weaviate_server(tmp_path / "weaviate") as server:
        output = await refused(place, **{**server.variables, "WEAVIATE_API_KEY": "hushhush"})
    assert "WEAVIATE_API_KEY" in output
    assert "hushhush" not in output


async def test_a_database_that_is_down_is_waited_for_and_named(place: Place) -> None:
    where = "postgresql://kvasir:hushhush@127.0.0.1:9/kvasir"
    environ = place.environ(PYTHONPATH=str(ROOT), KVASIR_ENGINE_URL=NO_ENGINE, KVASIR_DATABASE_URL=where)
    run = await start_command(["run"], cwd=place.folder, env=environ, stderr=PIPE)
    assert run.stderr is not None
    output = ""
    try:
        while "Trying again" not in output:
            line = (await run.stderr.readline()).decode()
            assert line, output
            output += line
        run.send_signal(signal.SIGINT)
        output += (await run.stderr.read()).decode()
        status = await run.wait()
    finally:
        await end_fork(run)
    assert "127.0.0.1" in output
    assert "KVASIR_DATABASE_URL is right" in output
    assert "hushhush" not in output
    assert status == 0


async def test_a_second_kvasir_with_the_same_home_or_port_is_refused(place: Place) -> None:
    async with place.run(KVASIR_ENGINE_URL=NO_ENGINE) as run:
        output = await refused(place)
        assert f"Another Kvasir runs with the state in {place.home}" in output
        assert "KVASIR_HOME=" in output
        port = run.box.base_url.rpartition(":")[2]
        output = await refused(place, KVASIR_HOME=str(place.folder / "other"), KVASIR_SANDBOX_PORT=port)
        assert f"Port {port} is taken" in output
        assert "KVASIR_SANDBOX_PORT=3001" in output
        ts = await run.box.say("ada", "#general", "@Kvasir how many days of leave?")
        await run.box.wait_for_message(
            lambda m: m["root"] == ts and m.get("bot_id") and m.get("metadata"), deadline_s=60.0
        )


async def test_a_workspace_that_dies_ends_the_run_with_the_next_step(place: Place) -> None:
    async with place.run(KVASIR_ENGINE_URL=NO_ENGINE) as run:
        family = run.family()
        (workspace,) = [process for process in family if "bot.sandbox" in process.cmdline()]
        os.kill(workspace.pid, signal.SIGKILL)
        assert await asyncio.wait_for(run.process.wait(), 60.0) == 1
        await run.line("kvasir: The workspace on this machine was killed (signal 9). Start Kvasir again", 5.0)
        assert not [line for line in run.lines if "Traceback" in line]
        _, alive = await asyncio.to_thread(psutil.wait_procs, family, 20.0)
        assert alive == []
