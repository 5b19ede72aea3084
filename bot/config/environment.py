"""The environment variables that Kvasir reads, as a pydantic model: what each accepts and means."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, SecretStr, ValidationError

from bot.config.models import describe_accepted, toml_field
from bot.errors import SettingsError
from knowledge.embedding import CONFIGURED, EmbedderSpec, choose_spec, find_configured
from knowledge.errors import suggest_nearest
from knowledge.stores.registry import STORES
from knowledge.stores.weaviate.placement import Consistency
from knowledge.web.http.settings import WebSettings
from knowledge.web.live_settings import PROVIDERS

_PLAIN_URL = r"https?://[^/@?#,\s]+(/[^@?#,\s]*)?"
_PLAIN_URLS = rf"^{_PLAIN_URL}(,\s*{_PLAIN_URL})*$"
"""It has no name and password, because the address is shown in status, logs and errors."""


Role = Literal["all", "answer", "sync"]
Switch = Literal["on", "off"]
_NAMESPACE = r"^([a-z][a-z0-9]{0,31})?$"
_PORT = "a port number from 0 to 65535"
_BOOL = "true or false"
_EMBEDDER = "KVASIR_EMBEDDER_"


def env_field(meaning: str, accepts: str = "of another form", default: Any = None, **constraints: Any) -> Any:  # noqa: ANN401 - as pydantic's own Field
    """Return the field of a variable: what it means, what it accepts, its default, and pydantic's constraints."""
    return toml_field(default, accepts, meaning, **constraints)


