"""The source of docs/adding-a-source.md as the contract sees it: the page's own code."""

from __future__ import annotations

import functools
import importlib.util
import re
import tempfile
import zipfile
from pathlib import Path

from knowledge.interfaces import EVERYONE, Source
from knowledge.sources.registry import SourceKind
from tests.sources.building import build
from tests.sources.contract import Ability, Workbench

PAGE = Path(__file__).parents[2] / "docs" / "adding-a-source.md"


def block(language: str) -> str:
    """Return the page's block in a language."""
    found = re.findall(rf"^```{language}\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    assert len(found) == 1
    return str(found[0])


@functools.cache
def page_kind() -> SourceKind:
    """Run the page's code, and return the kind that it defines."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "page_source.py"
        path.write_text(block("python"), encoding="utf-8")
        spec = importlib.util.spec_from_file_location("page_source", path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    assert isinstance(module.KIND, SourceKind)
    return module.KIND


class ZipBench(Workbench):
    kind = "zip"
    cannot = frozenset({Ability.MIDWAY, Ability.LINK, Ability.RIGHTS, Ability.MEMORY})

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.documents: dict[str, bytes] = {}

    async def open(self) -> None:
        self._write()

    def options(self) -> dict[str, object]:
        return {"path": "export.zip", "max_mb": 0.1}

    def source(
        self, name: str = "bench", *, readers: frozenset[str] = EVERYONE, kept: dict[str, bytes] | None = None
    ) -> Source:
        kinds = {"zip": page_kind()}
        return build("zip", self.folder, name=name, readers=readers, kept=kept, others=kinds, **self.options())

    async def put(self, name: str, data: bytes) -> None:
        self.documents[name] = data
        self._write()

    async def remove(self, name: str) -> None:
        del self.documents[name]
        self._write()

    async def break_down(self) -> None:
        (self.folder / "export.zip").write_bytes(b"half an export")

    def _write(self) -> None:
        with zipfile.ZipFile(self.folder / "export.zip", "w", zipfile.ZIP_DEFLATED) as archive:
            for name, data in self.documents.items():
                archive.writestr(name, data)


BENCHES = (ZipBench,)
