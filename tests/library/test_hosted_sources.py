"""Confluence, Notion and Google Drive through the whole library, against services on loopback as they are documented.

The store, the manifest, the embedder and the sources are the real ones; only the three services are not.
"""

from __future__ import annotations

import contextlib
import os
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator
from html import escape
from pathlib import Path

import pytest

from bot.wheels import WheelCache
from knowledge.interfaces import EVERYONE
from knowledge.library import Library
from knowledge.opening import open_library
from knowledge.settings import KnowledgeSettings, SourceSpec
from tests.sources.confluence.fake_confluence import FakeConfluence, FakePage
from tests.sources.drive.fake_drive import FakeDrive
from tests.sources.hosted.fake_service import FakeService, Fault
from tests.sources.notion.fake_notion import FakeNotion
from tests.viewers import make_members

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

NAMES = ("harbour", "quay", "mole", "pier")


class Service(ABC):
    """One service with documents that only Ada and Bo may read."""

    kind: str
    ada: str
    bo: str
    fake: FakeService
    reading: str
    """Part of the path by which a document is read."""

    @abstractmethod
    def spec(self, folder: Path) -> SourceSpec: ...

    @abstractmethod
    def put(self, name: str, text: str) -> None: ...

    @abstractmethod
    def revoke_bo(self, name: str) -> None: ...

    @abstractmethod
    def remove(self, name: str) -> None: ...


class Confluence(Service):
    kind, ada, bo, reading = "confluence", "confluence:user:ada", "confluence:user:bo", "body-format=storage"

    def __init__(self) -> None:
        self.fake = FakeConfluence(cloud=True, token="s3cret")
        self.fake.space("ENG", readers=[("user", "ada"), ("user", "bo")])
        self.pages: dict[str, FakePage] = {}

    def spec(self, folder: Path) -> SourceSpec:
        options = {"url": self.fake.url, "edition": "cloud", "token_env": "CONFLUENCE_TOKEN"}
        return SourceSpec(self.kind, self.kind, options, folder, secrets={"token": "s3cret"})

    def put(self, name: str, text: str) -> None:
        storage = f"<p>{escape(text)}</p>"
        if name in self.pages:
            self.fake.edit(self.pages[name], storage)
        else:
            self.pages[name] = self.fake.page(name, storage)

    def revoke_bo(self, name: str) -> None:
        self.pages[name].users = ["ada"]

    def remove(self, name: str) -> None:
        self.pages.pop(name).status = "trashed"


class Notion(Service):
    """The configuration names its readers. Pages that are no longer shared disappear."""

    kind, ada, bo, reading = "notion", "U0ADA00001", "U0BO000002", "/children"

    def __init__(self) -> None:
        self.fake = FakeNotion("ntn_s3cret")
        self.pages: dict[str, str] = {}

    def spec(self, folder: Path) -> SourceSpec:
        options = {"url": self.fake.url, "token_env": "NOTION_TOKEN", "requests_per_s": 1e6}
        readers = frozenset({self.ada, self.bo})
        return SourceSpec(self.kind, self.kind, options, folder, readers=readers, secrets={"token": "ntn_s3cret"})

    def put(self, name: str, text: str) -> None:
        if name not in self.pages:
            self.pages[name] = self.fake.page(name)
        self.fake.text(self.pages[name], text)

    def revoke_bo(self, name: str) -> None:
        self.fake.unshared.add(self.pages[name])

    def remove(self, name: str) -> None:
        self.fake.trash(self.pages.pop(name))


class Drive(Service):
    kind, ada, bo, reading = "drive", "drive:user:ada@x.com", "drive:user:bo@x.com", "alt=media"

    def __init__(self) -> None:
        self.fake = FakeDrive()
        self.root = self.fake.folder("root")
        self.files: dict[str, str] = {}

    def spec(self, folder: Path) -> SourceSpec:
        options = {"credentials_env": "DRIVE_KEY", "folders": [self.root], "url": self.fake.url}
        return SourceSpec(self.kind, self.kind, options, folder, secrets={"credentials": self.fake.credentials()})

    def put(self, name: str, text: str) -> None:
        if name in self.files:
            self.fake.write(self.files[name], text.encode())
            return
        self.files[name] = self.fake.file(f"{name}.md", text.encode(), self.root)
        for address in ("ada@x.com", "bo@x.com"):
            self.fake.grant(self.files[name], type="user", emailAddress=address)

    def revoke_bo(self, name: str) -> None:
        granted = self.fake.granted[self.files[name]]
        granted[:] = [one for one in granted if one["emailAddress"] != "bo@x.com"]
        self.fake.edited(self.files[name])

    def remove(self, name: str) -> None:
        self.fake.trash(self.files.pop(name))


