"""The engine's settings: folders, the model or the remote servers, timeouts."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from engine.client.timeouts import RequestTimeouts
from engine.process.supervisor import SupervisorPolicy
from engine.routing.request_queue import QueuePolicy
from engine.weights.origin import WeightsSource


@dataclass(frozen=True, slots=True)
class EngineSettings:
    """The part of the configuration that the engine uses."""

    home: Path
    """The state directory (``KVASIR_HOME``)."""
    cache: Path
    """The folder for environments and models (``KVASIR_CACHE``)."""
    model: str | None = None
    """The name of a variant, or a folder (``KVASIR_MODEL``); None for a small model on the CPU."""
    url: str | None = None
    """Remote engines, separated by commas (``KVASIR_ENGINE_URL``). With a URL, Kvasir starts no engine itself."""
    api_key: str | None = field(default=None, repr=False)
    """The API key of the remote engines (``KVASIR_ENGINE_API_KEY``)."""
    hidden_variables: frozenset[str] = frozenset()
    """Names of other packages' secrets in the environment, which no child process gets."""
    weights_source: WeightsSource = field(default_factory=WeightsSource)
    people: int | None = None
    """Concurrent answers of each server (``KVASIR_ENGINE_PEOPLE``); None for the value of the plan or the server."""
    queue_policy: QueuePolicy = field(default_factory=QueuePolicy)
    request_timeouts: RequestTimeouts = field(default_factory=RequestTimeouts)
    supervisor_policy: SupervisorPolicy = field(default_factory=SupervisorPolicy)
    remote_poll_s: float = 15.0
    """The time between two queries of a remote engine that is ready; a third of it while the engine is not."""
    resolve_s: float = 10.0
    """The time between two lookups of the names of remote engines."""
    follow_poll_s: float = 0.5
    """The time between two reads of the runtime file of another process."""

    @property
    def urls(self) -> tuple[str, ...]:
        """Return the URLs of the remote engines without a path and without duplicates."""
        urls = (url.strip().rstrip("/").removesuffix("/v1") for url in (self.url or "").split(","))
        return tuple(dict.fromkeys(url for url in urls if url))
