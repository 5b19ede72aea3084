"""Where the documents of a world are at the wire: folders, a Confluence, a Drive, a table, a Notion, Slack."""

from __future__ import annotations

import base64
import contextlib
import json
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

from tests.slack_sandbox import SandboxClient
from tests.soak.model import Document, Grant, Place, PlaceKind, World
from tests.sources.confluence.fake_confluence import FakeConfluence, FakePage
from tests.sources.drive.fake_drive import FakeDrive
from tests.sources.notion.fake_notion import FakeNotion


class Host(Protocol):
    """Has the documents of one kind of source."""

    def configure(self, place: Place) -> Iterable[str]:
        """Return lines of a source's table in ``kvasir.toml``, without its name, kind and readers."""

    async def add(self, document: Document) -> None:
        """Add a document with its readers."""

    async def edit(self, document: Document) -> None:
        """Write a document's text again."""

    async def change_readers(self, document: Document) -> None:
        """Write a document's readers again."""

    async def delete(self, document: Document) -> None:
        """Delete a document."""


class FolderHost:
    """Folders, one for each source; their rights are in ``kvasir.toml``."""

    def __init__(self, world: World, folder: Path) -> None:
        self._world = world
        self._folder = folder

    def configure(self, place: Place) -> Iterable[str]:
        yield f'path = "{place.name}"'
        for document in self._world.documents.values():
            if document.place == place.name and document.own:
                yield from ("[[source.rights]]", f'path = "{document.file}.md"', format_readers(document.own))

    async def add(self, document: Document) -> None:
        path = self._get_path(document)
        path.parent.mkdir(exist_ok=True)
        path.write_text(format_text(document))

    async def edit(self, document: Document) -> None:
        await self.add(document)

    async def change_readers(self, document: Document) -> None:
        raise NotImplementedError

    async def delete(self, document: Document) -> None:
        self._get_path(document).unlink()

    def _get_path(self, document: Document) -> Path:
        return self._folder / document.place / f"{document.file}.md"


class WikiHost:
    """A Confluence with two spaces."""

    def __init__(self, world: World, fake: FakeConfluence) -> None:
        self._world = world
        self.fake = fake
        self._pages: dict[int, FakePage] = {}

    def configure(self, _: Place) -> Iterable[str]:
        edition = "cloud" if self.fake.cloud else "data-center"
        yield from (f'url = "{self.fake.url}"', f'edition = "{edition}"', 'token_env = "WIKI_TOKEN"')
        yield from ('rights = "own"', 'everyone = ["confluence:group:staff"]', "attachments = false")

    async def add(self, document: Document) -> None:
        if document.part not in self.fake.spaces:
            names = {"members": "group", "wiki group": "group", "wiki user": "user"}
            readers = self._world.places[document.place].parts[document.part]
            self.fake.space(document.part, readers=[(names[what], which or "staff") for what, which in readers])
        page = self.fake.page(f"{document.title} report", format_page(document), space=document.part)
        page.parent = None if document.parent is None else self._pages[document.parent].id
        self._pages[document.number] = page
        await self.change_readers(document)

    async def edit(self, document: Document) -> None:
        self.fake.edit(self._pages[document.number], format_page(document))

    async def change_readers(self, document: Document) -> None:
        page = self._pages[document.number]
        page.users = [which for what, which in document.own if what == "wiki user"]
        page.groups = [which for what, which in document.own if what == "wiki group"]

    async def delete(self, document: Document) -> None:
        raise NotImplementedError


class DriveHost:
    """A Google Drive."""

    def __init__(self, fake: FakeDrive) -> None:
        self.fake = fake
        self._files: dict[int, str] = {}

    def configure(self, _: Place) -> Iterable[str]:
        yield from (f'url = "{self.fake.url}"', 'credentials_env = "DRIVE_KEY"', 'rights = "own"')
        yield 'groups_as = "admin@company.example"'

    async def add(self, document: Document) -> None:
        self._files[document.number] = self.fake.file(f"{document.file}.md", format_text(document).encode())
        await self.change_readers(document)

    async def edit(self, document: Document) -> None:
        self.fake.write(self._files[document.number], format_text(document).encode())

    async def change_readers(self, document: Document) -> None:
        file = self._files[document.number]
        self.fake.granted[file] = []
        for what, which in document.own:
            kind = what.removeprefix("drive ")
            named = {"domain": which, "allowFileDiscovery": True} if kind == "domain" else {"emailAddress": which}
            self.fake.grant(file, type=kind, **named)

    async def delete(self, document: Document) -> None:
        raise NotImplementedError


