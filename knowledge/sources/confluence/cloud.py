"""Confluence Cloud: the REST API of version 2, and of version 1 where 2 has no word for it (restrictions, groups)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Mapping, Sequence

from knowledge.interfaces import EVERYONE
from knowledge.sources.confluence.model import NOBODY, Attachment, Body, Node, Page, Ref, Space
from knowledge.sources.confluence.rights import GROUP, USER
from knowledge.sources.hosted.http_api import HttpApi, Refused, side_by_side
from knowledge.sources.hosted.http_call import Call, part
from knowledge.sources.hosted.json_form import (
    JsonObject,
    maybe_int,
    maybe_members,
    maybe_text,
    member,
    members,
    moment,
    text,
)
from knowledge.web.crawling.retry_policy import Reply

_LIMIT = 250
_FOLDERS = {
    "page": "pages", "folder": "folders", "whiteboard": "whiteboards", "database": "databases", "embed": "embeds",
}  # fmt: skip
_RESTRICTED = "restrictions.read.restrictions.user,restrictions.read.restrictions.group"


class Cloud:
    """How Confluence Cloud answers."""

    def __init__(self, api: HttpApi, site: str) -> None:
        self._api = api
        self._site = site

    async def spaces(self, keys: Collection[str]) -> Sequence[Space]:
        """Return the spaces."""
        asked = {"keys": ",".join(sorted(keys))} if keys else {}
        found: list[Space] = []
        async for page in self._pages(Call.get("api/v2/spaces", status="current", limit=_LIMIT, **asked)):
            found += [
                Space(text(one, "id"), text(one, "key"))
                for one in members(page, "results")
                if keys or maybe_text(one, "type") != "personal"
            ]
        return found

    async def pages(self, space: Space, kind: str) -> AsyncIterator[Sequence[Page]]:
        """Yield the current pages or posts; neither restrictions nor labels nor files are told here."""
        first = Call.get(f"api/v2/spaces/{part(space.id)}/{kind}s", status="current", limit=_LIMIT)
        async for page in self._pages(first):
            site = maybe_text(member(page, "_links"), "base") or self._site
            yield [_page(one, kind, site) for one in members(page, "results")]

    async def attachments(self, pages: Mapping[str, Page]) -> AsyncIterator[Sequence[Attachment]]:
        """Yield the files of these pages, out of the listing of all that the account sees."""
        async for page in self._pages(Call.get("api/v2/attachments", status="current", limit=_LIMIT)):
            site = maybe_text(member(page, "_links"), "base") or self._site
            found = (_attachment(one, site) for one in members(page, "results"))
            yield [one for one in found if one.page in pages]

    async def labelled(self, space: Space, labels: Collection[str]) -> frozenset[str]:
        """Return the ids of what has one of these labels."""
        found: set[str] = set()
        async for page in self._pages(Call.get("api/v2/labels", limit=_LIMIT)):
            for label in members(page, "results"):
                if maybe_text(label, "name") in labels:
                    found |= await self._having(text(label, "id"), space)
        return frozenset(found)

    async def _having(self, label: str, space: Space) -> set[str]:
        found: set[str] = set()
        for kind in ("pages", "blogposts"):
            first = Call.get(f"api/v2/labels/{part(label)}/{kind}", limit=_LIMIT, **{"space-id": space.id})
            async for page in self._pages(first):
                found |= {text(one, "id") for one in members(page, "results")}
        return found

    async def restrictions(self, space: Space, pages: Collection[str]) -> Mapping[str, frozenset[str]]:
        """Return whom each one's own restriction admits.

        A search brings most of them at once; what it does not know yet, or tells in part, is asked for by itself.
        """
        found: dict[str, frozenset[str]] = {}
        cql = f'space = "{space.key}" and type in (page, blogpost)'
        async for page in self._pages(Call.get("rest/api/content/search", cql=cql, limit=100, expand=_RESTRICTED)):
            for one in members(page, "results"):
                admitted = _admitted(member(one, "restrictions", "read"))
                if admitted is not None:
                    found[text(one, "id")] = admitted
        asked = [one for one in pages if one not in found]
        answers = await side_by_side([lambda one=one: self._restriction(one) for one in asked])  # type: ignore[misc]
        return {**found, **dict(zip(asked, answers, strict=True))}

    async def node(self, ref: Ref) -> Node:
        """Return what is known of a folder, or of a page that the listing left out; nobody may see what is unknown."""
        if ref.kind not in _FOLDERS:
            return Node(NOBODY)
        try:
            found = await self._api.json(Call.get(f"api/v2/{_FOLDERS[ref.kind]}/{part(ref.id)}"))
            return Node(await self._restriction(ref.id), _above(found))
        except Refused:
            return Node(NOBODY)

    async def space_readers(self, space: Space) -> frozenset[str]:
        """Return who may see the space: people, groups, and roles by their ids."""
        readers: set[str] = set()
        async for page in self._pages(Call.get(f"api/v2/spaces/{part(space.id)}/permissions", limit=_LIMIT)):
            for one in members(page, "results"):
                operation, principal = member(one, "operation"), member(one, "principal")
                if (maybe_text(operation, "key"), maybe_text(operation, "targetType")) == ("read", "space"):
                    readers.add(f"confluence:{text(principal, 'type').lower()}:{text(principal, 'id')}")
        return frozenset(readers)

    async def members(self, group: str) -> frozenset[str]:
        """Return the people in a group; none where the account may not know."""
        path = f"rest/api/group/{part(group.removeprefix(GROUP))}/membersByGroupId"
        people: set[str] = set()
        try:
            async for page in self._api.pages(Call.get(path, start=0, limit=200), _by_start):
                people |= {USER + text(one, "accountId") for one in members(page, "results")}
        except Refused:
            return NOBODY
        return frozenset(people)

    async def body(self, ref: Ref) -> Body:
        """Return a page as it is now."""
        found = await self._api.json(Call.get(f"api/v2/{ref.kind}s/{part(ref.id)}", **{"body-format": "storage"}))
        if maybe_text(found, "status") != "current":
            raise Refused("The page is in the trash or in the archive.", 404)
        storage = member(found, "body", "storage").get("value")
        return Body(text(found, "title"), _number(found), storage if isinstance(storage, str) else "")

    async def attachment(self, page: str, attachment: str) -> Attachment:
        """Return what is known of a file now."""
        found = await self._api.json(Call.get(f"api/v2/attachments/{part(attachment)}"))
        file = _attachment(found, self._site)
        if file.page != page or maybe_text(found, "status") != "current":
            raise Refused("The file is in the trash, or hangs on another page now.", 404)
        return file

    async def download(self, file: Attachment, document: str, limit: int) -> Reply:
        """Return a file's bytes."""
        path = f"rest/api/content/{part(file.page)}/child/attachment/{part(file.id)}/download"
        return await self._api.download(Call.get(path), document, limit)

    async def names(self, people: Collection[str]) -> Mapping[str, str]:
        """Return what people are called."""
        found = await self._api.json(Call.post("api/v2/users-bulk", {"accountIds": sorted(people)}))
        names = {maybe_text(one, "accountId"): maybe_text(one, "displayName") for one in members(found, "results")}
        return {one: name for one, name in names.items() if one and name}

    def anchor(self, title: str, heading: str) -> str:  # noqa: ARG002 - the other edition needs it
        """Return what leads to a heading: its words, joined by hyphens."""
        return "-".join(heading.split())

    def _pages(self, first: Call) -> AsyncIterator[JsonObject]:
        return self._api.pages(first, _by_link)

    async def _restriction(self, content: str) -> frozenset[str]:
        """Return whom one thing's own restriction admits."""
        first = Call.get(f"rest/api/content/{part(content)}/restriction/byOperation/read", start=0, limit=200)
        readers: set[str] = set()
        async for page in self._api.pages(first, _by_restriction):
            named = _named(page)
            if named is None:
                return NOBODY
            readers |= named
        return frozenset(readers) or EVERYONE


