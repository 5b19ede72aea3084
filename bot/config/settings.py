"""One environment and one ``kvasir.toml`` become one typed slice for each package.

Nothing else reads the environment. Loading is a function of the mapping, the working folder and the files it names, so
a test hands it all three.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from dotenv import dotenv_values
from pydantic import SecretStr

from bot.answering.limits import Limits
from bot.answering.vision import VisionSettings
from bot.audit.settings import SYSLOG, AuditSettings
from bot.config.configuration import Configuration, read_configuration
from bot.config.environment import (
    SECRET_VARIABLES,
    Environment,
    Role,
    add_file_variables,
    list_secret_variables,
    list_service_links,
    read_embedder,
    read_environment,
    read_namespace,
    read_secret_files,
    read_store,
    refuse_unknown_variables,
)
from bot.config.web_settings import list_proxy_passwords, read_web_settings
from bot.errors import SettingsError
from bot.slack.wire.settings import OAuthSettings, SlackSettings
from engine.routing.request_queue import QueuePolicy
from engine.settings import EngineSettings
from engine.weights.origin import DEFAULT_HUB, WeightsSource
from knowledge.embedding import EmbedderSpec
from knowledge.settings import ClusterSettings, KnowledgeSettings, RerankerSettings
from knowledge.stores.registry import STORES
from knowledge.web.http.settings import ServerAddress, WebSettings

_RUN_WEB = """
# What Kvasir may fetch from the web for an answer: links in questions, and a search if .env configures a provider.
# Without this table, or with mode = "off", it fetches nothing (docs/live-web.md).
[web]
mode = "on"
"""
"""``make run`` turns the live web on by this table. A ``kvasir.toml`` without one leaves it off."""
_RUN_OWNERS = """
# Who looks after the documents, and decides cases: Ada, the owner of the workspace on this machine.
[access]
owners = ["U0ADA00001"]
"""
"""``make run`` names the sandbox's owner, so that everything can be tried. In another workspace nobody has this id."""
_OWN_WEIGHTS = "".join(
    f'[[source.weights]]\npath = "{page}"\nweight = 0.3\n' for page in ("benchmarks.md", "decisions.md")
)
"""Kvasir's own benchmarks and decisions come after its other pages, which say how it is used."""
_OAUTH_VARIABLES = ("SLACK_CLIENT_ID", "SLACK_CLIENT_SECRET", "KVASIR_TOKEN_KEYS", "KVASIR_PUBLIC_URL")
RUN_CONFIG = ".kvasir-run.toml"
"""What ``make run`` writes where there is no ``kvasir.toml``, so that the other commands can look at the same state."""


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that a command needs, checked."""

    config: Path
    home: Path
    cache: Path
    database_url: str
    """A SQLAlchemy URL for an async driver. Holds a password: never log it."""
    direct_database_url: str | None
    """The same database for migrations, without a connection pooler. Holds a password, too."""
    slack: SlackSettings | None
    """None where no ``SLACK_*`` variable is set: the workspace on this machine."""
    sandbox_port: int
    engine: EngineSettings
    knowledge: KnowledgeSettings
    configuration: Configuration
    audit: AuditSettings
    vision: VisionSettings | None = None
    """None: no model sees pictures."""
    metrics_port: int | None = None
    """None: metrics are not served."""
    metrics_host: str = "127.0.0.1"
    api_port: int | None = None
    """None: there is no API."""
    api_host: str = "127.0.0.1"
    role: Role = "all"
    health_port: int | None = None
    """None: there are no probes."""
    health_host: str = "127.0.0.1"
    drain_s: float = 180.0
    """How long running answers may take to end after SIGTERM."""
    service_links: tuple[str, ...] = ()
    """Variables of Kubernetes' services that begin like Kvasir's own and are ignored."""

    @property
    def migration_url(self) -> str:
        """Return the URL for changes of tables."""
        return self.direct_database_url or self.database_url

    @property
    def limits(self) -> Limits:
        """Return what an answer may take, and what becomes of its unsupported sentences."""
        return Limits(unsupported=self.configuration.unsupported)

    @property
    def secrets(self) -> tuple[str, ...]:
        """Return what no log may show."""
        slack, store = self.slack, self.knowledge.store_variables
        found = [self.engine.api_key, self.engine.weights_source.token, self.database_url]
        found.append(self.direct_database_url)
        found += [store.get(name) for spec in STORES.values() for name in spec.secrets]
        found += [slack.bot_token, slack.app_token, slack.signing_secret] if slack is not None else []
        found += [slack.oauth.client_secret, *slack.oauth.token_keys] if slack is not None and slack.oauth else []
        found += [secret for spec in self.knowledge.sources for secret in spec.secrets.values()]
        found += self.knowledge.embedder.secrets
        found.append(self.vision.address.api_key if self.vision is not None else None)
        found.append(self.knowledge.reranker.address.api_key if self.knowledge.reranker is not None else None)
        found.append(self.knowledge.cluster.token if self.knowledge.cluster is not None else None)
        found += list_proxy_passwords(self.knowledge.web)
        found += self.knowledge.live.search.api_keys.values() if self.knowledge.live is not None else []
        return tuple(secret for secret in found if secret)

    def __repr__(self) -> str:
        """Leave the database's URL out: it may hold a password."""
        return f"Settings(config={self.config}, home={self.home})"


