"""Builds a random world at the wire: a workspace, a Confluence, a Drive, folders, a model; and runs Kvasir in it.

Kvasir runs as ``kvasir run`` does, from a ``kvasir.toml`` and environment variables. Only the servers are fakes.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import os
import re
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiohttp import web

from bot.app import serve
from bot.cli.terminal import Terminal
from bot.config.settings import Settings, load_settings
from bot.sandbox.state.model import PARTNER_TEAM_ID, SIBLING_TEAM_ID, TEAM_ID
from bot.storage.ledger import open_ledger
from knowledge.sync.manifest.manifest import open_manifest
from tests.engine.fakes import DONE, USAGE, FakeSglang, chosen, delta, fake_sglang
from tests.slack_sandbox import SandboxClient, open_sandbox
from tests.soak.changes import apply_change
from tests.soak.generate import OWNER
from tests.soak.model import Change, Document, Grant, Human, Place, Room, World
from tests.sources.confluence.fake_confluence import FakeConfluence, FakePage
from tests.sources.drive.fake_drive import FakeDrive

BOT = "U0KVASIR01"
ORGANIZATION = "E0SANDBOX1"
_TEAMS = {"sibling": SIBLING_TEAM_ID, "foreign": PARTNER_TEAM_ID}
_KINDS = {"public": "channel", "private": "group", "mpim": "mpim", "shared": "channel"}
_FRAME = re.compile(r"<passage (\d+): ([^\n>]*)>\n(.*?)\n</passage>", re.DOTALL)
_SECRET = re.compile(r"\b(?:tev|tiv|fiv|sov)[a-z]{8}\b")
_START_S = 120.0
_MIGRATING = asyncio.Lock()


class Parrot:
    """A model that repeats every passage, title and secret of its prompt."""

    def __init__(self, server: FakeSglang) -> None:
        self._server = server
        self.works = True
        server.chat = self._chat

    async def _chat(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        if not self.works:
            return web.json_response({"error": "The queue is full."}, status=503)
        if not body.get("stream"):
            return web.json_response(chosen([("yes", -0.1), ("no", -2.4)]))
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        prompt = "\n".join(str(message["content"]) for message in body["messages"])
        for chunk in (delta(content=_repeat(prompt)), delta(finish="stop"), USAGE, DONE):
            await response.write(chunk)
        return response


def _repeat(prompt: str) -> str:
    lines = [
        f"{' '.join(line.split())} [{number}]"
        for number, path, text in _FRAME.findall(prompt)
        for line in (*text.splitlines(), f"The title is {path}.")
        if line.strip()
    ]
    rest = _SECRET.findall(_FRAME.sub("", prompt))
    return "\n\n".join([*lines, *(f"The word was {word}." for word in dict.fromkeys(rest))]) or "I found nothing."


@dataclass
class Stage:
    """Kvasir in a world."""

    world: World
    folder: Path
    sandbox: SandboxClient
    model: Parrot
    wiki: FakeConfluence
    drive: FakeDrive
    pages: dict[int, FakePage] = field(default_factory=dict)
    files: dict[int, str] = field(default_factory=dict)

    # ── Building ─────────────────────────────────────────────────────────────────────────────────────────────────────

    async def build(self) -> None:
        """Put the world into the workspace, the services and the folders."""
        world = self.world
        rooms: list[dict[str, Any]] = []
        for room in world.rooms.values():
            members = [*sorted(room.members), BOT]
            if room.kind == "im":
                continue  # the workspace opens the direct message of each person
            if room.kind == "shared":
                rooms.append({"id": room.id, "kind": "channel", "name": room.id.lower(), "members": members,
                              "shared_with": [PARTNER_TEAM_ID]})  # fmt: skip
            else:
                rooms.append({"id": room.id, "kind": _KINDS[room.kind], "name": room.id.lower(), "members": members})
        for room in world.rooms.values():
            if room.approved:
                room.members.add(OWNER)
                next(one for one in rooms if one["id"] == room.id)["members"].append(OWNER)
        await self.sandbox.world(
            organization={"id": ORGANIZATION, "teams": [TEAM_ID, SIBLING_TEAM_ID]},
            people=[describe_human(one) for one in world.humans.values()],
            channels=rooms,
            groups=[{"id": id_, "handle": id_.lower(), "users": sorted(users)}
                    for id_, users in world.slack_groups.items()],
        )  # fmt: skip
        self._write_people()
        self._write_groups()
        for place in world.places.values():
            self._build_place(place)

    def get_channel(self, room: Room) -> str:
        """Return the id of a conversation at the workspace."""
        return self.get_direct(next(iter(room.members))) if room.kind == "im" else room.id

    def find_room(self, channel: str) -> Room | None:
        """Return the conversation of an id at the workspace, or of a person's id."""
        if channel in self.world.rooms:
            return self.world.rooms[channel]
        rooms = [room for room in self.world.rooms.values() if room.kind == "im"]
        return next((one for one in rooms if channel in {self.get_channel(one), *one.members}), None)

    def get_direct(self, person: str) -> str:
        """Return the id of a person's conversation with Kvasir."""
        assert self.sandbox.hub is not None
        return self.sandbox.hub.workspace.open_direct([person, BOT]).id

    def _build_place(self, place: Place) -> None:
        if place.kind == "wiki":
            for key, readers in place.parts.items():
                self.wiki.space(key, readers=self._name_wiki_readers(readers))
        elif place.kind == "folder":
            (self.folder / place.name).mkdir()
        for document in self.world.documents.values():
            if document.place == place.name:
                self._add_document(place, document)

    def _add_document(self, place: Place, document: Document) -> None:
        if place.kind == "wiki":
            page = self.wiki.page(f"{document.title} report", format_page(document), space=document.part)
            page.parent = None if document.parent is None else self.pages[document.parent].id
            self.pages[document.number] = page
            self._restrict(document)
        elif place.kind == "drive":
            self.files[document.number] = self.drive.file(f"{document.file}.md", format_text(document).encode())
            self._grant(document)
        else:
            self._get_path(document).write_text(format_text(document))

    def _get_path(self, document: Document) -> Path:
        return self.folder / document.place / f"{document.file}.md"

    def _name_wiki_readers(self, readers: list[Grant]) -> list[tuple[str, str]]:
        names = {"members": "group", "wiki group": "group", "wiki user": "user"}
        return [(names[what], which or "staff") for what, which in readers]

    def _restrict(self, document: Document) -> None:
        page = self.pages[document.number]
        page.users = [which for what, which in document.own if what == "wiki user"]
        page.groups = [which for what, which in document.own if what == "wiki group"]

    def _grant(self, document: Document) -> None:
        file = self.files[document.number]
        self.drive.granted[file] = []
        for what, which in document.own:
            kind = what.removeprefix("drive ")
            named = {"domain": which, "allowFileDiscovery": True} if kind == "domain" else {"emailAddress": which}
            self.drive.grant(file, type=kind, **named)

    def _write_people(self) -> None:
        """Write the file of people: names, and the accounts of Confluence that do not show their address."""
        lines = ["email,principals"]
        for one in self.world.humans.values():
            is_named = one.wiki and self._hides_address(one)
            held = [*sorted(one.names), *([f"confluence:user:{one.wiki}"] if is_named else [])]
            lines.append(f"{one.email},{';'.join(held)}")
        path = self.folder / "people.csv"
        path.with_suffix(".new").write_text("\n".join(lines) + "\n")
        path.with_suffix(".new").replace(path)

    @staticmethod
    def _hides_address(human: Human) -> bool:
        """Return whether Confluence does not show the address of a person's account."""
        return int(human.id[2:4]) % 2 == 0

    def _write_groups(self) -> None:
        """Give Confluence its accounts and groups, and Google its groups."""
        humans = self.world.humans
        with_wiki = [one for one in humans.values() if one.wiki]
        self.wiki.people = {one.wiki: one.id for one in with_wiki}
        self.wiki.emails = {one.wiki: one.email for one in with_wiki if not self._hides_address(one)}
        self.drive.groups = {
            one.email: [group for group, users in sorted(self.world.drive_groups.items()) if one.id in users]
            for one in humans.values()
        }
        self.wiki.members = {
            name: [humans[one].wiki for one in sorted(users) if humans[one].wiki]
            for name, users in self.world.wiki_groups.items()
        }

    # ── Changing ─────────────────────────────────────────────────────────────────────────────────────────────────────

    async def change(self, change: Change) -> None:
        """Apply a change to the records and at the wire."""
        world = self.world
        apply_change(world, change)
        first, *rest = change.args
        match change.verb:
            case "role" | "deactivate":
                await self.sandbox.world(people=[describe_human(world.humans[first])], silent=change.late)
            case "join" | "leave":
                members = [*sorted(world.rooms[rest[0]].members), BOT]
                await self.sandbox.world(channels=[{"id": rest[0], "members": members}], silent=change.late)
            case "slack group":
                await self.sandbox.world(groups=[{"id": first, "users": rest}], silent=change.late)
            case "wiki group" | "drive group":
                self._write_groups()
            case "name":
                self._write_people()
            case "restrict":
                self._restrict(world.documents[first])
            case "grant":
                self._grant(world.documents[first])
            case "edit":
                self._edit(world.documents[first])
            case "delete":
                self._get_path(world.documents[first]).unlink()

    def _edit(self, document: Document) -> None:
        if document.number in self.pages:
            self.wiki.edit(self.pages[document.number], format_page(document))
        elif document.number in self.files:
            self.drive.write(self.files[document.number], format_text(document).encode())
        else:
            self._get_path(document).write_text(format_text(document))


