"""A feed as a source: its entries or the articles that they link to, including entries that it listed before."""

from __future__ import annotations

import asyncio
import hashlib
import re
import shutil
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Final, NamedTuple

from pydantic import FiniteFloat, TypeAdapter, ValidationError

from knowledge.database.content import ContentRows, ContentStore, SourceContent
from knowledge.dates import parse_timestamp
from knowledge.errors import (
    FetchError,
    FetchRefused,
    FetchTooLarge,
    ParseError,
    SourceDenied,
    SourceError,
    SourceUnavailable,
)
from knowledge.interfaces import DocumentContent, ListedDocument, SourceContext, SourceKey
from knowledge.parsing.formats.main_text import MAIN_TEXT
from knowledge.sources.common import MAX_MB, config_error, parse_size_limit, too_large_error
from knowledge.sources.memory import load_state, save_state
from knowledge.sources.registry import SourceKind
from knowledge.sources.web_pages import DOCUMENT_TYPES, OWN_NETWORK_HINT, unreachable_error
from knowledge.web.crawling.host_client import (
    ACCESS_DENIED_STATUSES,
    HostClient,
    RequestSpacing,
    build_conditional_headers,
    strip_query,
)
from knowledge.web.http.fetch import Fetcher, FetchOptions
from knowledge.web.http.guard import AccessRules, build_rules, check_url, list_reachable
from knowledge.web.reading.crawled_page import HTML_TYPES
from knowledge.web.reading.feeds import FeedEntry
from knowledge.web.reading.site_parser import SiteParser

_STATE_VERSION = 1
_MAX_ENTRIES = 20_000
"""How many entries the source remembers; the oldest are dropped first."""
_DELAY_S = 0.5
_MAX_HOSTS = 100
_DAYS = re.compile(r"([1-9]\d{0,4})d")
_DAY_S = 86_400.0
_OK, _UNCHANGED = 200, 304
_GONE = frozenset({404, 410})


@dataclass(frozen=True, slots=True)
class FeedOptions:
    """The keys of a ``[[source]]`` of kind ``feed``."""

    url: str
    follow: bool = False
    """Whether to read the article that an entry links to instead of the entry's own text."""
    keep: str = "365d"
    """How long an entry stays after the feed stops listing it: a feed holds only its newest entries."""
    allow_hosts: tuple[str, ...] = ()
    """Hosts of the company's own network, which may have private addresses: ``host`` or ``host:port``."""
    contact: str | None = None
    """How the site's owner reaches the operator: part of the User-Agent."""
    authorization_env: str | None = None
    """The variable with the value of an ``Authorization`` header, which only the feed receives."""
    max_mb: float = MAX_MB


class RememberedEntry(NamedTuple):
    """An entry as it was last listed; its times are seconds since the epoch."""

    title: str
    link: str | None
    version: str
    published_at: float | None
    last_seen_at: FiniteFloat


@dataclass(frozen=True, slots=True)
class FeedState:
    """What the source remembers of a feed."""

    entries: Mapping[str, RememberedEntry]
    etag: str | None = None
    last_modified: str | None = None


_STATE: Final = TypeAdapter(FeedState)


