"""What the engine room is told."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True)
class EngineSettings:
    """Where the engine lives and what it hosts."""

    home: Path
    """State; the engine's own is in ``home/engine``."""
    cache: Path
    """Environments and models, shared by every state folder."""
    model: str | None = None
    """A variant's name or a directory; None lets Kvasir choose."""
    url: str | None = None
    """An engine that someone else runs; then no process is started."""
    api_key: str | None = field(default=None, repr=False)
