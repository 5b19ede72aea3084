"""The engine's errors. Each has a note, which says what happened and the next step.

EngineError
├── EngineUnavailable        no server answers, or the engine is absent, installing or stopped
│   └── EngineStarting       the engine is still loading
├── EngineOverloaded         the queue is full; retry the request soon
├── EngineUnauthorized       the API key is missing or wrong
├── EngineRefused            the request is invalid (too long, a wrong field); a retry does not help
│   ├── ModelMisfit          the model does not fit on this machine
│   └── PromptTooLong
├── EngineInterrupted        the stream broke after its start
├── EngineTimeout            the first token, the next token or the whole answer is late
└── InstallError             the environment or the model cannot be installed (disk, network, checksum)
"""

from __future__ import annotations

from engine.notes import EngineNote, NoteCode


class EngineError(Exception):
    """An error whose note users read: what happened, then the next step. It never contains a key or a prompt."""

    def __init__(self, note: EngineNote) -> None:
        super().__init__(str(note))
        self.note = note


class EngineUnavailable(EngineError):
    """No server answers at the engine's address."""


class EngineStarting(EngineUnavailable):
    """The engine is still loading."""


class EngineOverloaded(EngineError):
    """The engine's queue is full."""


class EngineUnauthorized(EngineError):
    """The engine's key is missing or wrong."""


class EngineRefused(EngineError):
    """The engine refused this request, or the settings do not work on this machine."""

    def __init__(self, refusal: EngineNote | str) -> None:
        super().__init__(NoteCode.REFUSED.fill(refusal=refusal) if isinstance(refusal, str) else refusal)


class ModelMisfit(EngineRefused):
    """The model does not fit on this machine. The text explains it in numbers; the note names the next step."""

    def __init__(self, model: str, reasons: str) -> None:
        super().__init__(NoteCode.MISFIT.fill(model=model))
        self.args = (reasons,)


class PromptTooLong(EngineRefused):
    """The prompt and the answer's limit do not fit the engine's context."""


class EngineInterrupted(EngineError):
    """The stream broke after its start."""


class EngineTimeout(EngineError):
    """The first token, the next token or the whole answer is late."""


class InstallError(EngineError):
    """The engine's environment or its model cannot be installed."""

    def __init__(self, problem: EngineNote | str) -> None:
        super().__init__(NoteCode.INSTALLATION_FAILED.fill(problem=problem) if isinstance(problem, str) else problem)
