"""Everything that can go wrong with the engine, each with the next step for a person.

EngineError
├── EngineUnavailable        nothing answers at the address, or it is absent, installing or stopped
│   └── EngineStarting       … because it is still loading
├── EngineOverloaded         its queue is full; the same question can be asked again soon
├── EngineUnauthorized       the key is missing or wrong
├── EngineRefused            it refused this request (too long, a wrong field); asking again will not help
│   └── PromptTooLong
├── EngineInterrupted        the stream broke after it had begun
├── EngineTimeout            no first token, no next token, or no whole answer within its deadline
├── InstallError             the engine's environment or model could not be made (disk, network, checksum)
└── LaunchError              the process died while loading; carries its last meaningful lines
"""

from __future__ import annotations


class EngineError(Exception):
    """An error whose text is for a person: what happened, then the next step. It never holds a key or a prompt."""


class EngineUnavailable(EngineError):
    """Nothing answers at the engine's address."""


class EngineStarting(EngineUnavailable):
    """The engine is still loading."""


class EngineOverloaded(EngineError):
    """The engine's queue is full."""


class EngineUnauthorized(EngineError):
    """The engine's key is missing or wrong."""


class EngineRefused(EngineError):
    """The engine refused this request."""


class PromptTooLong(EngineRefused):
    """The prompt and the answer's limit do not fit the engine's context."""


class EngineInterrupted(EngineError):
    """The stream broke after it had begun."""


class EngineTimeout(EngineError):
    """A deadline passed: first token, next token, or the whole answer."""


class InstallError(EngineError):
    """The engine's environment or its model could not be made."""


class LaunchError(EngineError):
    """The engine's process died, or did not become ready in time."""
