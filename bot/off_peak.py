"""Work for the quiet hour of ``kvasir.toml``: calibrate a new model and try a larger memory profile."""

from __future__ import annotations

import structlog

from bot.answering.support.calibration import Calibrations, calibrate
from engine.errors import EngineError
from engine.interfaces import EngineState
from engine.service import Engine

_PATIENCE_S = 3600.0
"""How long to wait for a moment without questions."""
_log = structlog.get_logger("kvasir.quiet")


async def run_off_peak_work(engine: Engine, calibrations: Calibrations) -> None:
    """Calibrate the served model as a judge, then let the engine try a larger memory profile; raises nothing."""
    await calibrate_judge(engine, calibrations)
    try:
        why = await engine.raise_memory_profile(_PATIENCE_S)
    except TimeoutError:
        _log.info("engine busy in its quiet hour")
        return
    if why is not None:
        _log.info("retrying with the larger memory profile", why=why)


async def calibrate_judge(engine: Engine, calibrations: Calibrations) -> None:
    """Calibrate the served model if it has no calibration yet, and store the result; raises nothing."""
    status = engine.status()
    if status.state is not EngineState.READY or status.model is None or calibrations.is_known(status.model):
        return
    try:
        calibration = await calibrate(engine, _PATIENCE_S)
        calibrations.keep_calibration(status.model, calibration)
    except (EngineError, OSError) as error:  # TimeoutError is an OSError
        _log.warning("judge not calibrated; the features decide", model=status.model, why=str(error) or "busy")
    else:
        _log.info("judge calibrated", model=status.model, judges=calibration is not None)