def describe_human(human: Human) -> dict[str, Any]:
    """Return a person's account for the workspace."""
    role = "member" if human.kind in {"sibling", "foreign"} else human.kind
    return {
        "id": human.id, "name": human.id.lower(), "real_name": human.id.title(), "role": role, "email": human.email,
        "team": _TEAMS.get(human.kind, TEAM_ID), "deleted": not human.active,
    }  # fmt: skip


def format_text(document: Document) -> str:
    """Return a document as Markdown."""
    return f"# {document.title} report\n\n{' '.join(_list_sentences(document))}\n"


def format_page(document: Document) -> str:
    """Return a document as a page of Confluence."""
    return f"<h2>{document.file} section</h2><p>{' '.join(_list_sentences(document))}</p>"


def _list_sentences(document: Document) -> list[str]:
    """Return sentences of which extracts quote only the first ones."""
    return [
        f"The report on {document.keyword} says that the office of {document.text} opens in spring.",
        "Chairs and lamps arrive by train.",
        "The kitchen stays where it is, and nobody needs a new desk.",
        f"The last page is about the garden of {document.rest}.",
        "Gardeners plant apple trees there when the frost is over.",
    ]


# ── Kvasir ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def format_reader(grant: Grant) -> str:
    """Return a reader as ``kvasir.toml`` names it."""
    what, which = grant
    return {"members": "*", "guests": "guests", "world": "world"}.get(what, which)


