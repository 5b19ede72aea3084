"""Google Drive as a source, read by a service account."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from knowledge.dates import parse_iso_date
from knowledge.errors import SourceError, SourceMisconfigured
from knowledge.interfaces import DocumentContent, ListedDocument, SourceContext, SourceKey, intersect_readers
from knowledge.sources.common import (
    MAX_MB,
    config_error,
    parse_size_limit,
    split_batches,
    widen_to_everyone,
)
from knowledge.sources.drive.api import DriveApi, is_throttled, parse_error_code
from knowledge.sources.drive.files import DriveFile, FileAudience, file_version
from knowledge.sources.drive.google_account import TOKEN_URL, ServiceAccount
from knowledge.sources.drive.identities import SCOPE as GROUPS_SCOPE
from knowledge.sources.drive.identities import GoogleIdentities
from knowledge.sources.drive.listing import DriveListing, DriveSnapshot, StaleSnapshot
from knowledge.sources.hosted.http_api import CallRefused, HostedService, HttpApi, fetch_or_none, run_concurrently
from knowledge.sources.hosted.http_call import QUESTION_PATIENCE, parse_secure_url, quote_link
from knowledge.sources.hosted.json_form import get_text
from knowledge.sources.memory import load_sealed_state, save_sealed_state
from knowledge.sources.registry import SourceKind

_STATE_VERSION = 2
_BATCH = 1000
_CALLS_AT_ONCE = 8
_DOMAINS = ("googleapis.com", "googleusercontent.com")  # to which Google redirects downloads


@dataclass(frozen=True, slots=True)
class DriveOptions:
    """The keys of a ``[[source]]`` of kind ``drive``."""

    credentials_file: str | None = None
    """The JSON file with a service account's key, relative to the configuration file."""
    credentials_env: str | None = None
    subject: str | None = None
    """The person in whose name Kvasir reads, by domain-wide delegation."""
    groups_as: str | None = None
    """An administrator in whose name Kvasir reads groups, by delegation of ``admin.directory.group.readonly``."""
    drives: tuple[str, ...] = ()
    folders: tuple[str, ...] = ()
    """Ids of folders, each with everything below it. Neither drives nor folders means all that is shared."""
    rights: str = "own"
    """``own``: as in Drive; ``ignore``: as configured in ``readers``."""
    everyone: tuple[str, ...] = ()
    """Readers that mean everybody, such as ``drive:domain-with-link:company.com``."""
    full_every_h: float = 24.0
    """After this many hours the source lists everything again, and uses nothing that it remembers."""
    url: str = "https://www.googleapis.com"
    max_mb: float = MAX_MB


class DriveSource:
    """Lists and reads files. A document's id is the file's with its suffix; renaming or moving does not change it."""

    lists_rights = False

    def __init__(
        self,
        key: SourceKey,
        options: DriveOptions,
        context: SourceContext,
        api: HttpApi,
        account: ServiceAccount,
        identities: GoogleIdentities | None,
    ) -> None:
        self.key = key
        self.identities = identities
        """Google's groups, for questions; None if they are not configured."""
        self._options = options
        self._context = context
        self._memory = context.memory(key)
        self._limit = parse_size_limit(context.name, options.max_mb)
        self._everyone = frozenset(options.everyone)
        self._api = api
        self._account = account
        self._drive = DriveApi(api)

    async def list(self) -> AsyncIterator[Sequence[ListedDocument]]:
        """Yield the files in batches.

        Raises:
            SourceError: the listing failed, or a configured drive or folder does not exist.

        """
        # There is no snapshot when a whole listing is due.
        full_at, snapshot = await load_sealed_state(self._memory, _STATE_VERSION, self._decode_state) or (0.0, None)
        listing = self._new_listing()
        if snapshot is not None:
            every_file: list[DriveFile] = []
            try:
                async for files in listing.list_since(snapshot):
                    every_file += files
                    yield []  # a heartbeat: files follow once it is certain that the changes are complete
            except StaleSnapshot:
                snapshot = None
            else:
                for batch in split_batches(every_file, _BATCH):
                    yield self._make_listed(batch)
        if snapshot is None:
            full_at, listing = self._context.now(), self._new_listing()
            async for files in listing.list_all(self._options.drives, self._options.folders):
                yield self._make_listed(files)
        state = {
            "full_at": full_at,
            "scope": self._listing_scope(),
            "held": await asyncio.to_thread(listing.snapshot.to_json),
        }
        await save_sealed_state(self._memory, _STATE_VERSION, state)

    async def read(self, listed: ListedDocument) -> DocumentContent:
        """Read a file as its bytes; Google's own documents become Markdown, XLSX or PPTX.

        Raises:
            SourceError: the file is gone, too large, or the account may not download it.

        """
        try:
            file = await self._drive.fetch_file(listed.document.partition(".")[0])
        except CallRefused:
            raise _gone_error(listed.document) from None
        if file.get("trashed") is True:
            raise _gone_error(listed.document)
        data, media_type = await self._drive.fetch_content(file, listed.document, self._limit)
        return DocumentContent(data, media_type, file_version(file), get_text(file, "name"))

    async def read_rights(self, documents: Collection[str]) -> Mapping[str, frozenset[str]]:
        """Return the readers of the files that are still there.

        Raises:
            SourceError: Google Drive does not answer, or refuses.

        """
        names = list(documents)
        found = await run_concurrently([partial(self._find_readers, one) for one in names], _CALLS_AT_ONCE)
        return {document: readers for document, readers in zip(names, found, strict=True) if readers is not None}

    async def close(self) -> None:
        """Close the connections."""
        try:
            await self._api.close()
        finally:
            await self._account.close()
            if self.identities is not None:
                await self.identities.close()

    async def _find_readers(self, document: str) -> frozenset[str] | None:
        """Return the readers of a file; None if it is gone."""
        file = await fetch_or_none(partial(self._drive.fetch_file, document.partition(".")[0]))
        if file is None or file.get("trashed") is True:
            return None
        return self._limit_readers(await self._new_listing().fetch_audience(file))

    def _limit_readers(self, audience: FileAudience) -> frozenset[str]:
        if self._options.rights == "ignore":
            return self._context.readers
        return intersect_readers(self._context.readers, widen_to_everyone(frozenset(audience.readers), self._everyone))

    def _new_listing(self) -> DriveListing:
        return DriveListing(self._drive, rights=self._options.rights != "ignore", now=self._context.now())

    def _decode_state(self, state: Mapping[str, Any]) -> tuple[float, DriveSnapshot] | None:
        is_due = not 0 <= self._context.now() - state["full_at"] < self._options.full_every_h * 3600
        if is_due or state["scope"] != self._listing_scope():
            return None
        return state["full_at"], DriveSnapshot.from_json(state["held"])

    def _listing_scope(self) -> Sequence[object]:
        """Return the options that a remembered listing must have been made with."""
        options = self._options
        return [sorted(options.drives), sorted(options.folders), options.rights]

    def _make_listed(self, files: Sequence[DriveFile]) -> Sequence[ListedDocument]:
        return [
            ListedDocument(
                document=file.document,
                version=file.version,
                size_bytes=file.size_bytes,
                modified_at=parse_iso_date(file.modified),
                url=quote_link(file.link),
                readers=self._limit_readers(file.audience),
            )
            for file in files
        ]