@contextlib.asynccontextmanager
async def library_of(folder: Path, services: list[Service]) -> AsyncIterator[Library]:
    cache = Path(os.environ.get("KVASIR_CACHE") or Path.home() / ".cache" / "kvasir")
    home = folder / "home"
    specs = tuple(service.spec(folder) for service in services)
    settings = KnowledgeSettings(home, cache, f"sqlite:///{home}/kvasir.db", specs)
    async with open_library(settings, WheelCache(cache / "wheels").unpack_wheel) as library:
        yield library


@pytest.fixture
async def services() -> AsyncIterator[list[Service]]:
    made: list[Service] = [Confluence(), Notion(), Drive()]
    async with contextlib.AsyncExitStack() as stack:
        for service in made:
            await stack.enter_async_context(service.fake)
            for name in NAMES:
                service.put(name, said(service, name, "red"))
        yield made


def said(service: Service, name: str, colour: str) -> str:
    return f"The lighthouse at the {name} of {service.kind} was painted {colour} by its keeper."


async def found(library: Library, service: Service, *readers: str) -> str:
    """Return all that is found of a service's lighthouses for these readers together."""
    question = "which lighthouse was painted by its keeper?"
    hits = (await library.search(question, viewers=make_members(*readers), sources=[service.kind], limit=20)).hits
    return " ".join(f"{hit.title} {hit.text} {hit.context}" for hit in hits)


async def documents(library: Library) -> dict[str, int]:
    return {source.name: source.documents for source in (await library.status()).sources}


async def test_three_hosted_services_through_the_whole_library(tmp_path: Path, services: list[Service]) -> None:
    async with library_of(tmp_path, services) as library:
        assert (await library.refresh()).ok
        assert await documents(library) == dict.fromkeys(("confluence", "notion", "drive"), len(NAMES))
        for service in services:
            await readers_find_theirs_and_strangers_nothing(library, service)
        await a_change_a_revocation_a_deletion_and_patience(library, services)
        await credentials_that_end_in_mid_run(library, services)
        await and_all_is_well_again(library, services)


async def readers_find_theirs_and_strangers_nothing(library: Library, service: Service) -> None:
    for readers in ((service.ada,), (service.bo,), (service.ada, service.bo)):
        text = await found(library, service, *readers)
        assert all(said(service, name, "red") in text for name in NAMES), (readers, text)
    for strangers in (tuple(EVERYONE), ("U0EVE00003",), (service.ada, "U0EVE00003")):
        assert await found(library, service, *strangers) == "", (service.kind, strangers)


async def a_change_a_revocation_a_deletion_and_patience(library: Library, services: list[Service]) -> None:
    """All at once, from services that ask for a second's patience in the middle of it."""
    for service in services:
        service.put("harbour", said(service, "harbour", "green"))
        service.revoke_bo("quay")
        service.remove("mole")
        service.fake.faults = [Fault(service.reading, status=429, headers={"Retry-After": "1"}, times=1)]
    report = await library.refresh()
    assert report.ok, report
    for service in services:
        assert service.fake.faults[0].times == 0, "the service asked for a pause"
        ada, bo = [await found(library, service, one) for one in (service.ada, service.bo)]
        assert said(service, "harbour", "green") in ada
        assert said(service, "harbour", "red") not in ada + bo
        assert "quay" not in bo
        assert ("quay" in ada) == (service.kind != "notion"), "unshared documents are deleted"
        assert "mole" not in ada + bo
    assert await documents(library) == {"confluence": 3, "notion": 2, "drive": 3}


async def credentials_that_end_in_mid_run(library: Library, services: list[Service]) -> None:
    """Drive's token is renewed with its key. The other services lose nothing and report the next step."""
    for service in services:
        for name in ("harbour", "pier", "jetty"):
            service.put(name, said(service, name, "blue"))
        times = 1 if service.kind == "drive" else 10**9
        service.fake.faults = [Fault(service.reading, status=401, after=1, times=times)]
    report = await library.refresh()
    assert report.sources["drive"].ok
    for service in services[:2]:
        error = report.sources[service.kind].error or ""
        assert "wrong or have expired. Renew them, then sync again; nothing was deleted." in error
        assert "s3cret" not in error
        text = await found(library, service, service.ada)
        for name in ("harbour", "pier"):
            versions = [said(service, name, colour) in text for colour in ("red", "green", "blue")]
            assert sum(versions) == 1, f"{name} answers in one version, whole: {versions}"


async def and_all_is_well_again(library: Library, services: list[Service]) -> None:
    for service in services:
        service.fake.faults = []
    report = await library.refresh()
    assert report.ok, report
    for service in services:
        text = await found(library, service, service.ada)
        assert all(said(service, name, "blue") in text for name in ("harbour", "pier", "jetty")), text
        assert not any(said(service, "harbour", colour) in text for colour in ("red", "green"))
        assert await found(library, service, *EVERYONE) == ""
    again = await library.refresh()
    assert (again.ok, again.repaired) == (True, 0)
    assert sum(one.added + one.updated + one.deleted for one in again.sources.values()) == 0