def write_configuration(stage: Stage) -> None:
    """Write ``kvasir.toml``."""
    lines = ["[access]", f'owners = ["{OWNER}"]', "[sync]", 'nightly = ""', "[identity]", 'file = "people.csv"']
    for place in stage.world.places.values():
        kinds = {"wiki": "confluence"}
        lines += ["[[source]]", f'name = "{place.name}"', f'kind = "{kinds.get(place.kind, place.kind)}"']
        if place.readers is not None:
            lines.append(f"readers = {json.dumps([format_reader(one) for one in place.readers])}")
        match place.kind:
            case "folder":
                lines.append(f'path = "{place.name}"')
                for document in stage.world.documents.values():
                    if document.place == place.name and document.own:
                        readers = json.dumps([format_reader(one) for one in document.own])
                        lines += ["[[source.rights]]", f'path = "{document.file}.md"', f"readers = {readers}"]
            case "wiki":
                lines += [f'url = "{stage.wiki.url}"', 'edition = "cloud"', 'token_env = "WIKI_TOKEN"']
                lines += ['rights = "own"', 'everyone = ["confluence:group:staff"]', "attachments = false"]
            case "drive":
                lines += [
                    f'url = "{stage.drive.url}"',
                    'credentials_env = "DRIVE_KEY"',
                    'rights = "own"',
                    'groups_as = "admin@company.example"',
                ]
    (stage.folder / "kvasir.toml").write_text("\n".join(lines) + "\n")


