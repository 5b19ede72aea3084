"""What is done at the hour that ``kvasir.toml`` calls quiet: the engine, which knows no clock, may take a rung up."""

from __future__ import annotations

import structlog

from engine.service import Engine

_PATIENCE_S = 3600.0
"""For so long a moment is waited for in which nobody is being answered."""
_log = structlog.get_logger("kvasir.quiet")


async def quiet_hour(engine: Engine) -> None:
    """Let the engine try what it fell from, if the measured load leaves room; raises nothing."""
    try:
        why = await engine.step_up(_PATIENCE_S)
    except TimeoutError:
        _log.info("engine busy in its quiet hour")
        return
    if why is not None:
        _log.info("engine takes a rung up", why=why)
