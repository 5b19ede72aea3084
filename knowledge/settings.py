"""What the knowledge room is told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from knowledge.interfaces import EVERYONE
from knowledge.web.http.settings import WebSettings
from knowledge.web.live_settings import LiveSettings


@dataclass(frozen=True, slots=True)
class PathWeight:
    """What the documents weigh that a pattern takes (``sources.path_filter``)."""

    path: str
    weight: float


@dataclass(frozen=True, slots=True)
class SourceSpec:
    """One ``[[source]]`` of ``kvasir.toml``; the registry checks its kind and the kind's own keys."""

    name: str
    kind: str
    options: Mapping[str, object]
    """The kind's own keys, as written."""
    base_dir: Path
    """Where relative paths start."""
    schedule: str | None = None
    """A cron line of its own, None for the nightly run alone."""
    readers: frozenset[str] = EVERYONE
    max_age_s: float | None = None
    """How old the last complete sync may be before its status says so; None: the library's default."""
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Values of the variables that keys ending in ``_env`` name: ``token_env`` brings ``token``."""
    weight: float = 1.0
    """Above 0, at most 1: by how much the score of its passages is multiplied in a search."""
    weights: tuple[PathWeight, ...] = ()
    """For some of its documents, multiplied with ``weight``; the last pattern that takes a document decides."""


Consistency = Literal["ONE", "QUORUM", "ALL"]


@dataclass(frozen=True, slots=True)
class Placement:
    """Where on a Weaviate our rows lie, and how many copies of them have to agree."""

    replicas: int = 1
    """Copies of each row; fixed when a collection is made."""
    shards: int | None = None
    """Parts of a collection, None for the server's own choice (one a node); fixed, too."""
    tenant: str | None = None
    """Collections are shared with other tenants then, and hold only rows of this one for us."""
    namespace: str = ""
    """Part of our collections' names, so that two installations on one server have collections of their own."""
    reads: Consistency | None = None
    """None: QUORUM where there are several copies, else ONE."""
    writes: Consistency | None = None

    @property
    def read_level(self) -> Consistency:
        """Return how many copies have to agree on a read."""
        return self.reads or self._usual

    @property
    def write_level(self) -> Consistency:
        """Return how many copies have to take a write."""
        return self.writes or self._usual

    @property
    def _usual(self) -> Consistency:
        return "QUORUM" if self.replicas > 1 else "ONE"


@dataclass(frozen=True, slots=True)
class KnowledgeSettings:
    """Where knowledge is kept and where it comes from."""

    home: Path
    cache: Path
    database_url: str = field(repr=False)
    """A SQLAlchemy URL for an async driver."""
    sources: tuple[SourceSpec, ...] = ()
    weaviate_url: str | None = None
    """None: the embedded store."""
    weaviate_grpc_url: str | None = None
    weaviate_api_key: str | None = field(default=None, repr=False)
    weaviate_placement: Placement = Placement()
    nightly: str | None = "30 2 * * *"
    """A cron line for the run over every source, local time; None for never."""
    web: WebSettings = field(default_factory=WebSettings)
    live: LiveSettings | None = None
    """How the live web is asked; None: never, and nothing of it is made."""

    @property
    def web_cache(self) -> Path:
        """Return the folder in which pages of the live web are kept."""
        return self.cache / "web"
