"""Settings of the knowledge package."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from knowledge.embedding import EMBEDDERS, EmbedderSpec
from knowledge.interfaces import EVERYONE
from knowledge.web.http.settings import ServerAddress, WebSettings
from knowledge.web.live_settings import LiveSettings


@dataclass(frozen=True, slots=True)
class PathWeight:
    """A weight for the documents that a pattern includes (``path_filter``)."""

    path: str
    weight: float


@dataclass(frozen=True, slots=True)
class PathRights:
    """The readers of the documents that a pattern includes (``path_filter``), among those of the source."""

    path: str
    readers: frozenset[str]


@dataclass(frozen=True, slots=True)
class SourceSpec:
    """One ``[[source]]`` of ``kvasir.toml``. The registry checks its kind and the kind's own keys."""

    name: str
    kind: str
    options: Mapping[str, object]
    """The kind's own keys, as written."""
    base_dir: Path
    schedule: str | None = None
    """A cron line of its own; None for the nightly sync only."""
    readers: frozenset[str] = EVERYONE
    names_readers: bool = False
    """Whether ``kvasir.toml`` names readers. If not, a source with rights of its own decides alone, also on guests."""
    rights: tuple[PathRights, ...] = ()
    """Readers of some of its documents, who must be readers of the source, too. The last matching pattern decides."""
    max_age_s: float | None = None
    """The maximum age of the last complete sync, which the status reports; None for the library's default."""
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Values of the variables that keys ending in ``_env`` name: ``token_env`` gives ``token``."""
    weight: float = 1.0
    """Above 0, at most 1: the factor for scores of its passages."""
    weights: tuple[PathWeight, ...] = ()
    """Weights for some of its documents, multiplied with ``weight``. The last matching pattern decides."""

    @property
    def readers_key(self) -> str:
        """Return a short text that changes with the configured readers."""
        named = [sorted(self.readers), *([one.path, sorted(one.readers)] for one in self.rights)]
        return hashlib.sha256(json.dumps(named).encode()).hexdigest()[:16]

    @property
    def configuration_key(self) -> str:
        """Return a short text that changes with what decides about documents and readers: kind, own keys, readers."""
        named = [self.kind, self.readers_key, self.names_readers, sorted(self.options.items())]
        return hashlib.sha256(json.dumps(named, default=str).encode()).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class RerankerSettings:
    """Which model orders passages, and where."""

    address: ServerAddress
    """With the whole path, because servers differ in it."""
    model: str = ""


@dataclass(frozen=True, slots=True)
class ClusterSettings:
    """The Ray cluster on which ``kvasir sync`` computes."""

    address: str
    """``ray://HOST:PORT`` of its Ray Client server."""
    token: str | None = field(default=None, repr=False)
    """None: Ray reads it from its own variables and files."""


@dataclass(frozen=True, slots=True)
class KnowledgeSettings:
    """Where knowledge is stored and where it comes from."""

    home: Path
    cache: Path
    database_url: str = field(repr=False)
    """A SQLAlchemy URL of PostgreSQL or SQLite; its driver does not matter."""
    sources: tuple[SourceSpec, ...] = ()
    store: str = "lancedb"
    """The name of its ``StoreSpec``."""
    store_variables: Mapping[str, Any] = field(default_factory=dict, repr=False)
    """The environment variables that have a value, of this store and of the previous one. They begin with its name."""
    namespace: str = ""
    """Tells installations apart that share a database and a store."""
    nightly: str | None = "30 2 * * *"
    """A cron line for syncing every source; None for never."""
    timezone: str | None = None
    """The time zone of all schedules by its IANA name; None for the machine's."""
    identity_file: Path | None = None
    web: WebSettings = field(default_factory=WebSettings)
    live: LiveSettings | None = None
    """Settings of the live web; None if it is disabled."""
    embedder: EmbedderSpec = EMBEDDERS[0]
    recognises_text: bool = False
    """Whether text recognition reads pictures and scanned pages."""
    reranker: RerankerSettings | None = None
    """None: passages keep the order of their fused scores."""
    cluster: ClusterSettings | None = None

    @property
    def web_cache(self) -> Path:
        """Return the folder of cached web pages."""
        return self.cache / "web"