class FeedSource:
    """Lists and reads a feed's entries, including those that the feed no longer lists.

    The entries' texts are kept in the source's own folder. If a text is lost and the feed no longer lists its entry,
    the page behind its link is read instead.
    """

    has_uniform_readers = True

    def __init__(
        self, key: SourceKey, context: SourceContext, options: FeedOptions, allowed: AccessRules, keep_s: float
    ) -> None:
        self.key = key
        self._context = context
        self._memory = context.memory(key)
        self._options = options
        self._keep_s = keep_s
        self._max_bytes = parse_size_limit(context.name, options.max_mb)
        web = replace(context.web, contact=options.contact or context.web.contact)
        self._fetcher = Fetcher(web, allowed)
        self._reader = SiteParser()
        self._limits = replace(web.limits, wire_bytes=self._max_bytes, body_bytes=self._max_bytes)
        self._delay_s = 0.0 if options.allow_hosts else _DELAY_S
        self._hosts: dict[str, HostClient] = {}
        self._robots_lock = asyncio.Lock()
        folder, shared = context.state_dir / "entries", context.content
        self._texts = (
            _EntryTexts(folder)
            if shared is None
            else _SharedEntryTexts(folder, shared.open_source("feed", context.name))
        )

    async def list(self) -> AsyncIterator[Sequence[ListedDocument]]:
        """Yield the entries.

        Raises:
            SourceUnavailable: the feed does not answer, or is not a feed.
            SourceDenied: the feed wants a login.

        """
        now = self._context.now()
        before = _decode_state(await load_state(self._memory, _STATE_VERSION))
        after = await self._update_state(before, now)
        oldest = now - self._keep_s
        remembered = {id_: entry for id_, entry in after.entries.items() if entry.last_seen_at >= oldest}
        newest = sorted(remembered, key=lambda id_: remembered[id_].last_seen_at, reverse=True)[:_MAX_ENTRIES]
        remembered = {id_: remembered[id_] for id_ in sorted(newest)}
        await self._texts.run(lambda: self._texts.delete_others(remembered))
        await save_state(self._memory, _STATE_VERSION, asdict(replace(after, entries=remembered)))
        yield [self._make_listed(id_, entry) for id_, entry in remembered.items()]

    async def read(self, listed: ListedDocument) -> DocumentContent:
        """Read one entry.

        Raises:
            SourceError: its text is lost and its page does not answer, or it is too large.

        """
        if not self._options.follow:
            data = await self._texts.run(lambda: self._texts.load_text(listed.document, listed.version))
            if data is not None:
                return DocumentContent(data, "text/html; charset=utf-8", listed.version, await self._find_title(listed))
        return await self._read_article(listed)

    async def close(self) -> None:
        """Close the connections; the entries' texts stay."""
        self._hosts = {}
        await self._reader.close()
        await self._fetcher.close()

    # ── The feed ─────────────────────────────────────────────────────────────────────────────────────────────────────

    async def _update_state(self, before: FeedState, now: float) -> FeedState:
        """Fetch the feed and return the new state."""
        whole = await self._texts.run(lambda: self._texts.has_all(before.entries)) or self._options.follow
        headers = build_conditional_headers(before.etag, before.last_modified) if whole and before.entries else {}
        ask = FetchOptions(
            conditional_headers=headers, authorization=self._context.secrets.get("authorization"), limits=self._limits
        )
        url = self._options.url
        host = HostClient(self._fetcher, RequestSpacing(0.0, self._context.sleep, self._context.now), self._context.now)
        try:
            found = await host.fetch(url, ask)
        except FetchError as error:
            raise unreachable_error(self._options.url, error) from None
        if found.status == _UNCHANGED:
            listed = max((entry.last_seen_at for entry in before.entries.values()), default=now)
            current_ids = {
                id_: e._replace(last_seen_at=now) if e.last_seen_at == listed else e
                for id_, e in before.entries.items()
            }
            return replace(before, entries=current_ids)
        self._check_status(found.status)
        try:
            entries = await self._reader.parse_feed(found)
        except ParseError as error:
            why = str(error).replace(found.url, strip_query(found.url))  # a feed's address may hold a token
            raise SourceUnavailable(f"{why} Kvasir deletes nothing of the feed.") from None
        if entries is None:
            raise SourceUnavailable(
                f"{strip_query(url)} is not an RSS, Atom or JSON feed. Find the feed's own address on that page and "
                "put it into the key url."
            )
        await self._texts.run(lambda: self._texts.save_all(entries))
        fresh = {
            one.id: RememberedEntry(
                one.title, one.link, one.version, one.published_at.timestamp() if one.published_at else None, now
            )
            for one in entries
        }
        return FeedState({**before.entries, **fresh}, found.headers.get("etag"), found.headers.get("last-modified"))

    def _check_status(self, status: int) -> None:
        if status in ACCESS_DENIED_STATUSES:
            raise SourceDenied(
                f"{strip_query(self._options.url)} asks for a login. Name a variable with credentials in the key "
                "authorization_env."
            )
        if status != _OK:
            raise SourceUnavailable(
                f"The feed {strip_query(self._options.url)} answers {status}. Check that the address is right; "
                "until then Kvasir deletes nothing of it."
            )

    def _make_listed(self, id_: str, entry: RememberedEntry) -> ListedDocument:
        return ListedDocument(
            document=id_,
            version=entry.version,
            modified_at=None if entry.published_at is None else parse_timestamp(entry.published_at),
            url=entry.link or strip_query(self._options.url),
            readers=self._context.readers,
        )

    async def _find_title(self, listed: ListedDocument) -> str | None:
        entry = _decode_state(await load_state(self._memory, _STATE_VERSION)).entries.get(listed.document)
        return (entry.title or None) if entry is not None else None

    # ── The articles ─────────────────────────────────────────────────────────────────────────────────────────────────

    async def _read_article(self, listed: ListedDocument) -> DocumentContent:
        document = listed.document
        if listed.url is None or listed.url == strip_query(self._options.url):
            raise SourceError(f"{document} has left the feed, and has no link to a page to read instead.")
        try:
            host = await self._open_host(listed.url)
            if not host.robots.allows_url(listed.url):
                raise SourceError(f"{document} is on a page whose site forbids it to robots.")
            found = await host.fetch(listed.url, FetchOptions(accept=DOCUMENT_TYPES, limits=self._limits))
        except FetchTooLarge:
            raise too_large_error(document, None, self._max_bytes) from None
        except FetchError as error:
            raise SourceError(f"{document} could not be read: {error.reason}. The next sync tries again.") from None
        if found.status != _OK:
            gone = "is gone" if found.status in _GONE else f"answers {found.status}"
            raise SourceError(f"The page of {document} {gone}. The next sync tries again.")
        content_type = found.headers.get("content-type", "")
        if found.media_type in HTML_TYPES:
            try:
                page = await self._reader.parse_page(found)
            except ParseError as error:
                raise SourceError(str(error)) from None
            if page.unreadable is not None:
                raise SourceError(
                    f"The page of {document} {page.unreadable}. Set follow = false to read the feed itself."
                )
            content_type = f"{content_type}; {MAIN_TEXT}"
        return DocumentContent(found.data, content_type, listed.version, await self._find_title(listed))

    async def _open_host(self, url: str) -> HostClient:
        """Return the host of an article after reading its robots.txt."""
        origin = "/".join(url.split("/")[:3])
        async with self._robots_lock:
            if origin not in self._hosts:
                if len(self._hosts) >= _MAX_HOSTS:
                    self._hosts.clear()
                pace = RequestSpacing(self._delay_s, self._context.sleep, self._context.now)
                host = HostClient(self._fetcher, pace, self._context.now)
                await host.load_robots(origin)
                self._hosts[origin] = host
            return self._hosts[origin]


