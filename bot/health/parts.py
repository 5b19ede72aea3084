"""What the parts of Kvasir say to a probe, from what they know anyway."""

from __future__ import annotations

from typing import Final

from bot.health.checks import Finding
from engine.interfaces import EngineState, EngineStatus
from knowledge.sync.index_watch import IndexHealth

NEEDED_PARTS: Final = ("database", "store", "index", "slack")
"""Without one of them, no question is answered."""
NOT_OPEN: Final = Finding("It is not open yet: Kvasir is starting.", is_usable=False)
NOT_CONNECTED: Final = Finding("There is no connection to Slack now. Kvasir connects again.", is_usable=False)
_READY_STATES: Final = frozenset({EngineState.READY, EngineState.DEGRADED})


def find_store(index: IndexHealth) -> Finding:
    """Return whether the store can be used."""
    return Finding() if index.unavailable is None else Finding(str(index.unavailable), is_usable=False)


def find_index(index: IndexHealth) -> Finding:
    """Return whether the index can be searched; while it is rebuilt, answers say what they lack."""
    if index.loss is not None:
        return Finding(str(index.loss), is_usable=False)
    return Finding() if index.rebuild is None else Finding(str(index.find_trouble()))


def find_engine(status: EngineStatus) -> Finding:
    """Return the state of the engine. Without it, answers are extracts, so the process takes questions."""
    if status.state in _READY_STATES:
        return Finding()
    share = "" if status.progress is None else f", {status.progress:.0%}"
    return Finding(f"The engine is {status.state.value}{share}. Until it is ready, answers quote the documents.")