class TableHost:
    """A table of a database, with a column of readers."""

    def __init__(self, path: Path) -> None:
        self.url = f"sqlite:///{path}"
        self._path = path
        self._run("CREATE TABLE reports (id TEXT, title TEXT, notes TEXT, readers TEXT)")

    def configure(self, _: Place) -> Iterable[str]:
        yield from ('url_env = "REPORTS_URL"', 'table = "reports"', 'key = "id"', 'title = "{title} report"')
        yield from ('text = "{notes}"', 'readers_column = "readers"')

    async def add(self, document: Document) -> None:
        notes = " ".join(list_sentences(document))
        row = (document.file, document.title, notes, self._join_readers(document))
        self._run("INSERT INTO reports VALUES (?, ?, ?, ?)", *row)

    async def edit(self, document: Document) -> None:
        self._run("UPDATE reports SET notes = ? WHERE id = ?", " ".join(list_sentences(document)), document.file)

    async def change_readers(self, document: Document) -> None:
        self._run("UPDATE reports SET readers = ? WHERE id = ?", self._join_readers(document), document.file)

    async def delete(self, document: Document) -> None:
        self._run("DELETE FROM reports WHERE id = ?", document.file)

    def _run(self, statement: str, *values: object) -> None:
        with contextlib.closing(sqlite3.connect(self._path)) as connection, connection:
            connection.execute(statement, values)

    @staticmethod
    def _join_readers(document: Document) -> str | None:
        return ", ".join(map(format_reader, document.own)) or None


class NotionHost:
    """A Notion, as one connection sees it."""

    def __init__(self, fake: FakeNotion) -> None:
        self.fake = fake
        self._pages: dict[int, str] = {}

    def configure(self, _: Place) -> Iterable[str]:
        yield from (f'url = "{self.fake.url}"', 'token_env = "NOTION_TOKEN"', "requests_per_s = 1000.0")
        yield 'rights = "ignore"'

    async def add(self, document: Document) -> None:
        self._pages[document.number] = self.fake.page(f"{document.title} report")
        await self.edit(document)

    async def edit(self, document: Document) -> None:
        self.fake.text(self._pages[document.number], " ".join((*list_sentences(document), f"See {document.file}.")))

    async def change_readers(self, document: Document) -> None:
        raise NotImplementedError

    async def delete(self, document: Document) -> None:
        self.fake.unshared.add(self._pages[document.number])


class ChannelHost:
    """Public channels of Slack. A thread is a document; somebody who was in the channel at first writes it."""

    def __init__(self, world: World, sandbox: SandboxClient) -> None:
        self._world = world
        self._sandbox = sandbox
        self._threads: dict[int, tuple[str, str]] = {}
        """The author and the first message of each thread."""

    def configure(self, _: Place) -> Iterable[str]:
        return ()

    async def add(self, document: Document) -> None:
        author = min(self._world.rooms[document.part].members)
        ts = await self._sandbox.say(author, document.part, self._format_first(document))
        await self._sandbox.say(author, document.part, " ".join(list_sentences(document)[3:]), ts)
        self._threads[document.number] = (author, ts)

    async def edit(self, document: Document) -> None:
        author, ts = self._threads[document.number]
        await self._sandbox.edit(author, document.part, ts, self._format_first(document))

    async def change_readers(self, document: Document) -> None:
        raise NotImplementedError

    async def delete(self, document: Document) -> None:
        author, ts = self._threads[document.number]
        await self._sandbox.delete(author, document.part, ts)

    @staticmethod
    def _format_first(document: Document) -> str:
        return f"{document.title} report, {document.file}: {' '.join(list_sentences(document)[:3])}"