def build(context: SourceContext, options: FeedOptions) -> FeedSource:
    """Build the source that a ``[[source]]`` table describes.

    Raises:
        SourceMisconfigured: the address, a host or a time span is invalid.

    """
    days = _DAYS.fullmatch(options.keep)
    if days is None:
        raise config_error(context.name, 'keep must be a number of days such as "365d"')
    try:
        allowed = build_rules(options.allow_hosts, context.web.ports)
        target = check_url(options.url, allowed)
    except FetchRefused as error:
        raise config_error(context.name, f"url is invalid: {error.reason} ({OWN_NETWORK_HINT})") from None
    except ValueError as error:
        raise config_error(context.name, f"allow_hosts is invalid: {error}") from None
    key = SourceKey(context.name, "feed", strip_query(target.url))
    return FeedSource(key, context, options, allowed, min(int(days[1]) * _DAY_S, 1e10))


KIND = SourceKind(
    FeedOptions,
    build,
    lambda context, options: list_reachable(
        build_rules(options.allow_hosts, context.web.ports)
    ),  # articles may be anywhere
)


class _EntryTexts(ContentStore):
    """The texts of entries, one file for each."""

    def __init__(self, folder: Path, content: SourceContent | None = None) -> None:
        super().__init__(content)
        self._folder = folder

    def save_all(self, entries: Sequence[FeedEntry]) -> None:
        with suppress(OSError):  # the page of a missing text is read instead
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            for entry in entries:
                path = self._folder / _make_text_name(entry.id, entry.version)
                if not path.exists():
                    new = path.with_suffix(".new")
                    new.write_text(entry.html, "utf-8", "replace")
                    new.replace(path)

    def load_text(self, id_: str, version: str) -> bytes | None:
        with suppress(OSError):
            return (self._folder / _make_text_name(id_, version)).read_bytes()
        return None

    def has_all(self, entries: Mapping[str, RememberedEntry]) -> bool:
        """Return whether every entry has its text."""
        return all((self._folder / _make_text_name(id_, entry.version)).exists() for id_, entry in entries.items())

    def delete_others(self, entries: Mapping[str, RememberedEntry]) -> None:
        """Delete the texts of all other entries and versions."""
        if not entries:
            shutil.rmtree(self._folder, ignore_errors=True)
            return
        names = {_make_text_name(id_, entry.version) for id_, entry in entries.items()}
        with suppress(OSError):
            for path in self._folder.iterdir():
                if path.name not in names:
                    path.unlink()


class _SharedEntryTexts(_EntryTexts):
    """The texts of entries in a shared database. Those of the folder are moved there."""

    def __init__(self, folder: Path, content: SourceContent) -> None:
        super().__init__(folder, content)
        self._rows = content

    def save_all(self, entries: Sequence[FeedEntry]) -> None:
        def save(rows: ContentRows) -> None:
            there = rows.list_texts()
            for entry in entries:
                if (name := _make_text_name(entry.id, entry.version)) not in there:
                    rows.put_entry(name, "", entry.html.encode("utf-8", "replace"))

        self._rows.change(save)

    def load_text(self, id_: str, version: str) -> bytes | None:
        entry = self._rows.read(lambda rows: rows.load_entry(_make_text_name(id_, version)))
        return None if entry is None else entry[1]

    def has_all(self, entries: Mapping[str, RememberedEntry]) -> bool:
        self._rows.import_files(self._folder, "[0-9a-f]*", _load_text)
        there = self._rows.read(lambda rows: rows.list_texts())
        return all(_make_text_name(id_, entry.version) in there for id_, entry in entries.items())

    def delete_others(self, entries: Mapping[str, RememberedEntry]) -> None:
        names = {_make_text_name(id_, entry.version) for id_, entry in entries.items()}
        self._rows.change(lambda rows: rows.delete_entries(rows.list_texts().keys() - names))
        super().delete_others({})


def _load_text(path: Path) -> Callable[[ContentRows], object]:
    data = path.read_bytes()
    return lambda rows: rows.put_entry(path.name, "", data)


def _make_text_name(id_: str, version: str) -> str:
    return hashlib.sha256(f"{id_}\0{version}".encode("utf-8", "replace")).hexdigest()


# ── Memory ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def _decode_state(state: object) -> FeedState:
    """Return the saved state; an empty one if there is none, or any part has another form."""
    try:
        return _STATE.validate_python(state)
    except ValidationError:
        return FeedState({})
