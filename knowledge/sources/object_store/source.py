"""An object store as a source: S3, GCS, Azure, and anything else that ``fsspec`` opens."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from knowledge.errors import suggest_nearest
from knowledge.interfaces import DocumentContent, ListedDocument, SourceContext, SourceKey
from knowledge.path_filter import compile_path_filter
from knowledge.sources.common import (
    MAX_MB,
    SUFFIXES,
    config_error,
    fill_link_template,
    is_hidden_path,
    parse_size_limit,
    strip_suffix,
)
from knowledge.sources.object_store.s3 import S3Store
from knowledge.sources.object_store.stores import FileSystemStore, StoredObject
from knowledge.sources.registry import SourceKind

_OTHER_KINDS = {
    "file": "folder",
    "local": "folder",
    "http": "website",
    "https": "website",
    "git": "git",
    "github": "git",
}
_EXTRAS = {"gcsfs": "gcs", "adlfs": "azure"}
_S3, _GCS = frozenset({"s3", "s3a"}), frozenset({"gs", "gcs"})
_AZURE = frozenset({"az", "abfs", "abfss"})
_PASSWORD_PROTOCOLS = frozenset({"sftp", "ssh", "ftp", "smb", "webdav"})
_METADATA = "http://169.254.169.254"
# Where the drivers find a store without an ``endpoint_url``.
_CLOUDS: Mapping[str, Sequence[str]] = {
    **dict.fromkeys(_S3, ("https://*.amazonaws.com", "https://*.amazonaws.com.cn")),
    **dict.fromkeys(_GCS, ("https://*.googleapis.com",)),
    **dict.fromkeys(_AZURE, ("https://*.core.windows.net", "https://login.microsoftonline.com")),
}
# Where the drivers find a role: of a machine, of a task on ECS, of a pod on EKS, or at STS.
_ROLES: Mapping[str, Sequence[str]] = {
    **dict.fromkeys(
        _S3, (_METADATA, "http://169.254.170.2", "http://169.254.170.23", "http://[fd00:ec2::23]", *_CLOUDS["s3"])
    ),
    **dict.fromkeys(_GCS, (_METADATA, "http://metadata.google.internal")),
    **dict.fromkeys(_AZURE, (_METADATA,)),
}


@dataclass(frozen=True, slots=True)
class ObjectsOptions:
    """The keys of a ``[[source]]`` of kind ``objects``."""

    url: str
    """``s3://bucket/prefix``, ``gs://…``, ``az://container/…``."""
    endpoint_url: str | None = None
    """The address of an S3-compatible store (MinIO, Ceph, R2)."""
    region: str | None = None
    key_env: str | None = None
    secret_env: str | None = None
    session_env: str | None = None
    """Variables with an access key's id, its secret and a session token; on Azure ``secret_env`` is the account key.

    Without them, the driver uses what it finds on the machine: a role or a profile.
    """
    connection_env: str | None = None
    """A variable with an Azure connection string."""
    credentials: str | None = None
    """The file of a Google service account."""
    account: str | None = None
    """The name of an Azure storage account."""
    anonymous: bool = False
    link: str | None = None
    """Where a person opens an object: ``{path}`` is its path below the url, ``{stem}`` the path without its suffix."""
    paths: tuple[str, ...] = ()
    """The objects to read, by patterns (``compile_path_filter``); all objects without it."""
    suffixes: tuple[str, ...] = SUFFIXES
    max_mb: float = MAX_MB


class ObjectsSource:
    """Lists and reads the objects under a prefix. A version is the store's ETag, or size and time if it has none."""

    has_uniform_readers = True

    def __init__(
        self,
        key: SourceKey,
        options: ObjectsOptions,
        store: S3Store | FileSystemStore,
        *,
        max_bytes: int,
        readers: frozenset[str],
    ) -> None:
        self.key = key
        self._store = store
        self._link = options.link
        self._is_included = compile_path_filter(options.paths)
        self._suffixes = tuple(suffix.lower() for suffix in options.suffixes)
        self._max_bytes = max_bytes
        self._readers = readers

    async def list(self) -> AsyncIterator[Sequence[ListedDocument]]:
        """Yield the objects in the store's own batches.

        Raises:
            SourceUnavailable, SourceDenied: the store cannot be reached, refuses, or failed during the listing.

        """
        async with aclosing(self._store.list_objects()) as batches:
            async for entries in batches:
                yield [self._make_listed(entry) for entry in entries if self._is_document(entry.key)]

    async def read(self, listed: ListedDocument) -> DocumentContent:
        """Read one object with its current version.

        Raises:
            SourceError: it is gone, too large or not readable; a subclass if the store cannot be reached.

        """
        data, version = await self._store.read_object(listed.document, self._max_bytes)
        return DocumentContent(data, None, version)

    async def close(self) -> None:
        """Close the connections."""
        await self._store.close()

    def _is_document(self, key: str) -> bool:
        return key.lower().endswith(self._suffixes) and not is_hidden_path(key) and self._is_included(key)

    def _make_listed(self, entry: StoredObject) -> ListedDocument:
        return ListedDocument(
            document=entry.key,
            version=entry.version,
            size_bytes=entry.size_bytes,
            modified_at=entry.modified_at,
            url=fill_link_template(self._link, path=entry.key, stem=strip_suffix(entry.key)) if self._link else None,
            readers=self._readers,
        )