@contextlib.asynccontextmanager
async def open_stage(world: World, folder: Path, environ: Mapping[str, str]) -> AsyncIterator[Stage]:
    """Run Kvasir in a world until the block ends; ``environ`` names the store."""
    async with (
        fake_sglang() as server,
        FakeConfluence(cloud=True) as wiki,
        FakeDrive() as drive,
        open_sandbox(folder, pace="off") as sandbox,
    ):
        stage = Stage(world, folder, sandbox, Parrot(server), wiki, drive)
        await stage.build()
        write_configuration(stage)
        output = io.StringIO()
        (folder / "home").mkdir()
        settings = load_settings(
            {
                **sandbox.env, "KVASIR_HOME": str(folder / "home"), "KVASIR_ENGINE_URL": server.url,
                "WIKI_TOKEN": "t0ken", "DRIVE_KEY": drive.credentials(),
                **{name: os.environ[name] for name in ("KVASIR_CACHE",) if name in os.environ}, **environ,
            },
            folder,
        )  # fmt: skip
        serving = asyncio.create_task(_serve_alone(settings, output))
        try:
            await _wait_for_output(serving, output, len(world.places))
            await _approve_rooms(stage)
            yield stage
        finally:
            serving.cancel()
            await asyncio.gather(serving, return_exceptions=True)


async def _serve_alone(settings: Settings, output: io.StringIO) -> None:
    """Serve, after the databases of other worlds are migrated: migrations have one process for themselves."""
    async with _MIGRATING, open_ledger(settings.database_url):
        await (await open_manifest(settings.database_url)).close()
    await serve(settings, Terminal(output))


async def _wait_for_output(serving: asyncio.Task[None], output: io.StringIO, places: int) -> None:
    """Wait until Kvasir answers, has read every source, and has found its engine."""
    async with asyncio.timeout(_START_S):
        while True:
            text = output.getvalue()
            if "answers at" in text and "ready" in text and len(re.findall(r"\d+ added", text)) == places:
                return
            if serving.done():
                serving.result()
            await asyncio.sleep(0.05)


async def _approve_rooms(stage: Stage) -> None:
    for room in stage.world.rooms.values():
        if room.approved:
            await stage.sandbox.command(OWNER, room.id, "/kb share on")
    hub = stage.sandbox.hub
    assert hub is not None
    approved = sum(room.approved for room in stage.world.rooms.values())
    await stage.sandbox.wait_until(lambda: len(hub.workspace.ephemerals) >= approved, what="approvals")


async def refresh(stage: Stage) -> None:
    """Sync every source, as the owner does, and wait for the report."""
    hub = stage.sandbox.hub
    assert hub is not None
    channel = stage.get_direct(OWNER)
    room = hub.workspace.messages.setdefault(channel, {})
    before = set(room)
    await stage.sandbox.command(OWNER, channel, "/kb refresh")
    names = stage.world.places

    def is_done() -> bool:
        texts = [message.text for ts, message in room.items() if ts not in before]
        return any(all(name in text for name in names) and text.startswith("Refreshed") for text in texts)

    await stage.sandbox.wait_until(is_done, what="report of the refresh")
