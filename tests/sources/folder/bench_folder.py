"""A folder as the contract sees it."""

from __future__ import annotations

import shutil

from tests.sources.contract import Ability, Workbench


class FolderBench(Workbench):
    kind = "folder"
    cannot = frozenset({Ability.MIDWAY, Ability.MEMORY})
    # Root reads everything, so tests/sources/folder/test_folder.py has its own ways to fail midway.

    async def open(self) -> None:
        (self.folder / "root").mkdir()

    def options(self) -> dict[str, object]:
        return {"path": "root", "max_mb": 0.1}

    async def put(self, name: str, data: bytes) -> None:
        path = self.folder / "root" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)

    async def remove(self, name: str) -> None:
        (self.folder / "root" / name).unlink()

    async def break_down(self) -> None:
        shutil.rmtree(self.folder / "root")


BENCHES = (FolderBench,)
