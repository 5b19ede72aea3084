"""Reads files of messages for one answer. They stay in memory for some minutes, for the next questions of a thread."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, Final

import structlog
from slack_sdk.web.async_client import AsyncWebClient

from bot.messages.forms import materials
from bot.messages.message import Message
from bot.slack.wire.transport.file_download import FileRefused, download_file, find_address, is_image
from knowledge.errors import DocumentEncrypted, DocumentScanned, DocumentTooLarge, ParseError, UnsupportedFormat
from knowledge.interfaces import Material
from knowledge.latest_entries import LatestEntries
from knowledge.materials import MaterialLoader

_log = structlog.get_logger("kvasir.materials")

MAX_BYTES: Final = 20_000_000
LIFETIME_S: Final = 600.0
_MAX_CACHED: Final = 32
_AT_ONCE: Final = 4
_REASONS: Final = {
    DocumentEncrypted: materials.ENCRYPTED,
    DocumentScanned: materials.SCANNED,
    DocumentTooLarge: materials.TOO_LARGE,
    UnsupportedFormat: materials.UNSUPPORTED,
}


class FileLoader:
    """Reads files, and forgets them ``lifetime_s`` later."""

    def __init__(self, client: AsyncWebClient, loader: MaterialLoader, *, lifetime_s: float = LIFETIME_S) -> None:
        self._client = client
        self._loader = loader
        self._lifetime_s = lifetime_s
        self._read: LatestEntries[str, Material | Message] = LatestEntries(_MAX_CACHED)
        self._downloading = asyncio.Semaphore(_AT_ONCE)

    @property
    def reads_pictures(self) -> bool:
        """Return whether anything of a picture is read."""
        return self._loader.reads_pictures

    async def read_file(self, file: Mapping[str, Any]) -> Material:
        """Return a file in passages; ``file`` is Slack's object.

        Raises:
            FileRefused: it cannot be read; the text says why, and the next step.

        """
        id_, name = str(file.get("id") or ""), str(file.get("name") or "file")
        if is_image(file) and not self.reads_pictures:
            raise FileRefused(materials.IMAGE.fill(name=name))
        find_address(file)  # what was deleted meanwhile is not read from memory either
        outcome = self._read.get(id_)
        if outcome is None:
            async with self._downloading:
                data = await download_file(self._client, file, MAX_BYTES)
            outcome = await self._parse_file(id_, name, data)
            self._remember_material(id_, outcome)
        if isinstance(outcome, Message):
            raise FileRefused(outcome)
        return outcome

    async def _parse_file(self, id_: str, name: str, data: bytes) -> Material | Message:
        try:
            material = await self._loader.read_file(id_, name, data)
        except ParseError as error:
            _log.info("file not read", reason=type(error).__name__, bytes=len(data))
            return _REASONS.get(type(error), materials.BROKEN).fill(name=name)
        return material if material.chunks or material.picture else materials.EMPTY.fill(name=name)

    def _remember_material(self, id_: str, outcome: Material | Message) -> None:
        self._read[id_] = outcome
        asyncio.get_running_loop().call_later(self._lifetime_s, self._read.pop, id_, None)
