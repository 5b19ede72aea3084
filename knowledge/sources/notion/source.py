"""Notion as a source: the pages that are shared with a connection, including rows of databases.

Notion's API does not return who may read a page. So the configuration must name ``readers``, or open the source to
everybody with ``rights = "ignore"``; otherwise Kvasir refuses it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final

from pydantic import TypeAdapter

from knowledge.dates import parse_iso_date
from knowledge.errors import SourceError, SourceMisconfigured
from knowledge.interfaces import EVERYONE, DocumentContent, ListedDocument, SourceContext, SourceKey
from knowledge.sources.common import MAX_MB, parse_size_limit, too_large_error
from knowledge.sources.hosted.http_api import (
    CallRefused,
    FixedHeaders,
    HostedService,
    HttpApi,
    fetch_or_none,
    run_concurrently,
)
from knowledge.sources.hosted.http_call import parse_secure_url, quote_link
from knowledge.sources.memory import load_sealed_state, save_sealed_state
from knowledge.sources.notion.api import API_VERSION, NotionApi, NotionPage, parse_page, parse_page_id
from knowledge.sources.notion.blocks import get_page_title, render_page_html
from knowledge.sources.notion.tree import DATABASE, PAGE, Child, KnownPage, PageMoved, TreeWalk
from knowledge.sources.registry import SourceKind

_KNOWN_PAGES: Final = TypeAdapter(dict[str, KnownPage])
_STATE_VERSION = 1
"""Increased when the remembered state, or the conversion of pages to HTML, changes."""


@dataclass(frozen=True, slots=True)
class NotionOptions:
    """The keys of a ``[[source]]`` of kind ``notion``."""

    token_env: str
    """The variable with the connection's secret."""
    pages: tuple[str, ...] = ()
    """Addresses or ids of pages, each with everything below it. Neither pages nor databases means all that is shared.
    """
    databases: tuple[str, ...] = ()
    rights: str | None = None
    """``ignore``: everybody may read what is shared with the connection. Required without ``readers``."""
    full_every_h: float = 24.0
    """After this many hours the source fetches everything again, and uses nothing that it remembers."""
    requests_per_s: float = 3.0
    url: str = "https://api.notion.com"
    max_mb: float = MAX_MB


