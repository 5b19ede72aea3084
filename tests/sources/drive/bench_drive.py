"""Google Drive as the contract sees it: a file for each document, under one folder or in one shared drive."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

from tests.sources.contract import Workbench
from tests.sources.drive.fake_drive import FakeDrive
from tests.sources.hosted.fake_service import Fault


class DriveBench(Workbench):
    """A folder, with one below it."""

    kind = "drive"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.fake = FakeDrive()
        self.fake.most = 5
        self.put_as: dict[str, str] = {}
        self.named: dict[str, str] = {}
        self.drive: str | None = None

    async def open(self) -> None:
        await self.fake.start()
        # The key holds the address of the fake, which is known now.
        self.secrets = {"credentials": self.fake.credentials()}  # type: ignore[misc]
        self.root = self.fake.folder("root")
        self.below = self.fake.folder("below", self.root)

    async def close(self) -> None:
        await self.fake.stop()

    def options(self) -> dict[str, object]:
        return {
            "credentials_env": "DRIVE_KEY", "rights": "ignore", "folders": [self.root], "url": self.fake.url,
            "max_mb": 0.1,
        }  # fmt: skip

    async def put(self, name: str, data: bytes) -> None:
        if name in self.put_as:
            self.fake.write(self.put_as[name], data)
        else:
            parent = self.below if len(self.put_as) % 2 else self.root
            identifier = self.fake.file(name, data, parent, drive=self.drive)
            self.put_as[name] = self.named[name] = identifier

    async def remove(self, name: str) -> None:
        self.fake.trash(self.put_as.pop(name))

    async def break_down(self) -> None:
        self.fake.key_works = False
        self.fake.tokens.clear()

    async def break_midway(self) -> None:
        self.fake.faults.append(Fault("pageToken=t5", status=404))

    def document(self, name: str) -> str:
        return self.named[name] + PurePosixPath(name.replace("/", "_")).suffix


class SharedDriveBench(DriveBench):
    """A shared drive."""

    async def open(self) -> None:
        await self.fake.start()
        # The key holds the address of the fake, which is known now.
        self.secrets = {"credentials": self.fake.credentials()}  # type: ignore[misc]
        self.drive = self.fake.shared_drive("0drive")
        self.root = self.below = None  # type: ignore[assignment]

    def options(self) -> dict[str, object]:
        options = super().options()
        del options["folders"]
        return {**options, "drives": [self.drive]}


BENCHES = (DriveBench, SharedDriveBench)
