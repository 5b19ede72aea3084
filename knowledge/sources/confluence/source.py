"""Confluence as a source: the pages of spaces, and the files attached to them.

Each listing is whole. It contains the versions, 250 pages a call, so no cursor can lose a page. A restriction made a
minute ago applies at once, although Confluence does not report it as a change.
"""

from __future__ import annotations

import base64
import contextlib
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import PurePosixPath

from yarl import URL

from knowledge.errors import SourceError, SourceMisconfigured
from knowledge.interfaces import DocumentContent, ListedDocument, RightsLimit, SourceContext, SourceKey
from knowledge.sources.common import (
    MAX_MB,
    SUFFIXES,
    config_error,
    parse_size_limit,
    split_batches,
    too_large_error,
)
from knowledge.sources.confluence.audiences import CALLS_AT_ONCE, Edition, PageAudiences
from knowledge.sources.confluence.cloud import Cloud
from knowledge.sources.confluence.identities import CloudIdentities, DataCenterIdentities
from knowledge.sources.confluence.model import Attachment, ConfluencePage, ContentRef, Space
from knowledge.sources.confluence.server import DataCenter
from knowledge.sources.confluence.storage_format import find_mentions, render_page_html
from knowledge.sources.hosted.http_api import (
    CallRefused,
    FixedHeaders,
    HostedService,
    HttpApi,
    fetch_or_none,
    run_concurrently,
)
from knowledge.sources.hosted.http_call import QUESTION_PATIENCE, parse_secure_url, quote_link
from knowledge.sources.registry import SourceKind

_HTML_VERSION = 1
"""Increased when the conversion of pages to HTML changes: then all pages are read again."""
_BATCH = 500
_MAX_CACHED_NAMES = 10_000
_MAX_NAMES_PER_PAGE = 200
_GONE = frozenset({403, 404, 410})
_CLOUD_DOMAINS = ("atlassian.com", "atlassian.net")  # to which Cloud redirects downloads of files
_RIGHTS = ("own", "restrictions", "ignore")
_DOCUMENT_ID = re.compile(r"([^/]+)/(blog/)?([^/]+)(?:/([A-Za-z0-9]+)(?:\.[^/]*)?)?")


@dataclass(frozen=True, slots=True)
class ConfluenceOptions:
    """The keys of a ``[[source]]`` of kind ``confluence``."""

    url: str
    """The site's address, such as ``https://company.atlassian.net`` or ``https://wiki.company.com``."""
    token_env: str
    """The variable with an API token (Cloud) or a personal access token (Data Center)."""
    email: str | None = None
    """The owner of the API token, for Cloud; without it, the token is sent as a bearer token."""
    spaces: tuple[str, ...] = ()
    """Keys of spaces; none means all that the account sees, except personal spaces."""
    labels: tuple[str, ...] = ()
    """Only pages with one of these labels; none means all pages."""
    email_domain: str | None = None
    """Data Center: the domain of addresses whose first part is the user name, such as ``company.com``."""
    edition: str | None = None
    """``cloud`` or ``data-center``; by default, the address decides."""
    attachments: bool = True
    blog_posts: bool = False
    rights: str = "own"
    """``own``: as in Confluence; ``restrictions``: full members may see the spaces; ``ignore``: as in ``readers``."""
    everyone: tuple[str, ...] = ()
    """Readers that mean everybody, such as ``confluence:group:ID`` of the group of all employees."""
    max_mb: float = MAX_MB


