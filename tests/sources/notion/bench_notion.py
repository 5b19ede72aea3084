"""The workbench of Notion: a page for each document, with all shared pages or those below one page."""

from __future__ import annotations

from html import unescape
from pathlib import Path
from typing import ClassVar

from knowledge.interfaces import DocumentContent
from tests.sources.contract import Ability, Workbench
from tests.sources.hosted.fake_service import Fault
from tests.sources.notion.fake_notion import FakeNotion


class NotionBench(Workbench):
    """All that is shared with the connection."""

    kind = "notion"
    cannot = frozenset({Ability.BYTES})
    secrets: ClassVar = {"token": "ntn_s3cret-of-notion"}

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.fake = FakeNotion(self.secrets["token"])
        self.fake.most = 5
        self.put_as: dict[str, str] = {}

    async def open(self) -> None:
        await self.fake.start()

    async def close(self) -> None:
        await self.fake.stop()

    def options(self) -> dict[str, object]:
        return {
            "token_env": "NOTION_TOKEN", "rights": "ignore", "url": self.fake.url, "max_mb": 0.1, "requests_per_s": 1e6,
        }  # fmt: skip

    async def put(self, name: str, data: bytes) -> None:
        if name not in self.put_as:
            self.put_as[name] = self.make(name)
        self.fake.text(self.put_as[name], data.decode())

    def make(self, name: str) -> str:
        return self.fake.page(name)

    async def remove(self, name: str) -> None:
        self.fake.trash(self.put_as.pop(name))

    async def break_down(self) -> None:
        self.fake.token = "withdrawn"

    async def break_midway(self) -> None:
        self.fake.faults.append(Fault("/children", status=403, after=5))

    def document(self, name: str) -> str:
        found = self.put_as.get(name) or next(
            one for one, page in self.fake.pages.items() if page["properties"]["Name"]["title"][0]["plain_text"] == name
        )
        return found.replace("-", "")

    def holds(self, content: DocumentContent, data: bytes) -> bool:
        return data.decode() in unescape(content.data.decode().replace("<br>", "\n"))


class NotionRowsBench(NotionBench):
    """The rows of one database."""

    async def open(self) -> None:
        await super().open()
        home = self.fake.page("home")
        self.database, self.source_id = self.fake.database("documents", home)

    def options(self) -> dict[str, object]:
        return {**super().options(), "databases": [self.database]}

    def make(self, name: str) -> str:
        return self.fake.page(name, source=self.source_id)


BENCHES = (NotionBench, NotionRowsBench)
