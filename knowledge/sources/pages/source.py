"""Single web pages that owners have added (``page_list``): each is a document, and every sync reads it again.

Every page on the list is listed. A page that does not answer keeps its content; a page that is gone or wants a login is
shown to nobody. So a site that is down delays no other page.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, replace
from urllib.parse import urlsplit

from knowledge.errors import FetchError, FetchTooLarge, SourceError
from knowledge.interfaces import DocumentContent, ListedDocument, SourceContext, SourceKey
from knowledge.sources.common import MAX_MB, config_error, parse_size_limit, too_large_error, with_heartbeats
from knowledge.sources.pages.page_list import AddedPage, PageList
from knowledge.sources.registry import SourceKind
from knowledge.sources.web_pages import (
    DOCUMENT_TYPES,
    TOO_LARGE,
    BodySpool,
    PageVisit,
    page_content,
    read_visit,
    too_large_visit,
)
from knowledge.web.crawling.canonical_urls import Site
from knowledge.web.crawling.host_client import (
    ACCESS_DENIED_STATUSES,
    POSSIBLY_GONE_STATUSES,
    HostClient,
    RequestSpacing,
    strip_query,
)
from knowledge.web.http.fetch import Fetcher, FetchOptions
from knowledge.web.http.guard import AccessRules, build_rules, list_reachable
from knowledge.web.reading.crawled_page import LOGIN_REQUIRED, is_login_url
from knowledge.web.reading.site_parser import SiteParser

_PAGE_S = 60.0
_DELAY_S = 0.5
_OK = 200


@dataclass(frozen=True, slots=True)
class PagesOptions:
    """The keys of a ``[[source]]`` of kind ``pages``."""

    allow_hosts: tuple[str, ...] = ()
    """Hosts of the company's own network, which may have private addresses: ``host`` or ``host:port``."""
    max_mb: float = MAX_MB