def _page(one: JsonObject, kind: str, site: str) -> Page:
    version = member(one, "version")
    return Page(
        ref=Ref(text(one, "id"), kind),
        title=text(one, "title"),
        version=_number(one),
        link=site + text(member(one, "_links"), "webui"),
        above=_above(one),
        modified_at=moment(version, "createdAt"),
    )


def _above(one: JsonObject) -> Ref | None:
    parent = maybe_text(one, "parentId")
    return Ref(parent, maybe_text(one, "parentType") or "page") if parent else None


def _attachment(one: JsonObject, site: str) -> Attachment:
    return Attachment(
        id=text(one, "id"),
        page=maybe_text(one, "pageId") or maybe_text(one, "blogPostId") or "",
        title=text(one, "title"),
        version=_number(one),
        media_type=maybe_text(one, "mediaType"),
        size_bytes=maybe_int(one, "fileSize"),
        link=site + (maybe_text(one, "webuiLink") or maybe_text(one, "downloadLink") or ""),
        modified_at=moment(member(one, "version"), "createdAt"),
    )


def _number(one: JsonObject) -> int:
    return int(text(member(one, "version"), "number"))


def _admitted(read: JsonObject) -> frozenset[str] | None:
    """Return whom an expanded restriction admits; None where it is not there or not whole."""
    named = _named(read)
    if named is None or _has_more(read):
        return None
    return frozenset(named) or EVERYONE


def _named(read: JsonObject) -> set[str] | None:
    """Return the readers that a restriction names; None where it cannot be told."""
    people, groups = (member(read, "restrictions", kind).get("results") for kind in ("user", "group"))
    if not isinstance(people, list) or not isinstance(groups, list):
        return None
    named = {USER + (maybe_text(one, "accountId") or "?") for one in people if isinstance(one, Mapping)}
    return named | {GROUP + (maybe_text(one, "id") or "?") for one in groups if isinstance(one, Mapping)}


def _has_more(read: JsonObject) -> bool:
    lists = [member(read, "restrictions", kind) for kind in ("user", "group")]
    return any(len(maybe_members(one, "results")) >= (maybe_int(one, "limit") or 100) for one in lists)


def _by_restriction(call: Call, page: JsonObject) -> Call | None:
    return _next_start(call, 200) if _has_more(page) else None


def _by_start(call: Call, page: JsonObject) -> Call | None:
    found = len(members(page, "results"))
    return _next_start(call, found) if found and maybe_text(member(page, "_links"), "next") else None


def _next_start(call: Call, step: int) -> Call:
    return call.with_params(start=int(call.as_dict()["start"]) + step)


def _by_link(call: Call, page: JsonObject) -> Call | None:
    link = maybe_text(member(page, "_links"), "next")
    return call.following(link) if link else None