def load_settings(
    environ: Mapping[str, str],
    cwd: Path,
    *,
    config: Path | None = None,
    docs: Path | None = None,
    default_docs: Path | None = None,
    required: bool = True,
) -> Settings:
    """Read ``kvasir.toml``, the ``.env`` next to it and the environment, the last of which wins.

    ``docs`` and ``default_docs`` are for ``kvasir run`` started by ``make run``: a folder to answer from instead of
    any configuration, or where none is found. It is written to ``.kvasir-run.toml``, which becomes the configuration.
    Where ``required`` is false and there is no ``kvasir.toml``, Kvasir has no sources and the defaults.

    Raises:
        SettingsError: with the sentence for a person.

    """
    path = _find_config(environ, cwd, config, docs, default_docs, required=required)
    variables = _merge_env_file(environ, path.parent / ".env")
    environment = read_environment(variables)
    home = _resolve_path(environment.KVASIR_HOME, path.parent)
    cache = _resolve_path(environment.KVASIR_CACHE, path.parent)
    configured = read_configuration(path, variables) if path.is_file() or required else Configuration((), None)
    database = _secret_value(environment.KVASIR_DATABASE_URL)
    store, store_variables = read_store(environment)
    web = _read_web(environment, variables)
    return Settings(
        config=path,
        home=home,
        cache=cache,
        database_url=_build_database_url(database, home),
        direct_database_url=_read_direct_url(environment),
        slack=read_slack_settings(environment, variables, configured.workspaces),
        sandbox_port=environment.KVASIR_SANDBOX_PORT,
        engine=EngineSettings(
            home=home,
            cache=cache,
            model=environment.KVASIR_MODEL,
            url=environment.KVASIR_ENGINE_URL,
            api_key=_secret_value(environment.KVASIR_ENGINE_API_KEY),
            hidden_variables=list_secret_variables(os.environ)
            | add_file_variables(
                str(name) for spec in configured.sources for key, name in spec.options.items() if key.endswith("_env")
            ),
            weights_source=_read_weights_origin(environment, path.parent),
            people=environment.KVASIR_ENGINE_PEOPLE,
            queue_policy=QueuePolicy(environment.KVASIR_ENGINE_QUEUE, environment.KVASIR_ENGINE_WAIT_S),
        ),
        knowledge=KnowledgeSettings(
            home=home,
            cache=cache,
            database_url=_build_database_url(database, home),
            store=store,
            store_variables=store_variables,
            namespace=read_namespace(environment),
            sources=configured.sources,
            nightly=configured.nightly,
            timezone=configured.timezone,
            web=web,
            embedder=read_embedder(environment, web, path.parent),
            recognises_text=_read_recognition(environment),
            reranker=_read_reranker(environment, web),
            live=configured.live,
            cluster=_read_cluster(environment),
            identity_file=configured.identity_file,
        ),
        configuration=configured,
        vision=_read_vision(environment, web),
        audit=_build_audit_settings(configured, environment.KVASIR_AUDIT_KEY_FILE, home, path.parent),
        metrics_port=environment.KVASIR_METRICS_PORT,
        metrics_host=environment.KVASIR_METRICS_HOST,
        api_port=environment.KVASIR_API_PORT,
        api_host=environment.KVASIR_API_HOST,
        role=environment.KVASIR_ROLE,
        health_port=environment.KVASIR_HEALTH_PORT,
        health_host=environment.KVASIR_HEALTH_HOST,
        drain_s=environment.KVASIR_DRAIN_S,
        service_links=tuple(sorted(name for name in list_service_links(environ) if name.startswith("KVASIR_"))),
    )