class FileHost:
    """Files that owners send to Kvasir in direct messages. The buttons store them for readers, at first the sender."""

    def __init__(self, sandbox: SandboxClient, find_direct: Callable[[str], str]) -> None:
        self._sandbox = sandbox
        self._find_direct = find_direct
        self._replies: dict[int, str] = {}

    def configure(self, _: Place) -> Iterable[str]:
        return ()

    async def add(self, document: Document) -> None:
        sender, channel = document.part, self._find_direct(document.part)
        data = base64.b64encode(format_text(document).encode()).decode()
        files = [{"name": f"{document.file}.md", "base64": data}]
        said = {"person": sender, "channel": channel, "text": "", "files": files}
        ts = str((await self._sandbox.control("POST", "say", said))["ts"])
        reply = await self._sandbox.wait_for_message(
            lambda one: one["root"] == ts and one.get("bot_id") and list(find_blocks(one["blocks"], "actions")),
            channel=channel,
            person=sender,
        )
        self._replies[document.number] = reply["ts"]
        await self._choose(document, {})

    async def edit(self, document: Document) -> None:
        await self.add(document)

    async def change_readers(self, document: Document) -> None:
        await self._choose(document, dict(document.own))

    async def _choose(self, document: Document, chosen: Mapping[str, str]) -> None:
        """Press the button for some readers, which stores the file the first time."""
        sender, channel = document.part, self._find_direct(document.part)
        before = {one["ts"] for one in await self._sandbox.messages(channel, sender)}
        reply = self._replies[document.number]
        messages = await self._sandbox.messages(channel, sender)
        blocks = next(one for one in messages if one["ts"] == reply)["blocks"]
        only_sender, room, everybody = next(iter(find_blocks(blocks, "actions")))["elements"]
        button = everybody if "readers" in chosen else room if "channel" in chosen else only_sender
        more = {"selected_conversation": chosen["channel"]} if "channel" in chosen else {}
        await self._sandbox.press(sender, channel, reply, button["action_id"], **more)
        await self._sandbox.wait_for_message(
            lambda one: one["ts"] not in before and "can find" in json.dumps(one), channel=channel, person=sender
        )

    async def delete(self, document: Document) -> None:
        raise NotImplementedError


Hosts = Mapping[PlaceKind, Host]

# ── Texts ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def format_reader(grant: Grant) -> str:
    """Return a reader as ``kvasir.toml`` names it."""
    what, which = grant
    return {"members": "*", "readers": "*", "guests": "guests", "world": "world"}.get(what, which)


def format_readers(readers: Iterable[Grant]) -> str:
    """Return the line with readers in ``kvasir.toml``."""
    return f"readers = {json.dumps([format_reader(one) for one in readers])}"


def format_text(document: Document) -> str:
    """Return a document as Markdown."""
    return f"# {document.title} report\n\n{' '.join(list_sentences(document))}\n"


def format_page(document: Document) -> str:
    """Return a document as a page of Confluence."""
    return f"<h2>{document.file} section</h2><p>{' '.join(list_sentences(document))}</p>"


def list_sentences(document: Document) -> list[str]:
    """Return sentences of which extracts quote only the first ones."""
    return [
        f"The report on {document.keyword} says that the office of {document.text} opens in spring.",
        "Chairs and lamps arrive by train.",
        "The kitchen stays where it is, and nobody needs a new desk.",
        f"The last page is about the garden of {document.rest}.",
        "Gardeners plant apple trees there when the frost is over.",
    ]


def find_blocks(blocks: Any, kind: str) -> Iterator[Mapping[str, Any]]:
    """Yield the blocks and elements of one kind, such as ``button``."""
    if isinstance(blocks, dict):
        if blocks.get("type") == kind:
            yield blocks
        for value in blocks.values():
            yield from find_blocks(value, kind)
    elif isinstance(blocks, (list, tuple)):
        for one in blocks:
            yield from find_blocks(one, kind)
