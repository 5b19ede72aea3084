"""Work for the quiet hour of ``kvasir.toml``: calibrate new models and try a larger memory profile."""

from __future__ import annotations

import structlog

from bot.answering.support.calibration import Calibrations, calibrate
from engine.errors import EngineError
from engine.interfaces import EngineState
from engine.service import Engine
from knowledge.embedding import explain_uncalibrated
from knowledge.errors import KnowledgeError
from knowledge.library import Library

_PATIENCE_S = 3600.0
"""How long to wait for a moment without questions."""
_log = structlog.get_logger("kvasir.quiet")


async def run_off_peak_work(engine: Engine, calibrations: Calibrations, library: Library) -> None:
    """Calibrate the embedder and the served model, then let the engine try a larger memory profile; raises nothing."""
    await calibrate_embedder(library)
    await calibrate_judge(engine, calibrations)
    try:
        why = await engine.raise_memory_profile(_PATIENCE_S)
    except TimeoutError:
        _log.info("engine busy in its quiet hour")
        return
    if why is not None:
        _log.info("retrying with the larger memory profile", why=why)


async def calibrate_embedder(library: Library) -> None:
    """Fit the constants of an embedder that has none, for the next start of each process; raises nothing."""
    if not explain_uncalibrated(library.embedder.identity, library.calibration):
        return
    try:
        is_fitted = await library.calibrate()
    except KnowledgeError as error:
        _log.warning("embedder not calibrated", why=str(error))
    else:
        _log.info("embedder calibrated, from the next start on" if is_fitted else "embedder not calibrated: no model")


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
