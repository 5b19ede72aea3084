"""Confluence Data Center: the REST API under ``/rest/api``, paged by ``start`` and ``limit``."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from dataclasses import replace
from functools import partial

from knowledge.errors import SourceError
from knowledge.interfaces import EVERYONE
from knowledge.sources.confluence.model import (
    GROUP,
    NOBODY,
    USER,
    Attachment,
    ConfluencePage,
    ContentRef,
    PageBody,
    Space,
    TreeNode,
    next_page_by_start,
    parse_named_readers,
    parse_version,
)
from knowledge.sources.hosted.http_api import CallRefused, HttpApi
from knowledge.sources.hosted.http_call import ApiCall, ServiceResponse, quote_part
from knowledge.sources.hosted.json_form import (
    JsonObject,
    check_objects,
    get_int,
    get_object,
    get_objects,
    get_text,
    get_time,
    require_objects,
    require_text,
)

_LIMIT = 100
_TRIES = 3
_RIGHTS = "ancestors,restrictions.read.restrictions.user,restrictions.read.restrictions.group"


class DataCenter:
    """The Data Center edition's API. ``expand`` names what a listing of pages contains besides the pages."""

    def __init__(self, api: HttpApi, site: str, *, rights: bool, labels: bool, attachments: bool) -> None:
        self._api = api
        self._site = site
        wanted = {
            "version": True,
            _RIGHTS: rights,
            "metadata.labels": labels,
            "children.attachment.version": attachments,
        }
        self._expand = ",".join(name for name, is_wanted in wanted.items() if is_wanted)

    async def list_spaces(self, keys: Collection[str]) -> Sequence[Space]:
        """Return the current spaces."""
        visible: dict[str, Space] = {}
        async for results in self._fetch_results(
            ApiCall.get("rest/api/space", status="current", start=0, limit=_LIMIT)
        ):
            for one in results:
                key = require_text(one, "key")
                if key in keys or (not keys and get_text(one, "type") != "personal"):
                    visible[key] = Space(require_text(one, "id"), key)
        return list(visible.values())

    async def list_pages(self, space: Space, kind: str) -> AsyncIterator[Sequence[ConfluencePage]]:
        """Yield the current pages or posts with everything in ``expand``."""
        first = ApiCall.get(
            "rest/api/content",
            spaceKey=space.key,
            type=kind,
            status="current",
            expand=self._expand,
            start=0,
            limit=_LIMIT,
        )
        async for results in self._fetch_results(first):
            yield [await self._parse_page(one, kind) for one in results]

    async def list_attachments(self, pages: Mapping[str, ConfluencePage]) -> AsyncIterator[Sequence[Attachment]]:
        """Yield the files, which the listing of the pages contained."""
        for page in pages.values():
            if page.attachments:
                yield page.attachments

    async def fetch_page(self, ref: ContentRef) -> ConfluencePage:
        """Return a page or post with its own restriction and its space."""
        content = await self._api.fetch_json(
            ApiCall.get(f"rest/api/content/{quote_part(ref.id)}", expand=f"version,space,{_RIGHTS}")
        )
        if get_text(content, "status") != "current" or get_text(content, "type") != ref.kind:
            raise CallRefused("The page is in the trash.", 404)
        space = require_text(get_object(content, "space"), "id")
        return replace(await self._parse_page(content, ref.kind), space=space)

    async def fetch_node(self, ref: ContentRef) -> TreeNode:
        """Return a page that the listing left out; nobody may see what the account cannot read."""
        try:
            content = await self._api.fetch_json(
                ApiCall.get(f"rest/api/content/{quote_part(ref.id)}", expand=_RIGHTS, status="any")
            )
        except CallRefused:
            return TreeNode(NOBODY)
        return TreeNode(_parse_restriction(content), _parse_parent(content))

    async def fetch_space_readers(self, space: Space) -> frozenset[str]:
        """Return the readers of a space.

        Raises:
            SourceError: this Confluence is too old to return them, or the account has no right to them.

        """
        try:
            value = await self._api.fetch_value(ApiCall.get(f"rest/api/space/{quote_part(space.key)}/permissions"))
        except CallRefused as error:
            raise SourceError(
                f"Confluence does not say who may see the space {space.key} (HTTP {error.status}): that needs "
                "a newer version, or an administrator of the space. Grant the right, or set rights = "
                '"restrictions" if everybody who asks may see the space; nothing was deleted.'
            ) from None
        readers: set[str] = set()
        for one in check_objects(value, "permissions"):
            operation = get_object(one, "operation")
            if (get_text(operation, "operationKey"), get_text(operation, "targetType")) == ("read", "space"):
                readers |= _parse_subject(get_object(one, "subject"))
        return frozenset(readers)

    async def fetch_members(self, group: str) -> frozenset[str]:
        """Return the members of a group; none if the account may not see them."""
        path = f"rest/api/group/{quote_part(group.removeprefix(GROUP))}/member"
        pages = self._fetch_results(ApiCall.get(path, start=0, limit=200))
        try:
            return frozenset({USER + _user_name(one) async for people in pages for one in people})
        except CallRefused:
            return NOBODY

    async def fetch_body(self, ref: ContentRef) -> PageBody:
        """Return a page's current body."""
        content = await self._api.fetch_json(
            ApiCall.get(f"rest/api/content/{quote_part(ref.id)}", expand="version,body.storage")
        )
        if get_text(content, "status") != "current":
            raise CallRefused("The page is in the trash.", 404)
        return PageBody.from_json(content)

    async def fetch_attachment(self, page: str, attachment: str) -> Attachment:
        """Return a file's current properties."""
        content = await self._api.fetch_json(
            ApiCall.get(f"rest/api/content/{quote_part(attachment)}", expand="version,container")
        )
        if get_text(content, "status") != "current" or require_text(get_object(content, "container"), "id") != page:
            raise CallRefused("The file is in the trash, or belongs to another page now.", 404)
        return _parse_attachment(content, page, self._site)

    async def download_file(self, file: Attachment, document: str, limit: int) -> ServiceResponse:
        """Return the bytes of a file."""
        return await self._api.download_document(ApiCall(file.download_path.lstrip("/")), document, limit)

    async def fetch_names(self, people: Collection[str]) -> Mapping[str, str]:
        """Return people's display names by id."""
        names: dict[str, str] = {}
        for one in people:
            try:
                person = await self._api.fetch_json(ApiCall.get("rest/api/user", key=one))
            except CallRefused:
                continue
            if name := get_text(person, "displayName"):
                names[one] = name
        return names

    def make_anchor(self, title: str, heading: str) -> str:
        """Return the anchor of a heading: the page's title and the heading, without spaces."""
        return f"{''.join(title.split())}-{''.join(heading.split())}"

    async def _parse_page(self, one: JsonObject, kind: str) -> ConfluencePage:
        page = require_text(one, "id")
        return ConfluencePage(
            ref=ContentRef(page, kind),
            title=require_text(one, "title"),
            version=parse_version(one),
            link=self._site + require_text(get_object(one, "_links"), "webui"),
            parent=_parse_parent(one),
            modified_at=get_time(get_object(one, "version"), "when"),
            labels=frozenset(
                get_text(label, "name") or "" for label in get_objects(get_object(one, "metadata", "labels"), "results")
            ),
            restriction=_parse_restriction(one),
            attachments=await self._fetch_files(page, get_object(one, "children", "attachment")),
        )

    async def _fetch_files(self, page: str, listing: JsonObject) -> tuple[Attachment, ...]:
        """Return all files of a page; those in its listing may be only the first ones."""
        files = get_objects(listing, "results")
        if get_text(get_object(listing, "_links"), "next") or len(files) >= (get_int(listing, "limit") or 25):
            path = f"rest/api/content/{quote_part(page)}/child/attachment"
            async for results in self._fetch_results(ApiCall.get(path, expand="version", start=0, limit=_LIMIT)):
                files = [*files, *results]
        return tuple({one.id: one for one in (_parse_attachment(file, page, self._site) for file in files)}.values())

    async def _fetch_results(self, first: ApiCall) -> AsyncIterator[Sequence[JsonObject]]:
        """Yield the results of a listing; some come twice.

        A deletion during the listing shifts the later results, so that a plain step would miss one. So each page starts
        with the last result of the page before; if it does not, the listing starts again.
        """
        for _ in range(_TRIES):
            last: str | None = None
            async for page in self._api.fetch_pages(first, partial(next_page_by_start, overlap=1)):
                results = require_objects(page, "results")
                if last is not None and (not results or _result_id(results[0]) != last):
                    break
                yield results
                last = _result_id(results[-1]) if len(results) > 1 else None
            else:
                return
        raise SourceError("Confluence changed while it was listed. The next sync tries again; nothing was deleted.")


