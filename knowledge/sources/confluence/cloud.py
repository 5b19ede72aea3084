"""Confluence Cloud: its REST API version 2, and version 1 for what version 2 lacks (restrictions, groups)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from dataclasses import replace

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
    advance_start,
    next_page_by_start,
    parse_named_readers,
    parse_version,
)
from knowledge.sources.hosted.http_api import CallRefused, HttpApi, run_concurrently
from knowledge.sources.hosted.http_call import ApiCall, ServiceResponse, quote_part
from knowledge.sources.hosted.json_form import (
    JsonObject,
    get_int,
    get_object,
    get_objects,
    get_text,
    get_time,
    require_objects,
    require_text,
)

_LIMIT = 250
_COLLECTIONS = {
    "page": "pages", "folder": "folders", "whiteboard": "whiteboards", "database": "databases", "embed": "embeds",
}  # fmt: skip
_RESTRICTED = "restrictions.read.restrictions.user,restrictions.read.restrictions.group"


class Cloud:
    """The Cloud edition's API."""

    def __init__(self, api: HttpApi, site: str) -> None:
        self._api = api
        self._site = site

    async def list_spaces(self, keys: Collection[str]) -> Sequence[Space]:
        """Return the current spaces."""
        filters = {"keys": ",".join(sorted(keys))} if keys else {}
        first = ApiCall.get("api/v2/spaces", status="current", limit=_LIMIT, **filters)
        return [
            Space(require_text(one, "id"), require_text(one, "key"))
            async for one in self._api.fetch_objects(first, _next_page_by_link)
            if keys or get_text(one, "type") != "personal"
        ]

    async def list_pages(self, space: Space, kind: str) -> AsyncIterator[Sequence[ConfluencePage]]:
        """Yield the current pages or posts; restrictions, labels and files need calls of their own."""
        first = ApiCall.get(f"api/v2/spaces/{quote_part(space.id)}/{kind}s", status="current", limit=_LIMIT)
        async for page in self._api.fetch_pages(first, _next_page_by_link):
            site = get_text(get_object(page, "_links"), "base") or self._site
            yield [_parse_page(one, kind, site) for one in require_objects(page, "results")]

    async def list_attachments(self, pages: Mapping[str, ConfluencePage]) -> AsyncIterator[Sequence[Attachment]]:
        """Yield the files of these pages, from the listing of all files that the account sees."""
        first = ApiCall.get("api/v2/attachments", status="current", limit=_LIMIT)
        async for page in self._api.fetch_pages(first, _next_page_by_link):
            site = get_text(get_object(page, "_links"), "base") or self._site
            files = (_parse_attachment(one, site) for one in require_objects(page, "results"))
            yield [one for one in files if one.page in pages]

    async def find_labelled(self, space: Space, labels: Collection[str]) -> frozenset[str]:
        """Return the ids of the pages and posts with one of these labels."""
        ids: set[str] = set()
        async for label in self._api.fetch_objects(ApiCall.get("api/v2/labels", limit=_LIMIT), _next_page_by_link):
            if get_text(label, "name") in labels:
                ids |= await self._find_with_label(require_text(label, "id"), space)
        return frozenset(ids)

    async def _find_with_label(self, label: str, space: Space) -> set[str]:
        ids: set[str] = set()
        for kind in ("pages", "blogposts"):
            first = ApiCall.get(f"api/v2/labels/{quote_part(label)}/{kind}", limit=_LIMIT, **{"space-id": space.id})
            ids |= {require_text(one, "id") async for one in self._api.fetch_objects(first, _next_page_by_link)}
        return ids

    async def fetch_restrictions(self, space: Space, pages: Collection[str]) -> Mapping[str, frozenset[str]]:
        """Return the readers whom each page's own restriction admits.

        One search returns most restrictions; pages that it misses or returns in part are fetched one by one.
        """
        restrictions: dict[str, frozenset[str]] = {}
        cql = f'space = "{space.key}" and type in (page, blogpost)'
        first = ApiCall.get("rest/api/content/search", cql=cql, limit=100, expand=_RESTRICTED)
        async for one in self._api.fetch_objects(first, _next_page_by_link):
            admitted = _parse_restriction(get_object(one, "restrictions", "read"))
            if admitted is not None:
                restrictions[require_text(one, "id")] = admitted
        missing = [one for one in pages if one not in restrictions]
        answers = await run_concurrently([lambda one=one: self._fetch_restriction(one) for one in missing])  # type: ignore[misc]
        return {**restrictions, **dict(zip(missing, answers, strict=True))}

    async def fetch_page(self, ref: ContentRef) -> ConfluencePage:
        """Return a page or post with its own restriction and its space."""
        content = await self._api.fetch_json(ApiCall.get(f"api/v2/{ref.kind}s/{quote_part(ref.id)}"))
        _check_current(content)
        page = _parse_page(content, ref.kind, self._site)
        restriction = await self._fetch_restriction(ref.id)
        return replace(page, restriction=restriction, space=require_text(content, "spaceId"))

    async def fetch_node(self, ref: ContentRef) -> TreeNode:
        """Return a folder, or a page that the listing left out; nobody may see what the account cannot read."""
        if ref.kind not in _COLLECTIONS:
            return TreeNode(NOBODY)
        try:
            content = await self._api.fetch_json(ApiCall.get(f"api/v2/{_COLLECTIONS[ref.kind]}/{quote_part(ref.id)}"))
            return TreeNode(await self._fetch_restriction(ref.id), _parse_parent(content))
        except CallRefused:
            return TreeNode(NOBODY)

    async def fetch_space_readers(self, space: Space) -> frozenset[str]:
        """Return the readers of a space: people, groups and roles, each by id."""
        readers: set[str] = set()
        first = ApiCall.get(f"api/v2/spaces/{quote_part(space.id)}/permissions", limit=_LIMIT)
        async for one in self._api.fetch_objects(first, _next_page_by_link):
            operation, principal = get_object(one, "operation"), get_object(one, "principal")
            if (get_text(operation, "key"), get_text(operation, "targetType")) == ("read", "space"):
                readers.add(f"confluence:{require_text(principal, 'type').lower()}:{require_text(principal, 'id')}")
        return frozenset(readers)

    async def fetch_members(self, group: str) -> frozenset[str]:
        """Return the members of a group; none if the account may not see them."""
        path = f"rest/api/group/{quote_part(group.removeprefix(GROUP))}/membersByGroupId"
        people = self._api.fetch_objects(ApiCall.get(path, start=0, limit=200), next_page_by_start)
        try:
            return frozenset({USER + require_text(one, "accountId") async for one in people})
        except CallRefused:
            return NOBODY

    async def fetch_body(self, ref: ContentRef) -> PageBody:
        """Return a page's current body."""
        content = await self._api.fetch_json(
            ApiCall.get(f"api/v2/{ref.kind}s/{quote_part(ref.id)}", **{"body-format": "storage"})
        )
        _check_current(content)
        return PageBody.from_json(content)

    async def fetch_attachment(self, page: str, attachment: str) -> Attachment:
        """Return a file's current properties."""
        content = await self._api.fetch_json(ApiCall.get(f"api/v2/attachments/{quote_part(attachment)}"))
        file = _parse_attachment(content, self._site)
        if file.page != page or get_text(content, "status") != "current":
            raise CallRefused("The file is in the trash, or belongs to another page now.", 404)
        return file

    async def download_file(self, file: Attachment, document: str, limit: int) -> ServiceResponse:
        """Return the bytes of a file."""
        path = f"rest/api/content/{quote_part(file.page)}/child/attachment/{quote_part(file.id)}/download"
        return await self._api.download_document(ApiCall.get(path), document, limit)

    async def fetch_names(self, people: Collection[str]) -> Mapping[str, str]:
        """Return people's display names by id."""
        answer = await self._api.fetch_json(ApiCall.post("api/v2/users-bulk", {"accountIds": sorted(people)}))
        names = {get_text(one, "accountId"): get_text(one, "displayName") for one in require_objects(answer, "results")}
        return {one: name for one, name in names.items() if one and name}

    def make_anchor(self, title: str, heading: str) -> str:  # noqa: ARG002 - the other edition needs it
        """Return the anchor of a heading: its words, joined by hyphens."""
        return "-".join(heading.split())

    async def _fetch_restriction(self, content: str) -> frozenset[str]:
        """Return the readers whom a page's own restriction admits."""
        first = ApiCall.get(f"rest/api/content/{quote_part(content)}/restriction/byOperation/read", start=0, limit=200)
        readers: set[str] = set()
        async for page in self._api.fetch_pages(
            first, lambda call, page: advance_start(call, 200) if _is_incomplete(page) else None
        ):
            named = _parse_readers(page)
            if named is None:
                return NOBODY
            readers |= named
        return frozenset(readers) or EVERYONE


