"""What is done at the hour that ``kvasir.toml`` calls quiet: a new model is calibrated, a larger profile is tried."""

from __future__ import annotations

import structlog

from bot.answering.verification.calibration import Calibrations, calibrate
from engine.errors import EngineError
from engine.interfaces import EngineState
from engine.service import Engine

_PATIENCE_S = 3600.0
"""For so long a moment is waited for in which nobody is being answered."""
_log = structlog.get_logger("kvasir.quiet")


async def run_off_peak_work(engine: Engine, calibrations: Calibrations) -> None:
    """Calibrate the served model as a judge, and let the engine try what it fell from; raises nothing."""
    await calibrate_judge(engine, calibrations)
    try:
        why = await engine.raise_memory_profile(_PATIENCE_S)
    except TimeoutError:
        _log.info("engine busy in its quiet hour")
        return
    if why is not None:
        _log.info("retrying with the larger memory profile", why=why)


async def calibrate_judge(engine: Engine, calibrations: Calibrations) -> None:
    """Measure a served model that was never measured, and keep its calibration; raises nothing."""
    status = engine.status()
    if status.state is not EngineState.READY or status.model is None or calibrations.is_known(status.model):
        return
    try:
        calibration = await calibrate(engine, _PATIENCE_S)
        calibrations.keep(status.model, calibration)
    except (EngineError, OSError) as error:  # TimeoutError is an OSError
        _log.warning("the judge is not calibrated; the features decide", model=status.model, why=str(error) or "busy")
    else:
        _log.info("the judge is calibrated", model=status.model, judges=calibration is not None)