class PagesSource:
    """Lists and reads the added pages."""

    def __init__(self, key: SourceKey, context: SourceContext, options: PagesOptions, allowed: AccessRules) -> None:
        self.key = key
        self._context = context
        content = None if context.content is None else context.content.open_source("pages", context.name)
        self._list = PageList(context.state_dir / "pages", context.now, content)
        self._limit = parse_size_limit(context.name, options.max_mb)
        limits = replace(context.web.limits, total_s=_PAGE_S, wire_bytes=self._limit, body_bytes=self._limit)
        self._ask = FetchOptions(accept=DOCUMENT_TYPES, limits=limits)
        self._allowed = allowed
        self._fetcher = Fetcher(context.web, allowed)
        self._reader = SiteParser()
        self._spool = BodySpool(context.state_dir / "spool")
        self._visits: Mapping[str, PageVisit] = {}
        self._lost: Mapping[str, str] = {}
        """The errors of pages that could not be read, by document."""

    def list(self) -> AsyncIterator[Sequence[ListedDocument]]:
        """Yield the pages.

        Raises:
            SourceError: the list cannot be read.

        """
        return with_heartbeats(self._list_pages())

    async def read(self, listed: ListedDocument) -> DocumentContent:
        """Read one page from its listing, or fetch it again.

        Raises:
            SourceError: the page is gone, or has no text.

        """
        if listed.document not in {page.document for page in await self._list.run(self._list.list_pages)}:
            raise SourceError(f"{listed.document} was removed. Nothing needs to be done.")
        if listed.document in self._lost:
            raise SourceError(self._lost[listed.document])
        visit = self._visits.get(listed.document)
        data = self._spool.read_body(listed.document, listed.version)
        if visit is None or visit.version != listed.version or (data is None and visit.unreadable is None):
            visit, data = await self._fetch_page(listed.url or f"https://{listed.document}")
        if visit.unreadable == TOO_LARGE:
            raise too_large_error(listed.document, None, self._limit)
        if visit.unreadable is not None:
            raise SourceError(
                f"{listed.document} {visit.unreadable}: there is no text to read. Remove it from the list."
            )
        return page_content(visit, data or b"")

    async def close(self) -> None:
        """Close the connections, and delete the fetched bodies."""
        self._visits, self._lost = {}, {}
        await asyncio.to_thread(self._spool.delete_bodies)
        await self._reader.close()
        await self._fetcher.close()

    async def _list_pages(self) -> AsyncGenerator[Sequence[ListedDocument], None]:
        visits: dict[str, PageVisit] = {}
        errors: dict[str, str] = {}
        self._visits, self._lost = visits, errors
        for page in await self._list.run(self._list.list_pages):
            try:
                visit, data = await self._fetch_page(page.url)
            except SourceError as error:
                errors[page.document] = str(error)
                yield [self._make_unread_listed(page, error)]
                continue
            visits[page.document] = visit
            if data is not None:
                await asyncio.to_thread(self._spool.store_body, page.document, visit.version, data)
            yield [self._make_listed(page, visit)]

    def _make_listed(self, page: AddedPage, visit: PageVisit) -> ListedDocument:
        return ListedDocument(
            document=page.document,
            version=visit.version,
            size_bytes=visit.size_bytes,
            modified_at=visit.modified_at,
            url=visit.address,
            readers=frozenset() if visit.unreadable == LOGIN_REQUIRED else self._context.readers,
        )

    def _make_unread_listed(self, page: AddedPage, error: SourceError) -> ListedDocument:
        """List a page that cannot be read now; its version is a hash of the reason, which is then reported once."""
        return ListedDocument(
            document=page.document,
            version=f"unread {hashlib.sha256(str(error).encode()).hexdigest()[:16]}",
            url=page.url,
            readers=frozenset() if isinstance(error, _PageGone) else self._context.readers,
        )

    async def _fetch_page(self, url: str) -> tuple[PageVisit, bytes | None]:
        """Fetch a page; the bytes are None if the page is too large.

        Raises:
            SourceError: the page is gone (``_PageGone``), forbidden to robots, or does not answer.

        """
        delay_s = 0.0 if self._allowed.is_private_host(urlsplit(url).hostname or "") else _DELAY_S
        host = HostClient(
            self._fetcher, RequestSpacing(delay_s, self._context.sleep, self._context.now), self._context.now
        )
        site = Site.from_url(url)
        try:
            await host.load_robots(site.origin)
            if not host.robots.allows_url(url):
                raise SourceError(f"{strip_query(url)} is closed to robots. Remove it from the list.")
            found = await host.fetch(url, self._ask)
        except FetchTooLarge:
            return too_large_visit(url, self._limit, self._context.now()), None
        except FetchError as error:
            raise SourceError(
                f"{strip_query(url)} could not be read: {error.reason}. The next sync tries again."
            ) from None
        if found.status in POSSIBLY_GONE_STATUSES:
            what = "not for everybody" if found.status in ACCESS_DENIED_STATUSES else "gone"
            raise _PageGone(
                f"{strip_query(url)} is {what} ({found.status}), and Kvasir shows it to nobody. Remove it with kvasir "
                "add --remove."
            )
        if found.status != _OK:
            raise SourceError(f"{strip_query(url)} answers {found.status}. The next sync tries again.")
        if is_login_url(found.url) and not is_login_url(url):
            raise _PageGone(
                f"{strip_query(url)} redirects to a login, and Kvasir shows it to nobody. Remove it from the list."
            )
        return await read_visit(found, found.url, site, self._reader, self._context.now()), found.data


class _PageGone(SourceError):
    """A page that no longer exists, or is not public any more."""


def build(context: SourceContext, options: PagesOptions) -> PagesSource:
    """Build the source; the first added page creates its list.

    Raises:
        SourceMisconfigured: a host or ``max_mb`` is invalid.

    """
    try:
        allowed = build_rules(options.allow_hosts, context.web.ports)
    except ValueError as error:
        raise config_error(context.name, f"allow_hosts is invalid: {error}") from None
    return PagesSource(SourceKey(context.name, "pages", "added pages"), context, options, allowed)


KIND = SourceKind(
    PagesOptions,
    build,
    lambda context, options: list_reachable(
        build_rules(options.allow_hosts, context.web.ports)
    ),  # owners add pages of any public host
)