class ConfluenceSource:
    """Lists and reads the current pages of spaces.

    A document's id is ``KEY/ID`` for a page, ``KEY/blog/ID`` for a post and ``KEY/ID/FILE.pdf`` for a file. Renaming a
    page does not change it.
    """

    lists_rights = True

    def __init__(
        self,
        key: SourceKey,
        options: ConfluenceOptions,
        context: SourceContext,
        api: HttpApi,
        edition: Edition,
        identities: CloudIdentities | DataCenterIdentities | None,
    ) -> None:
        self.key = key
        self.identities = identities
        """Confluence's accounts and groups, for questions; None if its rights are ignored."""
        self._options = options
        self._limit = parse_size_limit(context.name, options.max_mb)
        self._api = api
        self._edition = edition
        self._audiences = PageAudiences(
            edition, rights=options.rights, readers=context.readers, everyone=frozenset(options.everyone)
        )
        self._names: dict[str, str] = {}
        self._spaces: dict[str, Space] = {}

    async def list(self) -> AsyncIterator[Sequence[ListedDocument]]:
        """Yield the pages of one space after the other, then the files.

        Raises:
            SourceError: the listing failed, or a configured space does not exist.

        """
        bearers: dict[str, ConfluencePage] = {}
        documents: dict[str, ListedDocument] = {}
        for space in await self._select_spaces():
            pages: dict[str, ConfluencePage] = {}
            for kind in ("page", "blogpost") if self._options.blog_posts else ("page",):
                async for batch in self._edition.list_pages(space, kind):
                    pages.update((page.ref.id, page) for page in batch)
                    yield []  # a heartbeat
            readers = await self._audiences.find_readers(space, pages)
            selected_ids = await self._select_labelled(space, pages)
            found = {one: self._make_listed(space, pages[one], readers[one]) for one in selected_ids}
            bearers.update((one, pages[one]) for one in found)
            documents.update(found)
            for part in split_batches(list(found.values()), _BATCH):
                yield part
        if self._options.attachments:
            async for files in self._edition.list_attachments(bearers):
                yield [
                    _make_listed_file(one, documents[one.page])
                    for one in files
                    if PurePosixPath(one.title).suffix.lower() in SUFFIXES and one.id.isalnum()
                ]

    async def read(self, listed: ListedDocument) -> DocumentContent:
        """Read a page as HTML, or a file as its bytes.

        Raises:
            SourceError: the document is gone, too large, or the account may not read it.

        """
        parts = _DOCUMENT_ID.fullmatch(listed.document)
        if parts is None:
            raise SourceError(f"{listed.document} is not a page of Confluence. Sync the source again.")
        _, blog, page, attachment = parts.groups()
        try:
            if attachment:
                return await self._read_file(listed, page, attachment)
            return await self._read_page(listed, ContentRef(page, "blogpost" if blog else "page"))
        except CallRefused as error:
            gone = error.status == 404  # noqa: PLR2004 - HTTP's own number
            raise SourceError(
                f"{listed.document} "
                + (
                    "is gone, or Kvasir's account may not see it any more."
                    if gone
                    else "may not be read by Kvasir's account."
                )
                + " It was deleted, archived or restricted after it was listed; the next sync looks again."
            ) from None

    async def read_rights(self, documents: Collection[str]) -> Mapping[str, frozenset[str]]:
        """Return the readers of the pages and files that are still there.

        Raises:
            SourceError: Confluence does not answer, or refuses.

        """
        places = {one: parts.groups() for one in documents if (parts := _DOCUMENT_ID.fullmatch(one))}
        refs = {ContentRef(page, "blogpost" if blog else "page") for _, blog, page, _ in places.values()}
        files = {(page, file) for _, _, page, file in places.values() if file}
        calls: list[Callable[[], Awaitable[object]]] = [
            *(partial(self._edition.fetch_page, ref) for ref in refs),
            *(partial(self._edition.fetch_attachment, page, file) for page, file in files),
        ]
        found = await run_concurrently([partial(fetch_or_none, call, _GONE) for call in calls], CALLS_AT_ONCE)
        pages = [one for one in found if isinstance(one, ConfluencePage)]
        present = {None, *(one.id for one in found if isinstance(one, Attachment))}
        readers: dict[tuple[str, str], frozenset[str]] = {}
        for space in await self._find_spaces({space for space, *_ in places.values()}) if pages else ():
            own = {page.ref.id: page for page in pages if page.space == space.id}
            audiences = await self._audiences.find_readers(space, own)
            readers.update(((space.key, page), audience) for page, audience in audiences.items())
        return {
            document: readers[space, page]
            for document, (space, _, page, file) in places.items()
            if (space, page) in readers and file in present
        }

    async def explain_rights(self, document: str) -> Sequence[RightsLimit]:
        """Return the space's permission and all page restrictions; nothing if the page is gone.

        Raises:
            SourceError: Confluence does not answer, or refuses.

        """
        parts = _DOCUMENT_ID.fullmatch(document)
        if parts is None:
            return []
        key, blog, id_, _ = parts.groups()
        ref = ContentRef(id_, "blogpost" if blog else "page")
        page = await fetch_or_none(partial(self._edition.fetch_page, ref), _GONE)
        if page is not None:
            for space in await self._find_spaces({key}):
                if page.space == space.id:
                    return await self._audiences.explain_readers(space, page)
        return []

    async def close(self) -> None:
        """Close the connections."""
        try:
            await self._api.close()
        finally:
            if self.identities is not None:
                await self.identities.close()

    async def _read_page(self, listed: ListedDocument, ref: ContentRef) -> DocumentContent:
        body = await self._edition.fetch_body(ref)
        if len(body.storage.encode()) > self._limit:
            raise too_large_error(listed.document, len(body.storage.encode()), self._limit)
        names = await self._find_names(find_mentions(body.storage))
        html = render_page_html(
            body.title, body.storage, names, lambda heading: self._edition.make_anchor(body.title, heading)
        )
        return DocumentContent(html.encode(), "text/html; charset=utf-8", _format_version(body.version), body.title)

    async def _read_file(self, listed: ListedDocument, page: str, attachment: str) -> DocumentContent:
        file = await self._edition.fetch_attachment(page, attachment)
        reply = await self._edition.download_file(file, listed.document, self._limit)
        return DocumentContent(reply.body, file.media_type, _format_version(file.version), file.title)

    async def _select_spaces(self) -> Sequence[Space]:
        """Return the spaces to read.

        Raises:
            SourceError: a configured space does not exist.

        """
        found = {space.key: space for space in await self._edition.list_spaces(self._options.spaces)}
        gone = [key for key in self._options.spaces if key not in found]
        if gone:
            raise SourceError(
                f"Confluence has no space {', '.join(gone)}, or the account of {self.key.name} may not see "
                "it. Correct spaces in kvasir.toml, or give the account the right to view it; nothing was "
                "deleted."
            )
        self._spaces = found
        return list(found.values())

    async def _find_spaces(self, keys: set[str]) -> Sequence[Space]:
        """Return the spaces with these keys that exist; known ones need no call."""
        if unknown := keys - self._spaces.keys():
            self._spaces.update((space.key, space) for space in await self._edition.list_spaces(unknown))
        return [self._spaces[key] for key in sorted(keys) if key in self._spaces]

    async def _select_labelled(self, space: Space, pages: Mapping[str, ConfluencePage]) -> Sequence[str]:
        """Return the ids of the pages with one of the configured labels."""
        labels = frozenset(self._options.labels)
        if not labels:
            return list(pages)
        if isinstance(self._edition, DataCenter):
            return [one for one, page in pages.items() if page.labels and page.labels & labels]
        having = await self._edition.find_labelled(space, labels)
        return [one for one in pages if one in having]

    def _make_listed(self, space: Space, page: ConfluencePage, readers: frozenset[str]) -> ListedDocument:
        blog = "blog/" if page.ref.kind == "blogpost" else ""
        return ListedDocument(
            document=f"{space.key}/{blog}{page.ref.id}",
            version=_format_version(page.version),
            modified_at=page.modified_at,
            url=quote_link(page.link),
            readers=readers,
        )

    async def _find_names(self, people: frozenset[str]) -> Mapping[str, str]:
        """Return people's names for their mentions; a page is complete without them."""
        unknown = sorted(people - self._names.keys())[:_MAX_NAMES_PER_PAGE]
        if unknown:
            if len(self._names) > _MAX_CACHED_NAMES:
                self._names.clear()
            with contextlib.suppress(CallRefused):
                self._names.update(await self._edition.fetch_names(unknown))
        return self._names