def read_cache_folder(environ: Mapping[str, str], cwd: Path) -> Path:
    """Return ``KVASIR_CACHE`` for what is prepared before there is a configuration."""
    variables = _merge_env_file(environ, cwd / ".env")
    return _resolve_path(read_environment(variables).KVASIR_CACHE, cwd)


def list_plain_variables(environ: Mapping[str, str], settings: Settings) -> dict[str, str]:
    """Return Kvasir's variables that are set, with "" in place of each value that holds a secret."""
    own, stores = ("SLACK_", "KVASIR_"), tuple(f"{store.upper()}_" for store in STORES)
    variables = _merge_env_file(environ, settings.config.parent / ".env")
    return {
        name: "" if name in SECRET_VARIABLES or any(secret in value for secret in settings.secrets) else value
        for name, value in sorted(variables.items())
        # A store's server has variables that begin alike, such as POSTGRESQL_PASSWORD.
        if name.startswith(own) or (name in Environment.model_fields and name.startswith(stores))
    }


def read_model_settings(environ: Mapping[str, str], cwd: Path) -> tuple[str | None, WeightsSource]:
    """Return KVASIR_MODEL and where weights come from, for what is prepared before there is a configuration."""
    environment = read_environment(_merge_env_file(environ, cwd / ".env"))
    return environment.KVASIR_MODEL, _read_weights_origin(environment, cwd)


# ── The environment ──────────────────────────────────────────────────────────────────────────────────────────────────


def _read_weights_origin(environment: Environment, base: Path) -> WeightsSource:
    place = environment.KVASIR_WEIGHTS
    if place is not None and not place.startswith("s3://"):
        place = str(_resolve_path(Path(place), base))
    return WeightsSource(place, environment.HF_ENDPOINT or DEFAULT_HUB, _secret_value(environment.HF_TOKEN))


def _read_web(environment: Environment, variables: Mapping[str, str]) -> WebSettings:
    return read_web_settings(
        variables,
        trusted=environment.KVASIR_PROXY_TRUSTED,
        rules=environment.KVASIR_PROXY_RULES.get_secret_value(),
        contact=environment.KVASIR_CONTACT,
        ca_file=environment.KVASIR_CA_FILE,
    )


def _read_recognition(environment: Environment) -> bool:
    if environment.KVASIR_OCR == "on" and find_spec("rapidocr") is None:
        raise SettingsError(
            "KVASIR_OCR=on needs packages that are not installed. Run `make setup KVASIR_OCR=on`, or "
            "`pip install -r requirements/ocr.txt`, or unset it."
        )
    return environment.KVASIR_OCR == "on"


def _read_reranker(environment: Environment, web: WebSettings) -> RerankerSettings | None:
    if environment.KVASIR_RERANKER_URL is None:
        return None
    key = _secret_value(environment.KVASIR_RERANKER_API_KEY)
    return RerankerSettings(ServerAddress(environment.KVASIR_RERANKER_URL, key, web), environment.KVASIR_RERANKER_MODEL)


def _read_cluster(environment: Environment) -> ClusterSettings | None:
    if environment.KVASIR_RAY_ADDRESS is None:
        return None
    return ClusterSettings(environment.KVASIR_RAY_ADDRESS, _secret_value(environment.RAY_AUTH_TOKEN))


def read_node_settings(environ: Mapping[str, str], cwd: Path) -> tuple[Path, EmbedderSpec]:
    """Return the cache and the embedder of a node of a Ray cluster, which needs no ``kvasir.toml``."""
    variables = _merge_env_file(environ, cwd / ".env")
    environment = read_environment(variables)
    embedder = read_embedder(environment, _read_web(environment, variables), cwd)
    return _resolve_path(environment.KVASIR_CACHE, cwd), embedder


def _read_vision(environment: Environment, web: WebSettings) -> VisionSettings | None:
    if environment.KVASIR_VISION_URL is None:
        return None
    url = environment.KVASIR_VISION_URL.rstrip("/").removesuffix("/v1")
    address = ServerAddress(url, _secret_value(environment.KVASIR_VISION_API_KEY), web)
    return VisionSettings(address, environment.KVASIR_VISION_MODEL)


def read_public_url(environ: Mapping[str, str], cwd: Path) -> str | None:
    """Return ``KVASIR_PUBLIC_URL``, for the manifest, which is made before the app exists."""
    return read_environment(_merge_env_file(environ, cwd / ".env")).KVASIR_PUBLIC_URL


