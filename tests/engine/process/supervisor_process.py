"""A process that supervises a fake engine, for a test to kill: ``supervisor_process.py FOLDER BEHAVIOUR``."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

import aiohttp

from engine.control.lifecycle import LifecycleEvent
from engine.control.status import StatusBoard
from engine.planning.launch import Launch
from engine.process.supervisor import EngineJob, Supervisor, SupervisorHooks, SupervisorPolicy

FAST = SupervisorPolicy(
    start_deadline_s=15, ready_poll_s=0.05, health_interval_s=0.05, first_delay_s=0.01, max_delay_s=0.02
)
FAKE = Path(__file__).parents[1] / "fake_engine.py"
KEY = "the-key-of-this-launch"


async def healthy(url: str) -> bool:
    try:
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=1)) as session,
            session.get(f"{url}/health") as response,
        ):
            return response.status == 200
    except (aiohttp.ClientError, TimeoutError):
        return False


async def nothing(_: Launch) -> None:
    """Be ready at once."""


def supervisor(
    folder: Path,
    board: StatusBoard,
    behaviour: str = "well",
    *,
    policy: SupervisorPolicy = FAST,
    surroundings: SupervisorHooks | None = None,
    grace_s: float = 0.5,
) -> Supervisor:
    async def launch(port: int) -> Launch:
        return Launch(
            argv=(sys.executable, str(FAKE), str(port), str(folder / "pids"), behaviour),
            environment={**os.environ, "FAKE_KEY": KEY},
            config_file=folder / "launch.yaml",
            config="{}",
            url=f"http://127.0.0.1:{port}",
        )

    log = folder / "log"

    def on_line(line: str) -> None:
        with log.open("a") as file:
            file.write(f"{line}\n")

    job = EngineJob(launch, healthy, nothing, folder / "process.lock", (KEY,), on_line, grace_s=grace_s)
    return Supervisor(job, board, policy, surroundings)


async def main() -> None:
    board = StatusBoard(lambda status: print(status.state.value, flush=True))  # noqa: T201  # the test reads it
    board.apply_event(LifecycleEvent.LAUNCH)
    await supervisor(Path(sys.argv[1]), board, sys.argv[2]).run()


if __name__ == "__main__":
    asyncio.run(main())
