"""What ``kvasir run`` says and leaves when something that it stands on is missing, taken or dies."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import psutil
import pytest

from tests.e2e.conftest import Place

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]

NO_ENGINE = "http://127.0.0.1:9"


@pytest.fixture
def place(tmp_path: Path) -> Place:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "leave.md").write_text("# Leave\n\nEverybody has thirty days of leave.\n", encoding="utf-8")
    (tmp_path / "kvasir.toml").write_text('[[source]]\nname = "hr"\nkind = "folder"\npath = "docs"\n')
    return Place(tmp_path)


async def refused(place: Place, **environ: str) -> str:
    """Return the one sentence of a run that ends by itself with status 1."""
    status, _, err = await place.command("run", KVASIR_ENGINE_URL=NO_ENGINE, **environ)
    assert status == 1, err
    assert "Traceback" not in err
    return err.strip().splitlines()[-1]


async def test_a_weaviate_that_is_down_is_told_at_the_start(place: Place) -> None:
    told = await refused(place, WEAVIATE_URL="http://127.0.0.1:9")
    assert told.startswith("kvasir: Nothing answers for Weaviate at http://127.0.0.1:9")
    assert "start it, or correct WEAVIATE_URL" in told


async def test_a_database_that_is_down_is_told_at_the_start(place: Place) -> None:
    told = await refused(place, KVASIR_DATABASE_URL="postgresql://kvasir:hushhush@127.0.0.1:9/kvasir")
    assert "127.0.0.1" in told
    assert "KVASIR_DATABASE_URL is right" in told
    assert "hushhush" not in told


async def test_a_second_one_in_the_same_home_or_at_the_same_port_is_told_and_harms_nothing(place: Place) -> None:
    async with place.run(KVASIR_ENGINE_URL=NO_ENGINE) as run:
        told = await refused(place)
        assert f"Another Kvasir runs with the state in {place.home}" in told
        assert "KVASIR_HOME=" in told
        port = run.box.base_url.rpartition(":")[2]
        told = await refused(place, KVASIR_HOME=str(place.folder / "other"), KVASIR_SANDBOX_PORT=port)
        assert f"Port {port} is taken" in told
        assert "KVASIR_SANDBOX_PORT=3001" in told
        ts = await run.box.say("ada", "#general", "@Kvasir how many days of leave?")
        await run.box.wait_for_message(
            lambda m: m["root"] == ts and m.get("bot_id") and m.get("metadata"), deadline_s=60.0
        )


async def test_a_workspace_that_dies_ends_the_run_with_the_next_step_and_leaves_nothing_behind(place: Place) -> None:
    async with place.run(KVASIR_ENGINE_URL=NO_ENGINE) as run:
        family = run.family()
        (workspace,) = [process for process in family if "bot.sandbox" in process.cmdline()]
        os.kill(workspace.pid, signal.SIGKILL)
        assert await asyncio.wait_for(run.process.wait(), 60.0) == 1
        await run.line("kvasir: The workspace on this machine was killed (signal 9). Start Kvasir again", 5.0)
        assert not [line for line in run.lines if "Traceback" in line]
        _, alive = await asyncio.to_thread(psutil.wait_procs, family, 20.0)
        assert alive == []
