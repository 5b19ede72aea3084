"""What the parts of Kvasir say to a probe, from what they know anyway."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from bot.health.checks import Finding
from engine.interfaces import EngineState, EngineStatus
from knowledge.sync.index_watch import IndexHealth
from knowledge.sync.manifest.lease import LeaderState

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


def find_leader(leader: LeaderState | None) -> Finding:
    """Return whether a process syncs. Questions are answered without one."""
    return Finding() if leader is not None else Finding("No process leads, so nothing is synced by the clock.")


def find_differences(differences: Mapping[str, Sequence[str]]) -> Finding:
    """Return which sources another running process has otherwise."""
    if not differences:
        return Finding()
    hosts = "; ".join(f"{host}: {', '.join(names)}" for host, names in differences.items())
    return Finding(f"Replicas have another kvasir.toml. These sources differ by host: {hosts}.")


def find_engine(status: EngineStatus) -> Finding:
    """Return the state of the engine. Without it, answers are extracts, so the process takes questions."""
    if status.state in _READY_STATES:
        return Finding()
    share = "" if status.progress is None else f", {status.progress:.0%}"
    return Finding(f"The engine is {status.state.value}{share}. Until it is ready, answers quote the documents.")