def read_slack_settings(
    environment: Environment, variables: Mapping[str, str], workspaces: tuple[str, ...] = ()
) -> SlackSettings | None:
    """Return how to reach Slack, or None where no ``SLACK_*`` variable is set at all.

    Raises:
        SettingsError: the set is partial; the text names what is missing.

    """
    names = sorted(name for name in variables if name.startswith("SLACK_") or name in _OAUTH_VARIABLES)
    if not names:
        return None
    oauth = _read_oauth_settings(environment, variables, workspaces)
    bot_token = _secret_value(environment.SLACK_BOT_TOKEN)
    app_token = _secret_value(environment.SLACK_APP_TOKEN)
    signing_secret = _secret_value(environment.SLACK_SIGNING_SECRET)
    missing = []
    if bot_token is None and oauth is None:
        missing.append("SLACK_BOT_TOKEN (xoxb-…, from OAuth & Permissions)")
    if app_token is None and signing_secret is None:
        missing.append("SLACK_APP_TOKEN (xapp-…, for Socket Mode) or SLACK_SIGNING_SECRET (for HTTP)")
    if missing:
        raise SettingsError(
            f"{', '.join(names)} is set, but {' and '.join(missing)} is missing. Set it in .env, or unset every "
            "SLACK_* variable to open the workspace on this machine."
        )
    for name, token, prefix in (("SLACK_BOT_TOKEN", bot_token, "xoxb-"), ("SLACK_APP_TOKEN", app_token, "xapp-")):
        if token is not None and not token.startswith(prefix):
            raise SettingsError(f"{name} should begin with {prefix}. Copy it again from the app's page at Slack.")
    return SlackSettings(
        bot_token=bot_token or "",
        app_token=app_token,
        signing_secret=signing_secret,
        api_url=environment.SLACK_API_URL,
        port=environment.PORT,
        oauth=oauth,
    )


def _read_oauth_settings(
    environment: Environment, variables: Mapping[str, str], workspaces: tuple[str, ...]
) -> OAuthSettings | None:
    """Return how people install the app in many workspaces; None if no variable says so.

    Raises:
        SettingsError: the set is partial, or there is a token of one workspace too.

    """
    client_id, public_url = environment.SLACK_CLIENT_ID, environment.KVASIR_PUBLIC_URL
    client_secret = _secret_value(environment.SLACK_CLIENT_SECRET)
    keys = (_secret_value(environment.KVASIR_TOKEN_KEYS) or "").replace(" ", "").strip(",")
    names = [name for name in _OAUTH_VARIABLES if name in variables]
    if not names:
        return None
    from bot.storage.installations.token_cipher import MAKE_KEY, TokenCipher, TokenKeyError  # noqa: PLC0415 - rarely

    if environment.SLACK_BOT_TOKEN is not None:
        raise SettingsError(
            f"SLACK_BOT_TOKEN is for one workspace, and {', '.join(names)} for many. Unset SLACK_BOT_TOKEN and let "
            "each workspace install the app, or unset the others."
        )
    if client_id is None or client_secret is None or public_url is None or not keys:
        missing = ", ".join(name for name in _OAUTH_VARIABLES if name not in names) or "a key in KVASIR_TOKEN_KEYS"
        raise SettingsError(
            f"{', '.join(names)} is set, but {missing} is missing. Set all of them in .env. The page Basic Information "
            f"of the app shows its client id and secret; this command makes a key: {MAKE_KEY}"
        )
    settings = OAuthSettings(client_id, client_secret, tuple(keys.split(",")), public_url.rstrip("/"), workspaces)
    try:
        TokenCipher(settings.token_keys)
    except TokenKeyError as error:
        raise SettingsError(str(error)) from None
    return settings


def _merge_env_file(environ: Mapping[str, str], env_file: Path) -> dict[str, str]:
    """Return ``.env`` under the environment, with the secrets that files hold.

    A variable that is set to nothing counts as not set, and so does one that Kubernetes sets for a service.

    Raises:
        SettingsError: ``.env`` or the file of a secret cannot be read, or a variable is unknown.

    """
    try:
        from_file = dotenv_values(env_file) if env_file.is_file() else {}
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(
            f"{env_file} cannot be read ({error.__class__.__name__}). Check it, or remove it."
        ) from None
    refuse_unknown_variables(
        from_file, str(env_file), ("SLACK_", "KVASIR_", *(f"{store.upper()}_" for store in STORES))
    )
    merged = {name: value for name, value in from_file.items() if value}
    merged.update({name: environ[name] for name in environ.keys() - list_service_links(environ) if environ[name]})
    return read_secret_files(merged, env_file.parent)