def _result_id(one: JsonObject) -> str:
    return get_text(one, "id") or get_text(one, "key") or _user_name(one)


def _parse_parent(one: JsonObject) -> ContentRef | None:
    ancestors = get_objects(one, "ancestors")
    return ContentRef(require_text(ancestors[-1], "id"), "page") if ancestors else None


def _user_name(one: JsonObject) -> str:
    return get_text(one, "username") or get_text(one, "userKey") or "?"


def _parse_subject(subject: JsonObject) -> frozenset[str]:
    """Return the reader to whom a permission is granted; an unknown subject is nobody."""
    kind = (get_text(subject, "type") or "").lower()
    if kind == "anonymous":
        return EVERYONE
    if kind == "group":
        name = get_text(subject, "name") or get_text(subject, "displayName")
        return frozenset({GROUP + name}) if name else NOBODY
    return frozenset({USER + _user_name(subject)})


def _parse_restriction(one: JsonObject) -> frozenset[str]:
    """Return the readers whom an expanded restriction admits; an incomplete one admits fewer, never more."""
    named = parse_named_readers(get_object(one, "restrictions", "read"), _user_name, "name")
    return NOBODY if named is None else frozenset(named) or EVERYONE


def _parse_attachment(one: JsonObject, page: str, site: str) -> Attachment:
    links = get_object(one, "_links")
    return Attachment(
        id=require_text(one, "id"),
        page=page,
        title=require_text(one, "title"),
        version=parse_version(one),
        media_type=get_text(get_object(one, "extensions"), "mediaType")
        or get_text(get_object(one, "metadata"), "mediaType"),
        size_bytes=get_int(get_object(one, "extensions"), "fileSize"),
        link=site + (get_text(links, "webui") or get_text(links, "download") or ""),
        modified_at=get_time(get_object(one, "version"), "when"),
        download_path=get_text(links, "download") or "",
    )
