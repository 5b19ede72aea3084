"""List every host and port that Kvasir may connect to, by its configuration. Nothing here connects.

Each kind of source, store, embedder and search provider names its own addresses next to its entry in a registry.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from bot.config.settings import Settings
from bot.http.loopback import is_loopback
from knowledge.database.postgresql_url import list_database_addresses
from knowledge.sources import registry
from knowledge.stores.registry import list_store_addresses
from knowledge.web.http.guard import bracket_address, build_rules, list_reachable

ENGINE, DATABASE, STORE = "the engine", "the database", "the store"
_PORTS: Mapping[str, int] = {
    "http": 80, "ws": 80, "https": 443, "wss": 443, "ssh": 22, "sftp": 22, "ftp": 21, "smb": 445,
    "postgresql": 5432, "postgres": 5432, "mysql": 3306, "mariadb": 3306, "mssql": 1433, "oracle": 1521,
    "socks5": 1080, "socks5h": 1080, "socks4": 1080, "socks4a": 1080,
}  # fmt: skip
_PACKAGE_INDEX = ("https://pypi.org", "https://files.pythonhosted.org")


@dataclass(frozen=True, slots=True, order=True)
class Destination:
    """A place that Kvasir may connect to, and why. ``*`` is any host or port, ``*.example.com`` any below a domain."""

    host: str
    port: str
    reason: str
    scheme: str = ""

    @property
    def is_elsewhere(self) -> bool:
        """Return whether it is not on this machine."""
        return not is_loopback(f"http://{bracket_address(self.host)}")

    def __str__(self) -> str:
        """Return ``host:port``."""
        return f"{bracket_address(self.host)}:{self.port}"


def list_egress(settings: Settings, environ: Mapping[str, str]) -> tuple[Destination, ...]:
    """Return everything that Kvasir may connect to, sorted by host.

    ``environ`` has the variables of the programs that Kvasir starts, such as the package index of uv.

    Raises:
        SourceMisconfigured: a source's table is wrong.

    """
    found = {
        parse_destination(address, reason)
        for reason, addresses in _list_addresses(settings, environ)
        for address in addresses
    }
    return tuple(sorted(found))


def parse_destination(address: str, reason: str) -> Destination:
    """Return the destination of a URL or of ``host:port``, without credentials."""
    parts = urlsplit(address if "://" in address else f"//{address}")
    port = parts.netloc.rpartition("@")[2].rpartition("]")[2].partition(":")[2]
    return Destination(parts.hostname or "", port or str(_PORTS.get(parts.scheme, "*")), reason, parts.scheme)


def _list_addresses(settings: Settings, environ: Mapping[str, str]) -> Iterator[tuple[str, Sequence[str]]]:
    """Yield the addresses of each part with its name."""
    knowledge, engine, live = settings.knowledge, settings.engine, settings.knowledge.live
    if settings.slack is None:
        yield "the workspace on this machine", (f"127.0.0.1:{settings.sandbox_port or '*'}",)
    else:
        yield "Slack", settings.slack.addresses
    yield ENGINE, engine.urls or ("http://127.0.0.1:*",)
    if not engine.urls:
        yield "the weights of models", engine.weights_source.addresses
    for database in dict.fromkeys((settings.database_url, settings.migration_url)):
        yield DATABASE, list_database_addresses(database)
    yield STORE, list_store_addresses(knowledge)
    yield "the embedder", knowledge.embedder.addresses
    yield "the Ray cluster", [knowledge.cluster.address] if knowledge.cluster else []
    yield "the reranker", [knowledge.reranker.address.url] if knowledge.reranker else []
    yield "the vision model", [settings.vision.address.url] if settings.vision else []
    for spec in knowledge.sources:
        if spec.kind != "slack":
            yield f"the source {spec.name}", registry.list_addresses(spec, knowledge.web)
    if live is not None:
        yield "web search", live.search.addresses
        yield "the live web", list_reachable(build_rules(live.private_hosts, knowledge.web.ports, live.allowed_domains))
    yield "a proxy", [one.url for one in knowledge.web.proxies.all_proxies]
    yield "the package index", _list_package_indexes(environ)
    yield (
        "AWS_ENDPOINT_URL",
        [url for name in ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3") if (url := environ.get(name))],
    )
    if settings.configuration.security.advisories == "online":
        yield "advisories", ("https://api.osv.dev",)


def _list_package_indexes(environ: Mapping[str, str]) -> Sequence[str]:
    """Return the URLs from which uv installs the engine and models, by its variables: an entry may have a name."""
    chosen = environ.get("UV_DEFAULT_INDEX") or environ.get("UV_INDEX_URL")
    more = " ".join(environ.get(name, "") for name in ("UV_INDEX", "UV_EXTRA_INDEX_URL", "UV_FIND_LINKS"))
    entries = [*([chosen] if chosen else _PACKAGE_INDEX), *more.replace(",", " ").split()]
    urls = [entry.partition("=")[2] if "=" in entry.partition("://")[0] else entry for entry in entries]
    return [url for url in urls if "://" in url and not url.startswith("file:")]