def build(context: SourceContext, options: DriveOptions) -> DriveSource:
    """Build the source that a ``[[source]]`` table describes.

    Raises:
        SourceMisconfigured: a key has an invalid value, or the credentials are invalid.

    """
    if options.rights not in {"own", "ignore"}:
        raise config_error(context.name, "rights must be own or ignore")
    try:
        url = parse_secure_url(options.url)
        credentials = _read_credentials(context, options)
        account = ServiceAccount(credentials, context, options.subject)
    except OSError as error:
        raise SourceMisconfigured(
            f"Source {context.name}: credentials_file cannot be read: {error.strerror}. Correct the path."
        ) from None
    except ValueError:
        # Not chained: the original error may quote the key.
        raise SourceMisconfigured(
            f"Source {context.name}: its credentials are not the JSON of a service account's key. "
            "Make a key in the Google Cloud console and name its file with credentials_file."
        ) from None
    service = HostedService("Google Drive", url, "service account", is_throttled, parse_error_code, _DOMAINS)
    root = " ".join([str(url), *sorted((*options.drives, *options.folders)), options.subject or ""]).strip()
    identities = None
    if options.groups_as:
        administrator = ServiceAccount(credentials, context, options.groups_as, scope=GROUPS_SCOPE)
        # A question does not wait for the calls of a sync.
        calls = HttpApi(replace(service, name="Google"), context, administrator, patience=QUESTION_PATIENCE)
        identities = GoogleIdentities(options.groups_as, calls, administrator)
    key = SourceKey(context.name, "drive", root)
    return DriveSource(key, options, context, HttpApi(service, context, account), account, identities)


def list_addresses(context: SourceContext, options: DriveOptions) -> Sequence[str]:
    """Return the API, where it redirects downloads, and where the service account gets its tokens."""
    try:
        token_url = json.loads(_read_credentials(context, options)).get("token_uri")
    except (OSError, ValueError, AttributeError):
        token_url = None  # a start says what is wrong with the credentials
    return [options.url, token_url or TOKEN_URL, *(f"https://*.{domain}" for domain in _DOMAINS)]


KIND = SourceKind(DriveOptions, build, list_addresses)


def _read_credentials(context: SourceContext, options: DriveOptions) -> str:
    if (options.credentials_file is None) == (options.credentials_env is None):
        raise SourceMisconfigured(
            f"Source {context.name}: a drive needs either credentials_file or credentials_env. Write one of them."
        )
    if options.credentials_file is None:
        return context.secrets.get("credentials", "")
    return (context.base_dir / Path(options.credentials_file).expanduser()).read_text(encoding="utf-8")


def _gone_error(document: str) -> SourceError:
    return SourceError(f"{document} is gone, in the trash, or no longer shared with Kvasir's account.")
