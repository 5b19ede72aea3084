"""Confluence as the contract sees it: a page for each document, in one of two spaces."""

from __future__ import annotations

from html import escape, unescape
from pathlib import Path
from typing import ClassVar

from knowledge.interfaces import DocumentContent
from tests.sources.confluence.fake_confluence import FakeConfluence, FakePage
from tests.sources.contract import Ability, Workbench
from tests.sources.hosted.fake_service import Fault


class CloudBench(Workbench):
    kind = "confluence"
    cannot = frozenset({Ability.BYTES, Ability.MEMORY})
    secrets: ClassVar = {"token": "s3cret-of-confluence"}
    cloud = True

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.fake = FakeConfluence(cloud=self.cloud, token=self.secrets["token"])
        self.fake.most = 5
        self.put_as: dict[str, FakePage] = {}

    async def open(self) -> None:
        self.fake.space("ENG")
        self.fake.space("HR")
        await self.fake.start()
        self.url = self.fake.url

    async def close(self) -> None:
        await self.fake.stop()

    def options(self) -> dict[str, object]:
        edition = "cloud" if self.cloud else "data-center"
        return {"url": self.url, "edition": edition, "token_env": "CONFLUENCE_TOKEN", "rights": "ignore", "max_mb": 0.1}

    async def put(self, name: str, data: bytes) -> None:
        storage = f"<pre>{escape(data.decode())}</pre>"
        if name in self.put_as:
            self.fake.edit(self.put_as[name], storage)
        else:
            space = ("ENG", "HR")[len(self.put_as) % 2]
            self.put_as[name] = self.fake.page(name, storage, space=space)

    async def remove(self, name: str) -> None:
        self.put_as.pop(name).status = "trashed"

    async def break_down(self) -> None:
        self.fake.authorization = "withdrawn"

    async def break_midway(self) -> None:
        path = "/spaces/2/pages" if self.cloud else "spaceKey=HR"
        self.fake.faults.append(Fault(path, status=404))

    def document(self, name: str) -> str:
        page = self.put_as.get(name) or next(p for p in self.fake.pages.values() if p.title == name)
        return f"{page.space}/{page.id}"

    def holds(self, content: DocumentContent, data: bytes) -> bool:
        return data.decode().strip() in unescape(content.data.decode())


class DataCenterBench(CloudBench):
    cloud = False


BENCHES = (CloudBench, DataCenterBench)