class NotionSource:
    """Lists and reads pages. A document's id is the page's without hyphens; renaming or moving does not change it."""

    lists_rights = False

    def __init__(
        self, key: SourceKey, options: NotionOptions, context: SourceContext, api: HttpApi, roots: Sequence[Child]
    ) -> None:
        self.key = key
        self._context = context
        self._memory = context.memory(key)
        self._full_every_s = options.full_every_h * 3600
        self._limit = parse_size_limit(context.name, options.max_mb)
        self._api = api
        self._notion = NotionApi(api)
        self._roots = roots

    async def list(self) -> AsyncIterator[Sequence[ListedDocument]]:
        """Yield the pages in the order in which the walk finds them.

        Raises:
            SourceError: the walk failed, or a configured page does not exist.

        """
        state = await load_sealed_state(self._memory, _STATE_VERSION, self._decode_state)
        full_at, known = state or (0.0, {})  # nothing is known when a full walk is due
        walk = TreeWalk(self._notion, self._current_time(), self._roots, known)
        if known:
            every_page: list[NotionPage] = []
            try:
                async for pages in walk.run():
                    every_page += pages
                    yield []  # a heartbeat: pages follow once it is certain that none has moved
                yield self._make_listed(every_page)
            except PageMoved:
                known = {}
        if not known:
            full_at = self._context.now()
            walk = TreeWalk(self._notion, self._current_time(), self._roots)
            async for pages in walk.run():
                yield self._make_listed(pages)
        await save_sealed_state(
            self._memory,
            _STATE_VERSION,
            {
                "full_at": full_at,
                "roots": self._root_names(),
                "pages": {id_: asdict(page) for id_, page in walk.pages.items()},
            },
        )

    async def read(self, listed: ListedDocument) -> DocumentContent:
        """Read a page as HTML.

        Raises:
            SourceError: the page is gone, in the trash, or too large.

        """
        try:
            page = await self._notion.fetch_page(listed.document)
            now = parse_page(page)
            blocks = () if now.in_trash else await self._notion.fetch_blocks(listed.document)
        except CallRefused:
            raise _gone_error(listed.document) from None
        if now.in_trash:
            raise _gone_error(listed.document)
        data = render_page_html(page, blocks).encode("utf-8", "replace")
        if len(data) > self._limit:
            raise too_large_error(listed.document, len(data), self._limit)
        return DocumentContent(data, "text/html; charset=utf-8", self._format_version(now), get_page_title(page))

    async def read_rights(self, documents: Collection[str]) -> Mapping[str, frozenset[str]]:
        """Return the configured readers of the pages that are still shared with the connection.

        Raises:
            SourceError: Notion does not answer, or refuses.

        """
        names = list(documents)
        found = await run_concurrently([partial(self._is_shared, one) for one in names])
        return {one: self._context.readers for one, is_shared in zip(names, found, strict=True) if is_shared}

    async def close(self) -> None:
        """Close the connections."""
        await self._api.close()

    async def _is_shared(self, page: str) -> bool:
        found = await fetch_or_none(partial(self._notion.fetch_page, page))
        return found is not None and not parse_page(found).in_trash

    def _decode_state(self, state: Mapping[str, Any]) -> tuple[float, Mapping[str, KnownPage]] | None:
        is_due = not 0 <= self._context.now() - state["full_at"] < self._full_every_s
        if is_due or state["roots"] != self._root_names():
            return None
        return state["full_at"], _KNOWN_PAGES.validate_python(state["pages"])

    def _root_names(self) -> Sequence[str]:
        return sorted(":".join(root) for root in self._roots)

    def _current_time(self) -> datetime:
        return datetime.fromtimestamp(self._context.now(), UTC)

    def _format_version(self, page: NotionPage) -> str:
        return f"{_STATE_VERSION}.{page.make_version(self._current_time())}"

    def _make_listed(self, pages: Sequence[NotionPage]) -> Sequence[ListedDocument]:
        return [
            ListedDocument(
                document=page.id,
                version=self._format_version(page),
                modified_at=parse_iso_date(page.last_edited),
                url=quote_link(page.url) or None,
                readers=self._context.readers,
            )
            for page in pages
        ]


def build(context: SourceContext, options: NotionOptions) -> NotionSource:
    """Build the source that a ``[[source]]`` table describes.

    Raises:
        SourceMisconfigured: a key has an invalid value, or no key says who may read.

    """
    if options.rights not in {None, "ignore"} or (options.rights is None and context.readers >= EVERYONE):
        raise SourceMisconfigured(
            f"Source {context.name}: Notion does not say who may read a page. Name them with readers, or "
            'write rights = "ignore" if everybody may read what is shared with the connection.'
        )
    try:
        url = parse_secure_url(options.url)
        roots = [(PAGE, parse_page_id(one)) for one in options.pages] + [
            (DATABASE, parse_page_id(one)) for one in options.databases
        ]
    except ValueError as error:
        raise SourceMisconfigured(f"Source {context.name}: {error}. Correct it in kvasir.toml.") from None
    if not (options.requests_per_s > 0 and options.full_every_h >= 0):
        raise SourceMisconfigured(f"Source {context.name}: requests_per_s and full_every_h must be above 0.")
    headers = {"Authorization": f"Bearer {context.secrets.get('token', '')}", "Notion-Version": API_VERSION}
    api = HttpApi(
        HostedService("Notion", url, "token"), context, FixedHeaders(headers), per_second=options.requests_per_s
    )
    # Other pages of the same workspace are another source.
    root = " ".join([str(url), *sorted(identifier for _, identifier in roots)])
    return NotionSource(SourceKey(context.name, "notion", root), options, context, api, roots)


KIND = SourceKind(NotionOptions, build, lambda _, options: [options.url])


def _gone_error(document: str) -> SourceError:
    return SourceError(
        f"The page {document} is gone, in the trash, or no longer shared with Kvasir's connection. The next "
        "sync looks again."
    )