def build(context: SourceContext, options: ConfluenceOptions) -> ConfluenceSource:
    """Build the source that a ``[[source]]`` table describes.

    Raises:
        SourceMisconfigured: a key has an invalid value.

    """
    try:
        url = parse_secure_url(options.url)
    except ValueError as error:
        raise SourceMisconfigured(
            f"Source {context.name}: url cannot be used, as {error}. Write https:// and the site's host."
        ) from None
    _check_choice("rights", options.rights, _RIGHTS, context)
    cloud = _is_cloud(options, url, context)
    if cloud and url.path in {"", "/"}:
        url = url / "wiki"
    service = HostedService("Confluence", url, "token", domains=_CLOUD_DOMAINS if cloud else ())
    headers = FixedHeaders(_auth_headers(options, context.secrets.get("token", "")))
    key = SourceKey(context.name, "confluence", str(url))
    api = HttpApi(service, context, headers)
    # A question does not wait for the calls of a sync.
    calls = HttpApi(service, context, headers, patience=QUESTION_PATIENCE)
    name = f"Confluence {url.authority}{url.path.rstrip('/')}"
    has_rights = options.rights != "ignore"
    edition: Edition
    identities: CloudIdentities | DataCenterIdentities
    if cloud:
        edition = Cloud(api, key.root)
        identities = CloudIdentities(name, calls, context.now)
    else:
        edition = DataCenter(
            api, key.root, rights=has_rights, labels=bool(options.labels), attachments=options.attachments
        )
        identities = DataCenterIdentities(name, calls, options.email_domain)
    return ConfluenceSource(key, options, context, api, edition, identities if has_rights else None)


