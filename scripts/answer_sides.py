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
from bot.answering.asker import Asker
from bot.answering.events import Finished, Notice, Passage, Question, Sources, Text
from engine.interfaces import (
    ANONYMOUS,
    ChatMessage,
    ContentDelta,
    Delta,
    EngineStatus,
    Requester,
    Sampling,
    StreamEnd,
    StreamRestart,
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
    """Completions of a model for each prompt at temperature 0, and its probabilities of options, on disk."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, "text")

    @staticmethod
    def key_of(model: str | None, messages: Sequence[ChatMessage], asked: Sampling | tuple[str, ...]) -> str:
        """Return what a completion, or the probabilities of options, depend on, as a hash."""
        contents = [(message.role, message.content) for message in messages]  # their repr leaves the content out
        return hashlib.sha256(repr((model, contents, asked)).encode()).hexdigest()[:24]

    def read_completion(self, key: str) -> tuple[str, str] | None:
        """Return a completion and why it ended, None if there is none yet."""
        found = self.read(key)
        return (found, "stop") if isinstance(found, str) else None if found is None else (found[0], found[1])

    def write_completion(self, key: str, text: str, finish_reason: str) -> None:
        """Write a completion; one that was aborted is asked again."""
        if finish_reason != "abort":
            self.write(key, text if finish_reason == "stop" else [text, finish_reason])


class TeeEngine:
    """A ``ChatEngine`` that records the model's text at temperature 0, and passes on everything else.

    With ``completions`` no prompt is asked twice, and no judgement either. The seconds of such an answer say nothing.
    """

    def __init__(self, engine: Any, *, small_model: bool, completions: Completions | None = None) -> None:
        self._engine = engine
        self._small_model = small_model
        self._completions = completions
        self.raw: dict[str, str] = {}
        self.prompts: dict[str, str] = {}
        self.replayed: set[str] = set()
        """The requests whose completions were recorded before."""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)

    def status(self) -> EngineStatus:
        status: EngineStatus = self._engine.status()
        return replace(status, small_model=status.small_model or self._small_model)

    async def stream(
        self, messages: Sequence[ChatMessage], sampling: Sampling, *, request_id: str, requester: Requester = ANONYMOUS
    ) -> AsyncIterator[Delta]:
        cold = replace(sampling, temperature=0.0, top_p=1.0)
        self.raw[request_id] = ""
        self.prompts[request_id] = "\n\n".join(message.content for message in messages)
        key = Completions.key_of(self.status().model, messages, cold)
        if self._completions is not None and (completion := self._completions.read_completion(key)) is not None:
            self.replayed.add(request_id)
            self.raw[request_id], finish_reason = completion
            yield ContentDelta(completion[0])
            yield StreamEnd("length" if finish_reason == "length" else "stop")
            return
        deltas: Any = self._engine.stream(messages, cold, request_id=request_id, requester=requester)
        async with aclosing(deltas) as stream:
            async for delta in stream:
                if isinstance(delta, ContentDelta):
                    self.raw[request_id] += delta.text
                elif isinstance(delta, StreamRestart):
                    self.raw[request_id] = ""
                elif isinstance(delta, StreamEnd) and self._completions is not None:
                    self._completions.write_completion(key, self.raw[request_id], delta.finish_reason)
                yield delta

    async def score_options(
        self, messages: Sequence[ChatMessage], options: Sequence[str], **rest: Any
    ) -> tuple[float, ...]:
        """Return the probability of each option; a reply that was late is asked for again."""
        key = Completions.key_of(self.status().model, messages, tuple(options))
        if self._completions is not None and (found := self._completions.read(key)) is not None:
            return tuple(found)
        scores: tuple[float, ...] = await self._engine.score_options(messages, options, **rest)
        if self._completions is not None:
            self._completions.write(key, list(scores))
        return scores


_WITHOUT_MODEL = frozenset({"closest", "passages", "unknown"})
"""The routes of answers that show no words of the model, or only marked ones."""


async def ask_kvasir(answerer: Answerer, engine: TeeEngine, item: Item, name: str) -> Record:
    """Answer with the product."""
    looked_at: tuple[Passage, ...] = ()
    text, extracts, notices = "", "", []
    end: Finished | None = None
    async with aclosing(answerer.answer(Question(item.question, id=name, asker=Asker(depth="off")))) as events:
        async for event in events:
            match event:
                case Sources(passages):
                    looked_at = passages
                case Text(markdown, is_extract=is_extract):
                    text, extracts = (text, extracts + markdown) if is_extract else (text + markdown, extracts)
                case Notice(said):
                    notices.append(said)
                case Finished():
                    end = event
    assert end is not None
    own = "" if end.route in _WITHOUT_MODEL else text
    return Record(
        id=item.id,
        side="kvasir",
        text=own,
        raw=engine.raw.get(name, ""),
        refused=end.route == "unknown",
        extract=bool(extracts),
        passages=_numbered(looked_at, end, own),
        marked=end.marked_count,
        removed=end.removed_count,
        first_s=end.timings.get("first_text"),
        total_s=end.timings["total"],
        notices=(*notices, *([] if own else [text])),
        prompt=engine.prompts.get(name, ""),
        extracts=extracts,
        retrieved=tuple((passage.document, passage.text) for passage in looked_at),
        replayed=name in engine.replayed,
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
        vector = (await library.embedder.embed_symmetric([question]))[0]
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
        item.id,
        "plain",
        text,
        text,
        refused=False,
        extract=False,
        passages=passages,
        first_s=first_s,
        total_s=time.monotonic() - began,
        prompt=prompt,
        replayed=name in engine.replayed,
    )


async def complete_prompt(engine: TeeEngine, prompt: str, tokens: int, name: str) -> str:
    """Return what the model writes for one prompt."""
    deltas: Any = engine.stream([ChatMessage("user", prompt)], Sampling(max_tokens=tokens), request_id=name)
    async with aclosing(deltas) as stream:
        async for _ in stream:
            pass
    return engine.raw[name]


def record_json(record: Record) -> dict[str, Any]:
    """Return a record as JSON."""
    return {name: getattr(record, name) for name in record.__slots__}


def record_of(written: Mapping[str, Any]) -> Record:
    """Return the record of a JSON object."""
    passages = tuple((int(n), str(document), str(text)) for n, document, text in written["passages"])
    retrieved = tuple((str(document), str(text)) for document, text in written.get("retrieved", ()))
    notices = tuple(written["notices"])
    return Record(**{**written, "passages": passages, "notices": notices, "retrieved": retrieved})
