"""Wait for the engine before a command uses it."""

from __future__ import annotations

import asyncio

from bot.terminal.terminal import Terminal
from engine.interfaces import EngineState
from engine.service import Engine

_ENGINE_S = 240.0
"""How long to wait for an engine that is loading."""


async def wait_for_engine(engine: Engine) -> None:
    """Show the progress of the engine until it is ready or has failed."""
    if engine.status().state is EngineState.READY:
        return
    with Terminal() as terminal:
        waiting = asyncio.create_task(engine.wait_until_ready(_ENGINE_S))
        try:
            while not waiting.done():
                status = engine.status()
                terminal.show_progress("engine", status.progress, status.detail)
                await asyncio.wait([waiting], timeout=0.5)
        finally:
            waiting.cancel()
