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
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bot.app import serve
from bot.config.settings import Settings, load_settings
from bot.sandbox.state.model import PARTNER_TEAM_ID, SIBLING_TEAM_ID, TEAM_ID
from bot.storage.turns.ledger import open_ledger
from bot.terminal.terminal import Terminal
from knowledge.sync.manifest.manifest import open_manifest
from tests.engine.fakes import fake_sglang
from tests.slack_sandbox import SandboxClient, open_sandbox
from tests.soak.changes import apply_change
from tests.soak.generate import OWNER
from tests.soak.hosts import (
    ChannelHost,
    DriveHost,
    FileHost,
    FolderHost,
    Host,
    Hosts,
    NotionHost,
    TableHost,
    WikiHost,
    format_readers,
)
from tests.soak.model import Change, Document, Human, Room, World
from tests.soak.oracle import ORGANIZATION
from tests.soak.parrot import Parrot
from tests.sources.confluence.fake_confluence import FakeConfluence
from tests.sources.drive.fake_drive import FakeDrive
from tests.sources.notion.fake_notion import FakeNotion

BOT = "U0KVASIR01"
_TEAMS = {"sibling": SIBLING_TEAM_ID, "foreign": PARTNER_TEAM_ID}
_KINDS = {"public": "channel", "private": "group", "mpim": "mpim", "shared": "channel"}
_START_S = 120.0
_REFRESHES = 10
_MIGRATING = asyncio.Lock()


@dataclass
class Stage:
    """Kvasir in a world."""

    world: World
    folder: Path
    sandbox: SandboxClient
    model: Parrot
    wiki: FakeConfluence
    drive: FakeDrive
    hosts: Hosts = field(default_factory=dict)
    kvasir: Kvasir | None = None

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
        self.write_configuration()
        for document in world.documents.values():
            if document.live:
                await self._get_host(document).add(document)

    def write_configuration(self) -> None:
        """Write ``kvasir.toml``."""
        owners = json.dumps(sorted(self.world.owners))
        lines = ["[access]", f"owners = {owners}", "[sync]", 'nightly = ""', "[identity]", 'file = "people.csv"']
        for place in self.world.places.values():
            kind = {"wiki": "confluence", "files": "push"}.get(place.kind, place.kind)
            lines += ["[[source]]", f'name = "{place.name}"', f'kind = "{kind}"']
            if place.readers is not None:
                lines.append(format_readers(place.readers))
            if place.workspaces:
                lines.append(f"workspaces = {json.dumps(list(place.workspaces))}")
            lines += self.hosts[place.kind].configure(place)
        (self.folder / "kvasir.toml").write_text("\n".join(lines) + "\n")

    def _get_host(self, document: Document) -> Host:
        return self.hosts[self.world.places[document.place].kind]

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

    def _hides_address(self, human: Human) -> bool:
        """Return whether Confluence does not show the address of a person's account; a Data Center shows none."""
        return not self.wiki.cloud or int(human.id[2:4]) % 2 == 0

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

    async def restart(self) -> None:
        """Start Kvasir again, so that it reads ``kvasir.toml``."""
        assert self.kvasir is not None
        await self.kvasir.stop()
        await self.kvasir.start()

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
            case "close":
                await self.sandbox.world(channels=[{"id": first, "kind": "group"}], silent=change.late)
            case "readers":
                self.write_configuration()
            case _:
                await self._change_document(change.verb, world.documents[first])

    async def _change_document(self, verb: str, document: Document) -> None:
        host = self._get_host(document)
        match verb:
            case "edit":
                await host.edit(document)
            case "delete":
                await host.delete(document)
            case "send":
                await host.add(document)
            case "restrict" | "grant" | "row" | "choose":
                await host.change_readers(document)


def describe_human(human: Human) -> dict[str, Any]:
    """Return a person's account for the workspace."""
    role = "member" if human.kind in {"sibling", "foreign"} else human.kind
    return {
        "id": human.id, "name": human.id.lower(), "real_name": human.id.title(), "role": role, "email": human.email,
        "team": _TEAMS.get(human.kind, TEAM_ID), "deleted": not human.active,
    }  # fmt: skip


# ── Kvasir ───────────────────────────────────────────────────────────────────────────────────────────────────────────


