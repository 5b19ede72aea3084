"""Sources of hosted services as their tests build them: with a clock and a sleep of their own."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from knowledge.interfaces import EVERYONE, ListedDocument, Source, SourceContext
from knowledge.settings import SourceSpec
from knowledge.sources.registry import SourceKind, read_options
from knowledge.web.http.settings import WebSettings
from tests.sources.building import memories


@dataclass
class World:
    """What a source is built with, and a record of its waits."""

    now: float = 1_800_000_000.0
    slept: list[float] = field(default_factory=list)
    kept: dict[str, bytes] = field(default_factory=dict)
    web: WebSettings = field(default_factory=WebSettings)

    async def sleep(self, seconds: float) -> None:
        """Record the wait, and advance the clock."""
        self.slept.append(seconds)
        self.now += seconds

    def build(
        self,
        kind: SourceKind,
        secrets: dict[str, str],
        *,
        readers: frozenset[str] = EVERYONE,
        folder: Path = Path("/nowhere"),
        **options: object,
    ) -> Source:
        spec = SourceSpec("wiki", "hosted", options, folder)
        context = SourceContext(
            name="wiki", base_dir=folder, state_dir=folder / "state", memory=memories(self.kept), readers=readers,
            secrets=secrets, now=lambda: self.now, sleep=self.sleep, web=self.web,
        )  # fmt: skip
        return kind.build(context, read_options(kind.options, spec))


async def listing(source: Source) -> dict[str, ListedDocument]:
    """Return the listed documents, each once."""
    found: dict[str, ListedDocument] = {}
    async for batch in source.list():
        for one in batch:
            assert one.document not in found
            found[one.document] = one
    return found


def seal_malformed_states(saved: bytes) -> Iterator[bytes]:
    """Yield a sealed state in forms that another version may have written, each with a right digest."""
    outer = json.loads(saved)
    state = json.loads(outer["held"]["data"])
    for key in state:
        for wrong in (None, "text", 3, [], {}, [3], {"x": 3}):
            data = json.dumps(state | {key: wrong})
            digest = hashlib.sha256(data.encode()).hexdigest()
            yield json.dumps({**outer, "held": {"data": data, "digest": digest}}).encode()
        data = json.dumps({other: value for other, value in state.items() if other != key})
        digest = hashlib.sha256(data.encode()).hexdigest()
        yield json.dumps({**outer, "held": {"data": data, "digest": digest}}).encode()