def list_addresses(context: SourceContext, options: ConfluenceOptions) -> Sequence[str]:
    """Return the site, and where Cloud redirects downloads of files."""
    domains = _CLOUD_DOMAINS if _is_cloud(options, URL(options.url), context) else ()
    return [options.url, *(f"https://*.{domain}" for domain in domains)]


KIND = SourceKind(ConfluenceOptions, build, list_addresses)


def _check_choice(name: str, value: str, choices: Collection[str], context: SourceContext) -> None:
    if value not in choices:
        raise config_error(context.name, f"{name} must be one of {', '.join(choices)}")


def _is_cloud(options: ConfluenceOptions, url: URL, context: SourceContext) -> bool:
    if options.edition is not None:
        _check_choice("edition", options.edition, ("cloud", "data-center"), context)
        return options.edition == "cloud"
    host = url.host or ""
    return host.endswith((".atlassian.net", ".atlassian-us-gov-mod.net")) or host == "api.atlassian.com"


def _auth_headers(options: ConfluenceOptions, token: str) -> Mapping[str, str]:
    if options.email is None:
        return {"Authorization": f"Bearer {token}"}
    pair = base64.b64encode(f"{options.email}:{token}".encode()).decode()
    return {"Authorization": f"Basic {pair}"}


def _format_version(number: int) -> str:
    return f"{_HTML_VERSION}.{number}"


def _make_listed_file(file: Attachment, page: ListedDocument) -> ListedDocument:
    return ListedDocument(
        document=f"{page.document}/{file.id}{PurePosixPath(file.title).suffix.lower()}",
        version=_format_version(file.version),
        size_bytes=file.size_bytes,
        modified_at=file.modified_at,
        url=quote_link(file.link),
        readers=page.readers,
    )