def build(context: SourceContext, options: ObjectsOptions) -> ObjectsSource:
    """Build the source that a ``[[source]]`` table describes.

    Raises:
        SourceMisconfigured: the url is invalid, its driver is not installed, or half of a credential is missing.

    """
    protocol, _, path = options.url.partition("://")
    _check_options(context, options, protocol, path)
    display_url = options.url.rstrip("/") + (f" at {options.endpoint_url}" if options.endpoint_url else "")
    root = options.url.rstrip("/") + (f"@{options.endpoint_url}" if options.endpoint_url else "")
    store: S3Store | FileSystemStore
    if protocol in _S3:
        bucket, _, prefix = path.rstrip("/").partition("/")
        store = S3Store(display_url, bucket, prefix, _driver_options(context, options, protocol))
    else:
        store = FileSystemStore(display_url, options.url, protocol, _driver_options(context, options, protocol))
    return ObjectsSource(
        SourceKey(context.name, "objects", root),
        options,
        store,
        max_bytes=parse_size_limit(context.name, options.max_mb),
        readers=context.readers,
    )


def list_addresses(_: SourceContext, options: ObjectsOptions) -> Sequence[str]:
    """Return the store's endpoint or its cloud; without credentials, also what gives a role."""
    protocol = options.url.partition("://")[0]
    has_secret = options.key_env or options.secret_env or options.connection_env
    role = () if options.anonymous or has_secret else _ROLES.get(protocol, ())
    cloud = _CLOUDS.get(protocol) or [f"{protocol}://{_url_authority(options.url).rpartition('@')[2]}"]
    return [*([options.endpoint_url] if options.endpoint_url else cloud), *role]


KIND = SourceKind(ObjectsOptions, build, list_addresses)


def _check_options(context: SourceContext, options: ObjectsOptions, protocol: str, path: str) -> None:
    if not path.strip("/") or "::" in options.url or re.search(r"[\x00-\x1f\x7f]", options.url):
        raise config_error(context.name, "url must name a store and a bucket, such as s3://bucket/prefix")
    if protocol in _OTHER_KINDS:
        raise config_error(context.name, f"{protocol}:// needs the kind “{_OTHER_KINDS[protocol]}”")
    if ":" in _url_authority(options.url).rpartition("@")[0] or "@" in _url_authority(options.endpoint_url):
        raise config_error(
            context.name, "an address holds a password; put it into the variables that key_env and secret_env name"
        )
    if options.endpoint_url and not options.endpoint_url.startswith(("http://", "https://")):
        raise config_error(context.name, "endpoint_url must begin with https:// or http://")
    if (options.key_env is None) != (options.secret_env is None) and protocol not in _AZURE:
        raise config_error(context.name, "key_env and secret_env need each other")
    if any(not pattern.strip("!/. ") for pattern in options.paths):
        raise config_error(context.name, "paths has an empty pattern")
    _check_driver(context, protocol)


def _url_authority(address: str | None) -> str:
    return (address or "").partition("://")[2].partition("/")[0]


def _check_driver(context: SourceContext, protocol: str) -> None:
    from fsspec.registry import known_implementations  # noqa: PLC0415 - the first source that needs it loads it

    implementation = known_implementations.get(protocol)
    if implementation is None:
        raise config_error(
            context.name,
            f"no driver opens {protocol}://.{suggest_nearest(protocol, known_implementations)} Use s3, gs or az",
        )
    module = implementation["class"].partition(".")[0]
    if find_spec(module) is None:
        extra = f"kvasir[{_EXTRAS[module]}]" if module in _EXTRAS else module
        raise config_error(context.name, f"{protocol}:// needs the package {module}. Install it (pip install {extra})")


def _driver_options(context: SourceContext, options: ObjectsOptions, protocol: str) -> Mapping[str, object]:
    """Return our keys under the names that the driver expects."""
    secrets = context.secrets
    kwargs: dict[str, object | None] = {"endpoint_url": options.endpoint_url}
    if protocol in _S3:
        kwargs |= {"key": secrets.get("key"), "secret": secrets.get("secret"), "token": secrets.get("session")}
        kwargs["anon"] = options.anonymous
        kwargs["client_kwargs"] = {"region_name": options.region} if options.region else None
    elif protocol in _GCS:
        file = str(context.base_dir / Path(options.credentials).expanduser()) if options.credentials else None
        kwargs["token"] = "anon" if options.anonymous else file
    elif protocol in _AZURE:
        kwargs |= {"account_name": options.account, "account_key": secrets.get("secret")}
        kwargs |= {"connection_string": secrets.get("connection"), "anon": options.anonymous}
    elif protocol in _PASSWORD_PROTOCOLS:
        kwargs |= {"username": secrets.get("key"), "password": secrets.get("secret")}
    else:
        kwargs |= {"key": secrets.get("key"), "secret": secrets.get("secret")}
    return {name: value for name, value in kwargs.items() if value is not None}
