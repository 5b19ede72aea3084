"""The roles of processes that share a database: one leads the syncs, another one only answers."""

from __future__ import annotations

import asyncio
import json
import signal
from asyncio.subprocess import PIPE
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import ROOT, Place
from tests.forks import end_fork, start_command
from tests.services import free_ports
from tests.slack_sandbox import open_sandbox
from tests.waiting import WAIT_S

pytestmark = [pytest.mark.slow, pytest.mark.timeout(720)]

NO_ENGINE = "http://127.0.0.1:9"


async def read_status(place: Place) -> Any:
    status, out, err = await place.command("status", "--json")
    assert status == 0, err
    return json.loads(out)


async def test_a_process_that_syncs_leads_and_answers_nobody(place: Place, tmp_path: Path) -> None:
    async with open_sandbox(tmp_path / "slack") as sandbox, asyncio.timeout(WAIT_S):
        health = {"KVASIR_HEALTH_PORT": str(free_ports(1)[0])}
        environ = {**sandbox.env, **health, "KVASIR_ROLE": "sync", "KVASIR_ENGINE_URL": NO_ENGINE}
        environ["PYTHONPATH"] = str(ROOT)
        run = await start_command(["run"], cwd=place.folder, env=place.environ(**environ), stderr=PIPE)
        assert run.stderr is not None
        try:
            while not (line := (await run.stderr.readline()).decode()).startswith("Kvasir syncs the documents"):
                assert line
            while (state := await read_status(place))["sources"]["hr"]["synced_at"] is None:  # noqa: ASYNC110 - polled
                await asyncio.sleep(0.2)
            assert state["leader"]["process"].startswith(f"process {run.pid} on ")
            (place.folder / "docs" / "lunch.md").write_text("# Lunch\n\nLunch is at noon.\n")
            status, out, err = await place.command("sync", "--json", KVASIR_ROLE="answer")
            assert status == 0, err
            assert json.loads(out)["sources"]["hr"]["failed"] == 0
            assert (await read_status(place))["sources"]["hr"]["documents"] == 2
            status, out, _ = await place.command("health", **health)
            assert (status, "slack: ok" in out, "engine" in out) == (0, True, False), "it needs neither"
            run.send_signal(signal.SIGTERM)
            output = (await run.stderr.read()).decode()
            assert await run.wait() == 0, output
        finally:
            await end_fork(run)
    assert "slack connected" not in output
    assert (await read_status(place))["leader"] is None
    _, out, _ = await place.command("status")
    assert "nothing is synced by the clock" in " ".join(out.split())
