"""Added documents as the contract sees them."""

from __future__ import annotations

import asyncio
import shutil

from knowledge.settings import SourceSpec
from knowledge.sources.uploads.source import open_upload_store
from knowledge.sources.uploads.upload_store import UploadStore, parse_document_name
from tests.sources.contract import Ability, Workbench


class PushBench(Workbench):
    kind = "push"
    cannot = frozenset({Ability.MIDWAY, Ability.LINK, Ability.MEMORY, Ability.LIMIT})  # too large is not accepted

    async def open(self) -> None:
        (self.folder / "tray").mkdir()

    def options(self) -> dict[str, object]:
        return {"path": "tray", "max_mb": 0.1}

    def tray(self) -> UploadStore:
        return open_upload_store(SourceSpec("bench", "push", self.options(), self.folder), self.folder)

    async def put(self, name: str, data: bytes) -> None:
        await asyncio.to_thread(self.tray().store_document, self.document(name), data, by="ada")

    async def remove(self, name: str) -> None:
        document = self.document(name)
        assert await asyncio.to_thread(self.tray().remove_documents, lambda one: one.name == document)

    async def break_down(self) -> None:
        shutil.rmtree(self.folder / "tray")

    def document(self, name: str) -> str:
        return parse_document_name(name.replace("/", " "))


BENCHES = (PushBench,)