def _secret_value(value: SecretStr | None) -> str | None:
    return value.get_secret_value() if value is not None else None


def _build_database_url(url: str | None, home: Path) -> str:
    if url is None:
        return f"sqlite:///{home / 'kvasir.db'}"
    scheme, _, rest = url.partition("://")
    if scheme.partition("+")[0] not in {"sqlite", "postgres", "postgresql"} or not rest:
        raise SettingsError("KVASIR_DATABASE_URL should begin with postgresql:// or sqlite:///. See .env.example.")
    return url


def _read_direct_url(environment: Environment) -> str | None:
    direct = _secret_value(environment.KVASIR_DATABASE_DIRECT_URL)
    if direct is not None and (environment.KVASIR_DATABASE_URL is None or not direct.startswith("postgres")):
        raise SettingsError(
            "KVASIR_DATABASE_DIRECT_URL should begin with postgresql://, and KVASIR_DATABASE_URL should name the same "
            "database. See .env.example."
        )
    return direct


def _build_audit_settings(configured: Configuration, key_file: Path | None, home: Path, base: Path) -> AuditSettings:
    table, kept_s = configured.audit, configured.retention.audit_s
    heads = table.heads if table.heads in {"", SYSLOG} else str(_resolve_path(Path(table.heads), base))
    return AuditSettings(
        home / "audit",
        home / "audit.key" if key_file is None else _resolve_path(key_file, base),
        enabled=table.enabled,
        strict=table.strict,
        on_erase=table.on_erase,
        heads=heads,
        keep_days=0 if math.isinf(kept_s) else max(1, math.ceil(kept_s / 86_400)),
        masking=configured.masking,
    )


def _resolve_path(path: Path, base: Path) -> Path:
    return (base / path.expanduser()).resolve()


# ── kvasir.toml ──────────────────────────────────────────────────────────────────────────────────────────────────────


def _find_config(
    environ: Mapping[str, str],
    cwd: Path,
    config: Path | None,
    docs: Path | None,
    default_docs: Path | None,
    *,
    required: bool,
) -> Path:
    if config is None and docs is not None:
        return _write_run_config(environ, cwd, docs)
    named = config or (Path(environ["KVASIR_CONFIG"]) if environ.get("KVASIR_CONFIG") else None)
    if named is not None:
        path = _resolve_path(named, cwd)
        if not path.is_file():
            raise SettingsError(f"{path} does not exist. Name a kvasir.toml with --config or KVASIR_CONFIG.")
        return path
    path = cwd / "kvasir.toml"
    if path.is_file() or not required:
        return path.resolve()
    if default_docs is not None:
        return _write_run_config(environ, cwd, default_docs, _OWN_WEIGHTS)
    hint = f" To look at what `make run` made here: --config {RUN_CONFIG}." if (cwd / RUN_CONFIG).is_file() else ""
    raise SettingsError(
        f"There is no kvasir.toml in {cwd}. Write one (docs/sources.md shows how), or name one with --config FILE or "
        f"KVASIR_CONFIG.{hint}"
    )


def _write_run_config(environ: Mapping[str, str], cwd: Path, docs: Path, weights: str = "") -> Path:
    path, docs = cwd / RUN_CONFIG, _resolve_path(docs, cwd)
    if not docs.is_dir():
        raise SettingsError(f"{docs} is not a folder. Point DOCS at a folder of documents: make run DOCS=/path")
    is_connected = any(name.startswith("SLACK_") for name in _merge_env_file(environ, cwd / ".env"))
    owners = "" if is_connected else _RUN_OWNERS
    quoted = str(docs).replace("\\", "\\\\").replace('"', '\\"')
    name = "".join(letter if letter.isalnum() else "-" for letter in docs.name.lower()).strip("-") or "documents"
    try:
        path.write_text(
            "# Written by `make run`. For sources of your own, copy it to kvasir.toml and change that.\n"
            f'[[source]]\nname = "{name}"\nkind = "folder"\npath = "{quoted}"\n{weights}{_RUN_WEB}{owners}',
            encoding="utf-8",
        )
    except OSError as error:
        raise SettingsError(f"{path} cannot be written ({error.strerror}). Run from a folder of your own.") from None
    return path.resolve()
