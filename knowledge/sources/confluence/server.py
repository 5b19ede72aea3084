"""Confluence Data Center: the REST API under ``/rest/api``, with pages of ``start`` and ``limit``."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Mapping, Sequence

from knowledge.errors import SourceError
from knowledge.interfaces import EVERYONE
from knowledge.sources.confluence.model import NOBODY, Attachment, Body, Node, Page, Ref, Space
from knowledge.sources.confluence.rights import GROUP, USER
from knowledge.sources.hosted.http_api import HttpApi, Refused
from knowledge.sources.hosted.http_call import Call, part
from knowledge.sources.hosted.json_form import (
    JsonObject,
    maybe_int,
    maybe_members,
    maybe_text,
    member,
    members,
    moment,
    objects,
    text,
)
from knowledge.web.crawling.retry_policy import Reply

_LIMIT = 100
_TRIES = 3
_RIGHTS = "ancestors,restrictions.read.restrictions.user,restrictions.read.restrictions.group"


class DataCenter:
    """How Confluence Data Center answers. ``expand`` names what a listing of pages brings along."""

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

    async def spaces(self, keys: Collection[str]) -> Sequence[Space]:
        """Return the spaces."""
        found: dict[str, Space] = {}
        async for results in self._results(Call.get("rest/api/space", status="current", start=0, limit=_LIMIT)):
            for one in results:
                key = text(one, "key")
                if key in keys or (not keys and maybe_text(one, "type") != "personal"):
                    found[key] = Space(text(one, "id"), key)
        return list(found.values())

    async def pages(self, space: Space, kind: str) -> AsyncIterator[Sequence[Page]]:
        """Yield the current pages or posts with all that was asked for."""
        first = Call.get(
            "rest/api/content",
            spaceKey=space.key,
            type=kind,
            status="current",
            expand=self._expand,
            start=0,
            limit=_LIMIT,
        )
        async for results in self._results(first):
            yield [await self._page(one, kind) for one in results]

    async def attachments(self, pages: Mapping[str, Page]) -> AsyncIterator[Sequence[Attachment]]:
        """Yield the files, which came with the pages."""
        for page in pages.values():
            if page.attachments:
                yield page.attachments

    async def node(self, ref: Ref) -> Node:
        """Return what is known of a page that the listing left out; nobody may see what is unknown."""
        try:
            found = await self._api.json(Call.get(f"rest/api/content/{part(ref.id)}", expand=_RIGHTS, status="any"))
        except Refused:
            return Node(NOBODY)
        return Node(_admitted(found), _above(found))

    async def space_readers(self, space: Space) -> frozenset[str]:
        """Return who may see the space.

        Raises:
            SourceError: this Confluence is too old to tell, or the account has no right to know.

        """
        try:
            value = await self._api.value(Call.get(f"rest/api/space/{part(space.key)}/permissions"))
        except Refused as error:
            raise SourceError(
                f"Confluence does not tell who may see the space {space.key} (HTTP {error.status}): that needs a newer "
                'version, or an administrator of the space. Grant the right, or set rights = "restrictions" if '
                "everybody who asks may see the space; nothing was deleted."
            ) from None
        readers: set[str] = set()
        for one in objects(value, "permissions"):
            operation = member(one, "operation")
            if (maybe_text(operation, "operationKey"), maybe_text(operation, "targetType")) == ("read", "space"):
                readers |= _subject(member(one, "subject"))
        return frozenset(readers)

    async def members(self, group: str) -> frozenset[str]:
        """Return the people in a group; none where the account may not know."""
        people: set[str] = set()
        path = f"rest/api/group/{part(group.removeprefix(GROUP))}/member"
        try:
            async for results in self._results(Call.get(path, start=0, limit=200)):
                people |= {USER + _person(one) for one in results}
        except Refused:
            return NOBODY
        return frozenset(people)

    async def body(self, ref: Ref) -> Body:
        """Return a page as it is now."""
        found = await self._api.json(Call.get(f"rest/api/content/{part(ref.id)}", expand="version,body.storage"))
        if maybe_text(found, "status") != "current":
            raise Refused("The page is in the trash.", 404)
        storage = member(found, "body", "storage").get("value")
        return Body(text(found, "title"), _number(found), storage if isinstance(storage, str) else "")

    async def attachment(self, page: str, attachment: str) -> Attachment:
        """Return what is known of a file now."""
        found = await self._api.json(Call.get(f"rest/api/content/{part(attachment)}", expand="version,container"))
        if maybe_text(found, "status") != "current" or text(member(found, "container"), "id") != page:
            raise Refused("The file is in the trash, or hangs on another page now.", 404)
        return _attachment(found, page, self._site)

    async def download(self, file: Attachment, document: str, limit: int) -> Reply:
        """Return a file's bytes."""
        return await self._api.download(Call(file.download.lstrip("/")), document, limit)

    async def names(self, people: Collection[str]) -> Mapping[str, str]:
        """Return what people are called."""
        names: dict[str, str] = {}
        for one in people:
            try:
                found = await self._api.json(Call.get("rest/api/user", key=one))
            except Refused:
                continue
            if name := maybe_text(found, "displayName"):
                names[one] = name
        return names

    def anchor(self, title: str, heading: str) -> str:
        """Return what leads to a heading: the page's title and its words, without spaces."""
        return f"{''.join(title.split())}-{''.join(heading.split())}"

    async def _page(self, one: JsonObject, kind: str) -> Page:
        page = text(one, "id")
        return Page(
            ref=Ref(page, kind),
            title=text(one, "title"),
            version=_number(one),
            link=self._site + text(member(one, "_links"), "webui"),
            above=_above(one),
            modified_at=moment(member(one, "version"), "when"),
            labels=frozenset(maybe_text(label, "name") or "" for label in maybe_members(_labels(one), "results")),
            restriction=_admitted(one),
            attachments=await self._files(page, member(one, "children", "attachment")),
        )

    async def _files(self, page: str, told: JsonObject) -> tuple[Attachment, ...]:
        """Return a page's files: those that came with it, or all of them when those are not all."""
        found = maybe_members(told, "results")
        if maybe_text(member(told, "_links"), "next") or len(found) >= (maybe_int(told, "limit") or 25):
            path = f"rest/api/content/{part(page)}/child/attachment"
            async for results in self._results(Call.get(path, expand="version", start=0, limit=_LIMIT)):
                found = [*found, *results]
        return tuple({one.id: one for one in (_attachment(file, page, self._site) for file in found)}.values())

    async def _results(self, first: Call) -> AsyncIterator[Sequence[JsonObject]]:
        """Yield the results of a listing, some of them twice.

        What is deleted meanwhile moves what follows it up, and a plain step would leave something out. So each page
        begins with the last result of the one before; where it does not, the listing begins again.
        """
        for _ in range(_TRIES):
            last: str | None = None
            async for page in self._api.pages(first, _overlapping):
                results = members(page, "results")
                if last is not None and (not results or _mark(results[0]) != last):
                    break
                yield results
                last = _mark(results[-1]) if len(results) > 1 else None
            else:
                return
        raise SourceError("Confluence changes while it is listed. The next sync tries again; nothing was deleted.")


