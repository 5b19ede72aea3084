"""The two sides of ``make eval-answers``: Kvasir, and the plain recipe that a user would write instead."""

from __future__ import annotations

import hashlib
import json
import re
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import lancedb
import numpy as np

from bot.answering.answer import Answerer
from bot.answering.events import Finished, Notice, Passage, Question, Sources, Text
from engine.interfaces import (
    ANONYMOUS,
    ChatEngine,
    ChatMessage,
    ContentDelta,
    Delta,
    EngineStatus,
    Requester,
    Sampling,
    StreamEnd,
)
from knowledge.library import Library
from scripts.answer_scores import Item, Record
from scripts.answer_text import cited_numbers

PLAIN_PASSAGES = 5
PLAIN_TOKENS = 300
PLAIN_PROMPT = {
    "en": """Answer the question from the passages below.
Cite the passages that you use by their numbers, like [1].
If the passages do not answer the question, say "I don't know".
Be brief.

{passages}

Question: {question}""",
    "zh": """请根据下面的段落回答问题。
用编号注明你所用的段落，例如 [1]。
如果段落中没有答案，请说“我不知道”。
请简短回答。

{passages}

问题：{question}""",
}


class KeptLines:
    """Values by key on disk, one JSON line each; an incomplete last line is removed."""

    def __init__(self, path: Path, field: str) -> None:
        self._path, self._field = path, field
        path.parent.mkdir(parents=True, exist_ok=True)
        text = path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""
        whole = text[: text.rfind("\n") + 1]
        if whole != text:
            path.write_text(whole, encoding="utf-8")
        self._known: dict[str, Any] = {row["key"]: row[field] for row in map(json.loads, whole.split("\n")[:-1])}

    def read(self, key: str) -> Any:
        """Return the value of a key, None if there is none yet."""
        return self._known.get(key)

    def write(self, key: str, value: Any) -> None:
        """Write a value at once."""
        self._known[key] = value
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"key": key, self._field: value}, ensure_ascii=False) + "\n")


