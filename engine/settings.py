"""What the engine room is told: folders, the wanted model or somebody's server, deadlines."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from engine.client.client import RequestTimeouts
from engine.process.supervisor import SupervisorPolicy
from engine.routing.request_queue import QueuePolicy
from engine.weights.origin import WeightsSource


@dataclass(frozen=True, slots=True)
class EngineSettings:
    """The engine's slice of the configuration."""

    home: Path
    """The state directory (``KVASIR_HOME``)."""
    cache: Path
    """Environments and models (``KVASIR_CACHE``)."""
    model: str | None = None
    """A variant's name or a folder (``KVASIR_MODEL``); None for a small model on the CPU."""
    url: str | None = None
    """An engine that someone else runs (``KVASIR_ENGINE_URL``), or several with commas between; nothing is started
    here then."""
    api_key: str | None = field(default=None, repr=False)
    """The key of that engine (``KVASIR_ENGINE_API_KEY``)."""
    secrets: frozenset[str] = field(default=frozenset(), repr=False)
    """What variables of this process may hold and the engine's own process is not to see."""
    weights_source: WeightsSource = field(default_factory=WeightsSource)
    """Where a model's weights come from."""
    people: int | None = None
    """Answered at once by each server (``KVASIR_ENGINE_PEOPLE``); None for what the plan or the server says."""
    queue_policy: QueuePolicy = field(default_factory=QueuePolicy)
    request_timeouts: RequestTimeouts = field(default_factory=RequestTimeouts)
    supervisor_policy: SupervisorPolicy = field(default_factory=SupervisorPolicy)
    remote_poll_s: float = 15.0
    """Between two looks at somebody's engine that is up; a third of it while it is not."""
    follow_poll_s: float = 0.5
    """Between two looks at the file of another process that runs the engine."""

    @property
    def urls(self) -> tuple[str, ...]:
        """Return the addresses of somebody's engines, without a path, each once."""
        said = (url.strip().rstrip("/").removesuffix("/v1") for url in (self.url or "").split(","))
        return tuple(dict.fromkeys(url for url in said if url))