def _check_current(content: JsonObject) -> None:
    if get_text(content, "status") != "current":
        raise CallRefused("The page is in the trash or in the archive.", 404)


def _parse_page(one: JsonObject, kind: str, site: str) -> ConfluencePage:
    version = get_object(one, "version")
    return ConfluencePage(
        ref=ContentRef(require_text(one, "id"), kind),
        title=require_text(one, "title"),
        version=parse_version(one),
        link=site + require_text(get_object(one, "_links"), "webui"),
        parent=_parse_parent(one),
        modified_at=get_time(version, "createdAt"),
    )


def _parse_parent(one: JsonObject) -> ContentRef | None:
    parent = get_text(one, "parentId")
    return ContentRef(parent, get_text(one, "parentType") or "page") if parent else None


def _parse_attachment(one: JsonObject, site: str) -> Attachment:
    return Attachment(
        id=require_text(one, "id"),
        page=get_text(one, "pageId") or get_text(one, "blogPostId") or "",
        title=require_text(one, "title"),
        version=parse_version(one),
        media_type=get_text(one, "mediaType"),
        size_bytes=get_int(one, "fileSize"),
        link=site + (get_text(one, "webuiLink") or get_text(one, "downloadLink") or ""),
        modified_at=get_time(get_object(one, "version"), "createdAt"),
    )


def _parse_restriction(read: JsonObject) -> frozenset[str] | None:
    """Return the readers whom an expanded restriction admits; None if it is missing or incomplete."""
    named = _parse_readers(read)
    if named is None or _is_incomplete(read):
        return None
    return frozenset(named) or EVERYONE


def _parse_readers(read: JsonObject) -> set[str] | None:
    return parse_named_readers(read, lambda user: get_text(user, "accountId") or "?", "id")


def _is_incomplete(read: JsonObject) -> bool:
    lists = [get_object(read, "restrictions", kind) for kind in ("user", "group")]
    return any(len(get_objects(one, "results")) >= (get_int(one, "limit") or 100) for one in lists)


def _next_page_by_link(call: ApiCall, page: JsonObject) -> ApiCall | None:
    link = get_text(get_object(page, "_links"), "next")
    return call.follow_link(link) if link else None