class Kvasir:
    """Kvasir as ``kvasir run`` runs it; after a restart it reads ``kvasir.toml`` again."""

    def __init__(self, stage: Stage, environ: Mapping[str, str]) -> None:
        self._stage = stage
        self._environ = environ
        self._serving: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Start, and wait until Kvasir answers, has found its engine, and has read every source once."""
        is_first = self._serving is None
        output = io.StringIO()
        self._serving = asyncio.create_task(
            _serve_alone(load_settings(self._environ, self._stage.folder), Terminal(output))
        )
        names = list(self._stage.world.places) if is_first else []
        async with asyncio.timeout(_START_S):
            while True:
                text = output.getvalue()
                if "answers at" in text and "ready" in text and all(map(_make_reported(text), names)):
                    return
                if self._serving.done():
                    self._serving.result()
                await asyncio.sleep(0.05)

    async def stop(self) -> None:
        """Stop."""
        if self._serving is not None:
            self._serving.cancel()
            await asyncio.gather(self._serving, return_exceptions=True)


def _make_reported(text: str) -> Callable[[str], bool]:
    """Return a function that returns whether a text has the report on a source's sync."""
    return lambda name: re.search(rf"{name}: [^\n]* in [\d.]+ s", text) is not None


@contextlib.asynccontextmanager
async def open_stage(world: World, folder: Path, environ: Mapping[str, str]) -> AsyncIterator[Stage]:
    """Run Kvasir in a world until the block ends; ``environ`` names the store."""
    async with (
        fake_sglang() as server,
        FakeConfluence(cloud="data-center" not in world.features) as wiki,
        FakeDrive() as drive,
        FakeNotion() as notion,
        open_sandbox(folder, pace="off") as sandbox,
    ):
        stage = Stage(world, folder, sandbox, Parrot(server), wiki, drive)
        table = TableHost(folder / "reports.db")
        stage.hosts = {
            "folder": FolderHost(world, folder), "wiki": WikiHost(world, wiki), "drive": DriveHost(drive), "sql": table,
            "notion": NotionHost(notion), "slack": ChannelHost(world, sandbox),
            "files": FileHost(sandbox, stage.get_direct),
        }  # fmt: skip
        await stage.build()
        (folder / "home").mkdir()
        stage.kvasir = Kvasir(
            stage,
            {
                **sandbox.env, "KVASIR_HOME": str(folder / "home"), "KVASIR_ENGINE_URL": server.url,
                "WIKI_TOKEN": "t0ken", "DRIVE_KEY": drive.credentials(), "REPORTS_URL": table.url,
                "NOTION_TOKEN": notion.token,
                **{name: os.environ[name] for name in ("KVASIR_CACHE",) if name in os.environ}, **environ,
            },
        )  # fmt: skip
        try:
            await stage.kvasir.start()
            await _approve_rooms(stage)
            yield stage
        finally:
            await stage.kvasir.stop()


async def _serve_alone(settings: Settings, terminal: Terminal) -> None:
    """Serve, after the databases of other worlds are migrated: migrations have one process for themselves."""
    async with _MIGRATING, open_ledger(settings.database_url):
        await (await open_manifest(settings.database_url)).close()
    await serve(settings, terminal)


async def _approve_rooms(stage: Stage) -> None:
    for room in stage.world.rooms.values():
        if room.approved:
            await stage.sandbox.command(OWNER, room.id, "/kb share on")
    hub = stage.sandbox.hub
    assert hub is not None
    approved = sum(room.approved for room in stage.world.rooms.values())
    await stage.sandbox.wait_until(lambda: len(hub.workspace.ephemerals) >= approved, what="approvals")


async def refresh(stage: Stage) -> None:
    """Sync every source, as the owner does, and wait for the report. A sync that runs then may have fewer sources."""
    hub = stage.sandbox.hub
    assert hub is not None
    channel = stage.get_direct(OWNER)
    room = hub.workspace.messages.setdefault(channel, {})
    for _ in range(_REFRESHES):
        before = set(room)
        await stage.sandbox.command(OWNER, channel, "/kb refresh")

        def find_report(before: set[str] = before) -> str:
            texts = [message.text for ts, message in room.items() if ts not in before]
            return next((text for text in texts if text.startswith("Refreshed")), "")

        await stage.sandbox.wait_until(find_report, what="report of the refresh")
        if all(name in find_report() for name in stage.world.places):
            return
    raise AssertionError(f"no refresh of all sources: {find_report()}")