class Environment(BaseModel):
    """Every variable that Kvasir reads. ``.env.example`` lists the same names; a test keeps the two alike."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    SLACK_BOT_TOKEN: SecretStr | None = env_field("The bot token (xoxb-…).")
    SLACK_APP_TOKEN: SecretStr | None = env_field("The app-level token (xapp-…) for Socket Mode.")
    SLACK_SIGNING_SECRET: SecretStr | None = env_field("The signing secret, for signed HTTP instead of Socket Mode.")
    SLACK_CLIENT_ID: str | None = env_field("The app's client id, to install it in many workspaces by OAuth.")
    SLACK_CLIENT_SECRET: SecretStr | None = env_field("The app's client secret, for OAuth.")
    KVASIR_TOKEN_KEYS: SecretStr | None = env_field(
        "The keys of the tokens in the database, for OAuth, with commas between. The first one encrypts, all decrypt."
    )
    KVASIR_PUBLIC_URL: str | None = env_field(
        "The address at which browsers reach Kvasir, for OAuth.",
        "an address that begins with https://, or http:// on this machine",
        pattern=r"^(https://[^/@?#\s]+|http://(localhost|127\.0\.0\.1)(:\d+)?)(/[^@?#\s]*)?$",
    )
    SLACK_API_URL: str | None = env_field(
        "Another Web API than Slack's own.", "a base URL that ends in /api/", pattern=r"^https?://.+/api/$"
    )
    PORT: int = env_field(
        "The port of POST /slack/events in HTTP mode, and of /slack/install for OAuth.", _PORT, 3000, ge=0, le=65535
    )
    KVASIR_HOME: Path = env_field("The folder of Kvasir's state.", default=Path("~/.local/share/kvasir"))
    KVASIR_CACHE: Path = env_field("The folder of what can be made again.", default=Path("~/.cache/kvasir"))
    KVASIR_CONFIG: Path | None = env_field("The configuration file; ./kvasir.toml without it.")
    KVASIR_SANDBOX_PORT: int = env_field("The port of the workspace on this machine.", _PORT, 3000, ge=0, le=65535)
    KVASIR_MODEL: str | None = env_field(
        "The model that the engine hosts, or a folder with its weights. auto takes the best R1 that fits the GPUs. "
        "Without it, a small model answers on the CPU."
    )
    KVASIR_WEIGHTS: str | None = env_field(
        "Where weights come from, instead of the hub.",
        "a folder that begins with / or ~, or s3://bucket/prefix",
        pattern=r"^(s3://[^/]+(/.*)?|[/~.].*)$",
    )
    HF_ENDPOINT: str | None = env_field(
        "A mirror of the model hub.",
        "an address that begins with http:// or https://, without a password",
        pattern=r"^https?://[^/@\s]+(/\S*)?$",
    )
    HF_TOKEN: SecretStr | None = env_field("A token of the hub, for models that are gated or private.")
    KVASIR_METRICS_PORT: int | None = env_field("The port of GET /metrics for Prometheus.", _PORT, ge=0, le=65535)
    KVASIR_METRICS_HOST: str = env_field(
        "The address that /metrics listens on.",
        "an address of this machine such as 127.0.0.1 or 0.0.0.0",
        "127.0.0.1",
        pattern=r"^[0-9A-Za-z.:-]{1,253}$",
    )
    KVASIR_HEALTH_PORT: int | None = env_field("The port of GET /livez and /readyz for probes.", _PORT, ge=0, le=65535)
    KVASIR_HEALTH_HOST: str = env_field(
        "The address that the health port listens on.",
        "an address of this machine such as 127.0.0.1 or 0.0.0.0",
        "127.0.0.1",
        pattern=r"^[0-9A-Za-z.:-]{1,253}$",
    )
    KVASIR_DRAIN_S: float = env_field(
        "How many seconds running answers may take to end after SIGTERM.", "seconds, up to 3600", 180.0, ge=0, le=3600
    )
    KVASIR_API_PORT: int | None = env_field("The port of the HTTP API, which is off without it.", _PORT, ge=0, le=65535)
    KVASIR_API_HOST: str = env_field(
        "The address that the API listens on.",
        "an address of this machine such as 127.0.0.1 or 0.0.0.0",
        "127.0.0.1",
        pattern=r"^[0-9A-Za-z.:-]{1,253}$",
    )
    KVASIR_ENGINE_URL: str | None = env_field(
        "The SGLang servers of somebody else; Kvasir then starts none.",
        "an address that begins with http:// or https://, or several with commas between, without a name or "
        "password, which everybody would see: a key goes into KVASIR_ENGINE_API_KEY",
        pattern=_PLAIN_URLS,
    )
    KVASIR_ENGINE_API_KEY: SecretStr | None = env_field("The key of those servers.")
    KVASIR_ENGINE_PEOPLE: int | None = env_field(
        "How many people each engine answers at once.", "a number from 1 to 10000", ge=1, le=10_000
    )
    KVASIR_ENGINE_QUEUE: int = env_field(
        "How many questions may wait for the engine.", "a number from 0 to 10000", 256, ge=0, le=10_000
    )
    KVASIR_ENGINE_WAIT_S: float = env_field(
        "How many seconds a question may wait.", "seconds, up to 3600", 300.0, gt=0, le=3600
    )
    KVASIR_AUDIT_KEY_FILE: Path | None = env_field(
        "The file with the keys of the audit; audit.key in KVASIR_HOME without it. Kvasir makes the first key."
    )
    KVASIR_ROLE: Role = env_field(
        "What this process does: all; answer, which never leads the syncs; or sync, which answers nobody.",
        "all, answer or sync",
        "all",
    )
    KVASIR_DATABASE_URL: SecretStr | None = env_field("PostgreSQL for Kvasir's tables; SQLite without it.")
    KVASIR_NAMESPACE: str = env_field(
        "The name of this installation, where several share a database or a store.",
        "up to 32 small letters and digits that begin with a letter",
        "",
        pattern=_NAMESPACE,
    )
    KVASIR_DATABASE_DIRECT_URL: SecretStr | None = env_field(
        "The same PostgreSQL without PgBouncer, for migrations; KVASIR_DATABASE_URL without it."
    )
    KVASIR_STORE: str | None = env_field(
        "The store of passages and vectors. Without it, Kvasir uses the one whose address is set, or else lancedb.",
        ", ".join(STORES),
    )
    KVASIR_PREVIOUS_STORE: str | None = env_field(
        "The store that was used before, with its variables: it answers until the new index is complete.",
        ", ".join(STORES),
    )
    WEAVIATE_URL: str | None = env_field(
        "Weaviate's REST address; the embedded store without it.",
        "an address that begins with http:// or https://, or several with commas between",
        pattern=r"^https?://[^,]+(,\s*https?://[^,]+)*$",
    )
    WEAVIATE_GRPC_URL: str | None = env_field(
        "Weaviate's gRPC address, where it is not port 50051 of the same host.",
        "an address such as http://host:50051, or several with commas between",
        pattern=r"^(https?|grpcs?)://[^,]+(,\s*(https?|grpcs?)://[^,]+)*$",
    )
    WEAVIATE_API_KEY: SecretStr | None = env_field("Weaviate's key.")
    WEAVIATE_REPLICAS: int = env_field("How many copies each passage has.", "a number from 1 to 15", 1, ge=1, le=15)
    WEAVIATE_SHARDS: int | None = env_field("The shards of a collection.", "a number from 1 to 1000", ge=1, le=1000)
    WEAVIATE_TENANT: str | None = env_field(
        "The tenant of the collections.",
        "up to 64 letters, digits, hyphens and underscores",
        pattern=r"^[A-Za-z0-9_-]{1,64}$",
    )
    WEAVIATE_NAMESPACE: str = env_field(
        "The older name of KVASIR_NAMESPACE.",
        "up to 32 small letters and digits that begin with a letter",
        "",
        pattern=_NAMESPACE,
    )
    WEAVIATE_READ_CONSISTENCY: Consistency | None = env_field("How many copies answer a read.", "ONE, QUORUM or ALL")
    WEAVIATE_WRITE_CONSISTENCY: Consistency | None = env_field("How many confirm a write.", "ONE, QUORUM or ALL")
    KVASIR_EMBEDDER_URL: str | None = env_field(
        "A server of embeddings in OpenAI's form (TEI, vLLM, SGLang). Without it, a small model embeds on the CPU.",
        "an address that begins with http:// or https://, without a name or password",
        pattern=rf"^{_PLAIN_URL}$",
    )
    KVASIR_EMBEDDER_API_KEY: SecretStr | None = env_field("The key of that server.")
    KVASIR_EMBEDDER_MODEL: str | None = env_field(
        "The model that it serves, under the name that it knows.",
        "up to 200 characters without blanks",
        pattern=r"^[!-~]{1,200}$",
    )
    KVASIR_EMBEDDER_DIMENSIONS: int | None = env_field(
        "The length that vectors are shortened to, for models that support it.",
        "a number from 16 to 16384",
        ge=16,
        le=16_384,
    )
    KVASIR_EMBEDDER_QUERY_PREFIX: str | None = env_field("What the model wants before a question, with its blank.")
    KVASIR_EMBEDDER_PASSAGE_PREFIX: str | None = env_field("What the model wants before a passage, with its blank.")
    KVASIR_EMBEDDER_REVISION: str | None = env_field(
        "Any word; another one builds a new index, for another model of the same name."
    )
    KVASIR_EMBEDDER_TOKENIZER: Path | None = env_field(
        "The tokenizer.json of the model. Without it, Kvasir estimates the length of texts and makes shorter passages."
    )
    KVASIR_EMBEDDER_FILE: Path | None = env_field(
        "A model in ONNX that embeds on this machine, in place of a server; it needs KVASIR_EMBEDDER_TOKENIZER."
    )
    KVASIR_EMBEDDER_POOLING: Literal["mean", "cls"] | None = env_field(
        "How the model of that file makes one vector of a text: mean by default, or that of the first token.",
        "mean or cls",
    )
    KVASIR_EMBEDDER_MAX_TOKENS: int | None = env_field(
        "The tokens that the model of that file reads of a text, 512 by default.",
        "a number from 16 to 8192",
        ge=16,
        le=8192,
    )
    KVASIR_EMBEDDER_BATCH: int | None = env_field(
        "How many texts one call has at most, 32 by default.", "a number from 2 to 1024", ge=2, le=1024
    )
    KVASIR_EMBEDDER_CONCURRENCY: int | None = env_field(
        "How many calls with passages run at once, 1 by default. A question may wait for as many.",
        "a number from 1 to 64",
        ge=1,
        le=64,
    )
    KVASIR_OCR: Switch = env_field(
        "Whether text recognition reads pictures and scanned pages. It needs the packages of requirements/ocr.txt.",
        "on or off",
        "off",
    )
    KVASIR_RERANKER_URL: str | None = env_field(
        "The whole address of a reranker, such as http://host:8000/v1/rerank; without it there is none.",
        "an address that begins with http:// or https://, without a name or password",
        pattern=rf"^{_PLAIN_URL}$",
    )
    KVASIR_RERANKER_API_KEY: SecretStr | None = env_field("The key of the reranker.")
    KVASIR_RERANKER_MODEL: str = env_field(
        "The model of the reranker.", "up to 200 characters without blanks", "", pattern=r"^[!-~]{0,200}$"
    )
    KVASIR_RAY_ADDRESS: str | None = env_field(
        "The Ray cluster on which `kvasir sync` computes (`--on`); this machine without it.",
        "an address such as ray://host:10001",
        pattern=r"^ray://[^/@?#,:\s]+(:\d{1,5})?$",
    )
    RAY_AUTH_TOKEN: SecretStr | None = env_field("The token of that cluster; Ray may read it from its own file, too.")
    KVASIR_VISION_URL: str | None = env_field(
        "A server of a vision model in OpenAI's form, such as http://host:30000. It gets pictures that come with "
        "questions.",
        "an address that begins with http:// or https://, without a name or password",
        pattern=rf"^{_PLAIN_URL}$",
    )
    KVASIR_VISION_API_KEY: SecretStr | None = env_field("The key of the vision model's server.")
    KVASIR_VISION_MODEL: str = env_field(
        "The name of the vision model there.", "up to 200 characters without blanks", "", pattern=r"^[!-~]{0,200}$"
    )
    POSTGRESQL_URL: SecretStr | None = env_field(
        "The PostgreSQL of the store postgresql, if it is another database than KVASIR_DATABASE_URL."
    )
    OPENSEARCH_URL: str | None = env_field(
        "OpenSearch's address; the embedded store without it.",
        "an address that begins with http:// or https://, or several with commas between, without a name or password: "
        "these go into OPENSEARCH_USER and OPENSEARCH_PASSWORD",
        pattern=_PLAIN_URLS,
    )
    OPENSEARCH_API_KEY: SecretStr | None = env_field("A key of OpenSearch, as its interface returns it encoded.")
    OPENSEARCH_USER: str | None = env_field("The name of Kvasir's user at OpenSearch, instead of a key.")
    OPENSEARCH_PASSWORD: SecretStr | None = env_field("The password of this user.")
    OPENSEARCH_SHARDS: int = env_field("The shards of a new index.", "a number from 1 to 1000", 1, ge=1, le=1000)
    ELASTICSEARCH_URL: str | None = env_field(
        "Elasticsearch's address; the embedded store without it.",
        "an address that begins with http:// or https://, or several with commas between, without a name or password: "
        "these go into ELASTICSEARCH_USER and ELASTICSEARCH_PASSWORD",
        pattern=_PLAIN_URLS,
    )
    ELASTICSEARCH_API_KEY: SecretStr | None = env_field("A key of Elasticsearch, as its interface returns it encoded.")
    ELASTICSEARCH_USER: str | None = env_field("The name of Kvasir's user at Elasticsearch, instead of a key.")
    ELASTICSEARCH_PASSWORD: SecretStr | None = env_field("The password of this user.")
    ELASTICSEARCH_SHARDS: int = env_field("The shards of a new index.", "a number from 1 to 1000", 1, ge=1, le=1000)
    HTTP_PROXY: SecretStr | None = env_field("The proxy for http addresses.")
    HTTPS_PROXY: SecretStr | None = env_field("The proxy for https addresses.")
    ALL_PROXY: SecretStr | None = env_field("The proxy for both.")
    NO_PROXY: str | None = env_field("Hosts that are reached without a proxy.")
    KVASIR_PROXY_TRUSTED: bool = env_field("Whether the proxy resolves names and keeps Kvasir outside.", _BOOL, False)
    KVASIR_PROXY_RULES: SecretStr = env_field("Other proxies for some domains.", default=SecretStr(""))
    KVASIR_CONTACT: str = env_field(
        "Where the owner of a site finds who runs this Kvasir.",
        "the address of a page or a mailbox, without blanks",
        "",
        pattern=r"^[\x21-\x7e]{0,200}$",
    )
    KVASIR_CA_FILE: Path | None = env_field("Certificates of your company's own authority (PEM).")
    KVASIR_SEARXNG_URL: str | None = env_field(
        "Your own SearXNG, as a search provider.",
        "an address that begins with http:// or https://, without a password",
        pattern=r"^https?://[^/@\s]+(/[^?#\s]*)?$",
    )
    BRAVE_API_KEY: SecretStr | None = env_field("The key of Brave Search.")
    TAVILY_API_KEY: SecretStr | None = env_field("The key of Tavily.")
    EXA_API_KEY: SecretStr | None = env_field("The key of Exa.")
    SERPER_API_KEY: SecretStr | None = env_field("The key of Serper.")


SECRET_VARIABLES = frozenset(
    name
    for name, field in Environment.model_fields.items()
    if SecretStr in {field.annotation, *get_args(field.annotation)}
)
"""The variables that hold a secret. Each may come from a file instead: ``NAME_FILE`` has its path."""
_IN_FILE = "_FILE"

_DEVELOPER = {"KVASIR_EVAL_DIR", "KVASIR_EVAL_PAGES", "KVASIR_TEST_WEAVIATE"}
"""Read by the tests and the evaluation alone."""


_SERVICE_LINK = re.compile(
    r"[A-Z0-9_]+(_PORT=(tcp|udp|sctp)://.*|_PORT_\d+_(TCP|UDP|SCTP)(_PROTO|_PORT|_ADDR)?=.*"
    r"|_SERVICE_(HOST|PORT(_[A-Z0-9_]+)?)=.*)",
    re.DOTALL,
)


def list_service_links(variables: Mapping[str, str]) -> frozenset[str]:
    """Return the names that Kubernetes sets for a service: ``X_SERVICE_HOST``, ``X_PORT=tcp://…`` and similar ones.

    A service may be called ``kvasir`` or ``kvasir-health``, and its variables then begin like ours.
    """
    return frozenset(name for name, value in variables.items() if _SERVICE_LINK.fullmatch(f"{name}={value}"))


def read_environment(variables: Mapping[str, str]) -> Environment:
    """Check the variables that are ours.

    Raises:
        SettingsError: one is unknown (the nearest known name is given) or is not of its form.

    """
    refuse_unknown_variables(variables, "The environment", ("KVASIR_",))
    try:
        return Environment(**{name: value for name, value in variables.items() if name in Environment.model_fields})  # type: ignore[arg-type]
    except ValidationError as error:
        name = str(error.errors(include_input=False, include_url=False)[0]["loc"][0])
        raise SettingsError(f"{name} should be {describe_accepted(Environment, name)}. See .env.example.") from None


def find_secret(variables: Mapping[str, str], name: str, base: Path) -> str | None:
    """Return the secret of a variable, or of the file that ``NAME_FILE`` names; None if neither is set.

    A relative path begins at ``base``.

    Raises:
        SettingsError: both are set, or the file cannot be read or is empty.

    """
    in_file = f"{name}{_IN_FILE}"
    path = variables.get(in_file)
    if not path:
        return variables.get(name) or None
    if variables.get(name):
        raise SettingsError(f"{name} and {in_file} are both set. Unset one of them.")
    try:
        secret = (base / Path(path).expanduser()).read_text(encoding="utf-8").strip()
    except (OSError, ValueError, RuntimeError) as error:
        raise SettingsError(
            f"{in_file} names a file that cannot be read ({type(error).__name__}). Check the path and its rights."
        ) from None  # the path may be the secret itself, and the text of a wrong encoding quotes the file
    if not secret:
        raise SettingsError(f"{in_file} names an empty file. Write the secret into it.")
    return secret


def read_secret_files(variables: Mapping[str, str], base: Path) -> dict[str, str]:
    """Return the variables with the secrets that files hold, in place of the names of these files.

    Raises:
        SettingsError: as ``find_secret``.

    """
    secrets = {name: find_secret(variables, name, base) for name in SECRET_VARIABLES}
    others = {name: value for name, value in variables.items() if name.removesuffix(_IN_FILE) not in SECRET_VARIABLES}
    return others | {name: secret for name, secret in secrets.items() if secret is not None}


def read_namespace(environment: Environment) -> str:
    """Return the name of this installation, "" for none.

    Raises:
        SettingsError: both of its variables are set, and they differ.

    """
    names = {environment.KVASIR_NAMESPACE, environment.WEAVIATE_NAMESPACE} - {""}
    if len(names) > 1:
        raise SettingsError(
            "KVASIR_NAMESPACE and WEAVIATE_NAMESPACE differ. They are two names of one setting: unset one of them."
        )
    return next(iter(names), "")


def read_store(environment: Environment) -> tuple[str, Mapping[str, Any]]:
    """Return the name of the chosen store, and the variables with a value of this one and of the previous one.

    Raises:
        SettingsError: there is no such store, one lacks what it needs, or a third one is configured, too.

    """
    configured = {spec.name: spec.setting for spec in STORES.values() if getattr(environment, spec.setting, None)}
    previous = environment.KVASIR_PREVIOUS_STORE
    name = environment.KVASIR_STORE or next(iter([*(one for one in configured if one != previous), *STORES]))
    shared: dict[str, Any] = {}
    for variable, chosen in (("KVASIR_STORE", name), ("KVASIR_PREVIOUS_STORE", previous or name)):
        if chosen not in STORES:
            suggestion = suggest_nearest(chosen, STORES)
            raise SettingsError(f"{variable} names {chosen}.{suggestion} Known: {', '.join(STORES)}.")
        needed, fallback = STORES[chosen].setting, STORES[chosen].fallback
        if not needed or chosen in configured:
            continue
        shared[needed] = getattr(environment, fallback, None)
        if shared[needed] is None:
            either = f"neither {needed} nor {fallback} is set" if fallback else f"{needed} is not set"
            raise SettingsError(f"{variable} names {chosen}, but {either}. Set it in .env.")
    for other, variable in configured.items():
        if other not in {name, previous}:
            raise SettingsError(
                f"The store is {name}, but {variable} is set, too. Unset {variable}, or set KVASIR_STORE to {other}. "
                f"If {other} was used before: KVASIR_PREVIOUS_STORE={other}."
            )
    prefixes = tuple(f"{one.upper()}_" for one in (name, previous) if one)
    return name, {
        variable: value.get_secret_value() if isinstance(value, SecretStr) else value
        for variable, value in (dict(environment) | shared).items()
        if variable.startswith(prefixes) and value is not None
    }


def read_embedder(environment: Environment, web: WebSettings, base: Path) -> EmbedderSpec:
    """Return the declaration of the chosen embedder. A relative path begins at ``base``.

    Raises:
        SettingsError: a variable is missing or belongs to another kind of embedder, or a file cannot be read.

    """
    variables = {
        variable.removeprefix(_EMBEDDER): value.get_secret_value() if isinstance(value, SecretStr) else value
        for variable, value in environment
        if variable.startswith(_EMBEDDER) and value is not None
    }
    kind = find_configured(variables) or CONFIGURED[0]
    missing = [name for name in kind.needs if variables and name not in variables]
    if missing:
        raise SettingsError(
            f"{_EMBEDDER}{next(iter(variables))} is set, but {_EMBEDDER}{missing[0]} is not. Set it in .env, or unset "
            f"every {_EMBEDDER}… to embed on this machine."
        )
    if foreign := variables.keys() - {*kind.needs, *kind.takes}:
        raise SettingsError(
            f"{_EMBEDDER}{min(foreign)} does not go with {_EMBEDDER}{kind.needs[0]}. Unset one of them in .env."
        )
    paths = {name: base / value.expanduser() for name, value in variables.items() if isinstance(value, Path)}
    try:
        return choose_spec(variables | paths, web)
    except OSError as error:
        raise SettingsError(
            f"The embedder's file {error.filename} cannot be read ({error.strerror}). Correct {_EMBEDDER}… in .env."
        ) from error


def list_secret_variables(names: Iterable[str] = ()) -> frozenset[str]:
    """Return the secrets of all stores, search providers and model servers, chosen or not, and the names of files.

    Of the other ``names``, those that begin like a store's settings count as secrets, because an address may hold one.
    """
    prefixes = tuple(f"{store.upper()}_" for store in STORES)
    keys = frozenset(spec.setting for spec in PROVIDERS.values() if spec.needs == "key")
    keys |= {f"{_EMBEDDER}API_KEY", "KVASIR_RERANKER_API_KEY", "KVASIR_VISION_API_KEY", "RAY_AUTH_TOKEN"}
    return add_file_variables(keys.union(*(spec.secrets for spec in STORES.values()))).union(
        (name for name in names if name.startswith(prefixes)),
        (f"{name}{_IN_FILE}" for name in SECRET_VARIABLES),  # a child may have a proxy, but not read files of secrets
    )


def add_file_variables(names: Iterable[str]) -> frozenset[str]:
    """Return names of variables with a secret, and the names of those that name a file with it."""
    return frozenset(one for name in names for one in (name, f"{name}{_IN_FILE}"))


def refuse_unknown_variables(names: Iterable[str], where: str, prefixes: tuple[str, ...]) -> None:
    """Refuse variables that begin like ours and that Kvasir does not know; others belong to other programs.

    Raises:
        SettingsError: with the nearest known name.

    """
    fields = Environment.model_fields
    for name in names:
        is_known = name in fields or name in _DEVELOPER or name.removesuffix(_IN_FILE) in SECRET_VARIABLES
        if name.startswith(prefixes) and not is_known:
            raise SettingsError(
                f"{where} sets {name}, which Kvasir does not know.{suggest_nearest(name, fields)} See .env.example."
            )