class Completions(KeptLines):
    """Completions of a model for each prompt at temperature 0, on disk."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, "text")

    @staticmethod
    def key_of(model: str | None, messages: Sequence[ChatMessage], sampling: Sampling) -> str:
        """Return what a completion depends on, as a hash."""
        contents = [(message.role, message.content) for message in messages]  # their repr leaves the content out
        return hashlib.sha256(repr((model, contents, sampling)).encode()).hexdigest()[:24]


class TeeEngine:
    """A ``ChatEngine`` that records the model's text at temperature 0, and passes on everything else.

    With ``completions`` no prompt is asked twice. The seconds of such an answer say nothing.
    """

    def __init__(self, engine: ChatEngine, *, small_model: bool, completions: Completions | None = None) -> None:
        self._engine = engine
        self._small_model = small_model
        self._completions = completions
        self.raw: dict[str, str] = {}
        self.prompts: dict[str, str] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)

    def status(self) -> EngineStatus:
        status = self._engine.status()
        return replace(status, small_model=status.small_model or self._small_model)

    async def stream(
        self, messages: Sequence[ChatMessage], sampling: Sampling, *, request_id: str, requester: Requester = ANONYMOUS
    ) -> AsyncIterator[Delta]:
        cold = replace(sampling, temperature=0.0, top_p=1.0)
        self.raw[request_id] = ""
        self.prompts[request_id] = "\n\n".join(message.content for message in messages)
        key = Completions.key_of(self.status().model, messages, cold)
        if self._completions is not None and (completion := self._completions.read(key)) is not None:
            self.raw[request_id] = completion
            yield ContentDelta(completion)
            yield StreamEnd("stop")
            return
        deltas: Any = self._engine.stream(messages, cold, request_id=request_id, requester=requester)
        async with aclosing(deltas) as stream:
            async for delta in stream:
                if isinstance(delta, ContentDelta):
                    self.raw[request_id] += delta.text
                elif isinstance(delta, StreamEnd) and self._completions is not None:
                    self._completions.write(key, self.raw[request_id])
                yield delta


async def ask_kvasir(answerer: Answerer, engine: TeeEngine, item: Item, name: str) -> Record:
    """Answer with the product."""
    looked_at: tuple[Passage, ...] = ()
    text, instead, notices, complete = "", "", [], False
    end: Finished | None = None
    async with aclosing(answerer.answer(Question(item.question, id=name, depth="off"))) as events:
        async for event in events:
            match event:
                case Sources(passages):
                    looked_at = passages
                case Text(markdown):
                    text, instead = (text, instead + markdown) if complete else (text + markdown, instead)
                case Notice(said):
                    notices.append(said)
                    complete = bool(text)  # a remark about an answer ends it: what follows is an extract
                case Finished():
                    end = event
    assert end is not None
    own = text if end.route not in {"passages", "unknown"} else ""
    return Record(
        id=item.id,
        side="kvasir",
        text=own,
        raw=engine.raw.get(name, ""),
        refused=end.route == "unknown",
        extract=end.route == "passages" or bool(instead),
        passages=_numbered(looked_at, end, own),
        marked=end.marked_count,
        removed=end.removed_count,
        first_s=end.timings.get("first_text"),
        total_s=end.timings["total"],
        notices=(*notices, instead or ("" if own else text)),
        prompt=engine.prompts.get(name, ""),
    )


def _numbered(looked_at: Sequence[Passage], end: Finished, text: str) -> tuple[tuple[int, str, str], ...]:
    """Return passages by the numbers that the text shows: those of ``cited`` in order, then the others."""
    numbers = cited_numbers(text)
    cited = [(passage.n, passage) for passage in end.cited]
    if not set(numbers) <= {number for number, _ in cited}:
        cited = list(zip(sorted(numbers), end.cited, strict=False))
    texts = {(passage.document, passage.text) for _, passage in cited}
    others = [(-passage.n, passage) for passage in looked_at if (passage.document, passage.text) not in texts]
    return tuple((number, passage.document, passage.text) for number, passage in (*cited, *others))


@dataclass(frozen=True, slots=True)
class Dense:
    """The chunks of a library's own store with their vectors."""

    documents: tuple[str, ...]
    texts: tuple[str, ...]
    vectors: Any

    @classmethod
    def read(cls, home: Path) -> Dense:
        """Read the newest table of the embedded store."""
        connection = lancedb.connect(str(home / "lancedb"))
        tables = [connection.open_table(name) for name in connection.table_names()]
        rows = max(tables, key=lambda table: table.count_rows()).to_arrow()
        vectors = np.stack(rows.column("vector").to_numpy(zero_copy_only=False))
        return cls(tuple(rows.column("document").to_pylist()), tuple(rows.column("text").to_pylist()), vectors)

    async def search(self, library: Library, question: str, limit: int) -> list[tuple[str, str]]:
        """Return documents and texts of the nearest chunks, best first."""
        vector = (await library.embed_symmetric([question]))[0]
        best = np.argsort(-(self.vectors @ vector))[:limit]
        return [(self.documents[place], self.texts[place]) for place in best]


async def ask_plain(dense: Dense, library: Library, engine: TeeEngine, item: Item, name: str) -> Record:
    """Answer with the plain recipe: dense top five, one prompt, no check, no threshold."""
    began = time.monotonic()
    found = await dense.search(library, item.question, PLAIN_PASSAGES)
    passages = tuple((number, document, text) for number, (document, text) in enumerate(found, 1))
    listing = "\n\n".join(f"[{number}] {text}" for number, _, text in passages)
    prompt = PLAIN_PROMPT[item.lang].format(passages=listing, question=item.question)
    first_s = None
    sampling = Sampling(max_tokens=PLAIN_TOKENS, thinking_tokens=0)
    async with aclosing(engine.stream([ChatMessage("user", prompt)], sampling, request_id=name)) as deltas:  # type: ignore[type-var]
        async for delta in deltas:
            if first_s is None and isinstance(delta, ContentDelta):
                first_s = time.monotonic() - began
    text = re.sub(r"(?s)^.*</think>", "", engine.raw[name]).strip()
    return Record(
        item.id, "plain", text, text, False, False, passages, 0, 0, first_s, time.monotonic() - began, prompt=prompt
    )


def record_json(record: Record) -> dict[str, Any]:
    """Return a record as JSON."""
    return {name: getattr(record, name) for name in record.__slots__}


def record_of(written: Mapping[str, Any]) -> Record:
    """Return the record of a JSON object."""
    passages = tuple((int(n), str(document), str(text)) for n, document, text in written["passages"])
    return Record(**{**written, "passages": passages, "notices": tuple(written["notices"])})