def _mark(one: JsonObject) -> str:
    return maybe_text(one, "id") or maybe_text(one, "key") or _person(one)


def _overlapping(call: Call, page: JsonObject) -> Call | None:
    results = members(page, "results")
    if not results or not maybe_text(member(page, "_links"), "next"):
        return None
    return call.with_params(start=int(call.as_dict()["start"]) + max(len(results) - 1, 1))


def _labels(one: JsonObject) -> JsonObject:
    return member(one, "metadata", "labels")


def _above(one: JsonObject) -> Ref | None:
    ancestors = maybe_members(one, "ancestors")
    return Ref(text(ancestors[-1], "id"), "page") if ancestors else None


def _number(one: JsonObject) -> int:
    return int(text(member(one, "version"), "number"))


def _person(one: JsonObject) -> str:
    return maybe_text(one, "username") or maybe_text(one, "userKey") or "?"


def _subject(subject: JsonObject) -> frozenset[str]:
    """Return the reader that a permission is granted to; a subject that cannot be told is nobody."""
    kind = (maybe_text(subject, "type") or "").lower()
    if kind == "anonymous":
        return EVERYONE
    if kind == "group":
        name = maybe_text(subject, "name") or maybe_text(subject, "displayName")
        return frozenset({GROUP + name}) if name else NOBODY
    return frozenset({USER + _person(subject)})


def _admitted(one: JsonObject) -> frozenset[str]:
    """Return whom an expanded restriction admits; what is not whole or not told names fewer, never more."""
    people, groups = (
        member(one, "restrictions", "read", "restrictions", kind).get("results") for kind in ("user", "group")
    )
    if not isinstance(people, list) or not isinstance(groups, list):
        return NOBODY
    named = {USER + _person(one) for one in people if isinstance(one, Mapping)}
    named |= {GROUP + (maybe_text(one, "name") or "?") for one in groups if isinstance(one, Mapping)}
    return frozenset(named) or EVERYONE


def _attachment(one: JsonObject, page: str, site: str) -> Attachment:
    links = member(one, "_links")
    return Attachment(
        id=text(one, "id"),
        page=page,
        title=text(one, "title"),
        version=_number(one),
        media_type=maybe_text(member(one, "extensions"), "mediaType")
        or maybe_text(member(one, "metadata"), "mediaType"),
        size_bytes=maybe_int(member(one, "extensions"), "fileSize"),
        link=site + (maybe_text(links, "webui") or maybe_text(links, "download") or ""),
        modified_at=moment(member(one, "version"), "when"),
        download=maybe_text(links, "download") or "",
    )
