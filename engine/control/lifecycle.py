"""The engine's life as a table: which event leads from which state to which."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from engine.interfaces import State


class Event(StrEnum):
    """What happens to an engine."""

    INSTALL = "install"
    DOWNLOAD = "download"
    LAUNCH = "launch"
    CAME_UP = "came up"
    WENT_SILENT = "went silent"
    DIED = "died"
    RESTART = "is restarted"
    GAVE_UP = "gave up"
    STOP = "stop"
    STOPPED = "stopped"


class IllegalTransition(RuntimeError):
    """An event came in a state where it cannot come: a fault in the program, not in the engine."""


_S, _E = State, Event
_RUNNING = (_S.STARTING, _S.READY, _S.DEGRADED)

TRANSITIONS: Mapping[tuple[State, Event], State] = {
    **{(state, _E.INSTALL): _S.INSTALLING for state in (_S.ABSENT, _S.FAILED)},
    **{(state, _E.DOWNLOAD): _S.DOWNLOADING for state in (_S.ABSENT, _S.INSTALLING, _S.STARTING, _S.FAILED)},
    **{(state, _E.LAUNCH): _S.STARTING for state in (_S.ABSENT, _S.INSTALLING, _S.DOWNLOADING, _S.FAILED)},
    **{(state, _E.CAME_UP): _S.READY for state in (_S.STARTING, _S.DEGRADED)},
    (_S.READY, _E.WENT_SILENT): _S.DEGRADED,
    **{(state, event): _S.STARTING for state in _RUNNING for event in (_E.DIED, _E.RESTART)},
    **{(state, _E.GAVE_UP): _S.FAILED for state in (*_RUNNING, _S.ABSENT, _S.INSTALLING, _S.DOWNLOADING)},
    **{(state, _E.STOP): _S.STOPPING for state in State if state is not _S.STOPPING},
    (_S.STOPPING, _E.STOPPED): _S.ABSENT,
}


def after(state: State, event: Event) -> State:
    """Return the state that follows.

    Raises:
        IllegalTransition: the table has no such step.

    """
    try:
        return TRANSITIONS[state, event]
    except KeyError:
        raise IllegalTransition(f"the engine cannot see {event.value!r} while it is {state.value!r}") from None
