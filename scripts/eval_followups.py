"""Measure how often the search for a follow-up question finds the right document.

``eval_data/multiturn.jsonl`` has conversations over the documentation of Apache APISIX, in English and Chinese. Each
has turns with an excerpt of each answer, the follow-up, the same question asked alone, and the documents that answer. A
fifth changes the subject, and earlier turns must not matter. Four ways to make a question searchable are compared. It
is unchanged, or changed by the rule of ``bot.answering.retrieval.follow_ups`` or by the engine of ``--engine URL``. The
fourth is the question as asked alone, which is the upper limit. The rule also counts where the engine is too slow or
its text is rejected. Then ``bot.answering.retrieval.passage_order`` merges the hits with the passages of the
conversation: the third figure says whether the right document is among these. Tune on the questions whose sha256(id) is
even; report the odd half and all.

    KVASIR_EVAL_DIR=… scripts/eval_followups.py [--engine URL --model NAME] [--misses] [--json]
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))

from bot.answering.events import Exchange
from bot.answering.retrieval.follow_ups import build_search_query, depends_on_history
from bot.answering.retrieval.passage_order import PlacedPassage, place_hits
from bot.answering.retrieval.question_rewriting import Rewriter
from engine.client.client import EngineClient, ServerEndpoint
from engine.interfaces import EngineState, EngineStatus
from knowledge.interfaces import Hit
from knowledge.stores.registry import STORES
from scripts.eval_retrieval import FixedEmbedder, IndexSearch, load_documentation, open_filled_store, provide_store
from scripts.eval_sets import embed_once, folder_or_exit, open_cached_embedder

DATA = Path(__file__).parent / "eval_data" / "multiturn.jsonl"
FIRST = 5
SHOWN = 8
"""The number of passages of a first question."""

Way = Callable[["Item"], Awaitable[str]]


@dataclass(frozen=True, slots=True)
class Item:
    """A conversation and its follow-up question."""

    id: str
    lang: str
    kind: str
    """The kind of follow-up: ``pronoun``, ``ellipsis``, ``about``, ``chain``, or ``topic`` for a new subject."""
    history: tuple[Exchange, ...]
    question: str
    standalone: str
    relevant: frozenset[str]
    """Paths of documents that answer, without the language."""

    @property
    def even(self) -> bool:
        """Whether the question may be used for tuning."""
        return int(hashlib.sha256(self.id.encode()).hexdigest(), 16) % 2 == 0


def load_items() -> list[Item]:
    """Return the conversations."""
    rows = [json.loads(line) for line in DATA.read_text(encoding="utf-8").splitlines()]
    return [
        Item(
            row["id"],
            row["lang"],
            row["kind"],
            tuple(Exchange(turn["q"], turn["a_excerpt"]) for turn in row["turns"]),
            row["question"],
            row["standalone"],
            frozenset(row["relevant"]),
        )
        for row in rows
    ]


class HttpEngine:
    """An engine at an address, with the part of ``ChatEngine`` that a rewrite needs."""

    context_tokens = 8192

    def __init__(self, client: EngineClient) -> None:
        self.stream = client.stream
        self._model = client.endpoint.model

    def status(self) -> EngineStatus:
        """Return that the engine is ready."""
        return EngineStatus(EngineState.READY, model=self._model)

    def count_tokens(self, text: str) -> int:
        """Return a rough number of tokens."""
        return len(text.encode()) // 3


async def _as_it_stands(item: Item) -> str:
    return item.question


async def _by_rule(item: Item) -> str:
    return build_search_query(item.question, item.history)


async def _alone(item: Item) -> str:
    return item.standalone


def make_ways(client: EngineClient | None) -> dict[str, Way]:
    """Return the ways to make a question searchable by their names."""
    named: dict[str, Way] = {"as it stands": _as_it_stands, "rule": _by_rule}
    if client is not None:
        rewriter = Rewriter(HttpEngine(client))

        async def by_engine(item: Item) -> str:
            return await rewriter.rewrite_question(item.question, item.history) or await _by_rule(item)

        named["engine"] = by_engine
    return {**named, "asked alone": _alone}


async def ask_all(kind: str, folder: Path, scratch: Path, client: EngineClient | None) -> dict[str, Any]:
    """Ask all questions in all ways; return the queries, hits and seconds of each way."""
    embedder = await open_cached_embedder()
    items = load_items()
    try:
        chunks = await load_documentation(folder / "apisix-docs", embedder.count_tokens)
        vectors = await embed_once(embedder, [one.searchable_text for one in chunks], questions=False, scratch=scratch)
        result: dict[str, Any] = {}
        with tempfile.TemporaryDirectory() as store_folder:
            async with open_filled_store(kind, chunks, vectors, Path(store_folder)) as store:
                for name, way in make_ways(client).items():
                    start_s = time.perf_counter()
                    queries = [await way(item) for item in items]
                    seconds = time.perf_counter() - start_s
                    earlier = [query for item in items for _, query in _before(item)]
                    fixed = FixedEmbedder(
                        embedder, [*queries, *earlier], await embedder.embed_symmetric([*queries, *earlier])
                    )
                    search = IndexSearch(store, fixed, "apisix")
                    found = [await search.hits(query) for query in queries]
                    in_prompt = [
                        await find_prompt_passages(search, item, hits) for item, hits in zip(items, found, strict=True)
                    ]
                    result[name] = {"queries": queries, "found": found, "shown": in_prompt, "seconds": seconds}
        return result
    finally:
        await embedder.close()


def _before(item: Item) -> list[tuple[str, str]]:
    """Return the earlier questions with their queries."""
    history = item.history
    return [(one.question, build_search_query(one.question, history[:n])) for n, one in enumerate(history)]


async def find_prompt_passages(search: IndexSearch, item: Item, hits: Sequence[Hit]) -> list[Hit]:
    """Return the passages in the prompt of the last question: earlier ones and new ones."""
    in_prompt: list[PlacedPassage] = []
    for question, found in [
        *[(text, await search.hits(query)) for text, query in _before(item)],
        (item.question, hits),
    ]:
        still = {chunk for one in in_prompt for chunk in one.chunks}
        in_prompt = place_hits(found[:SHOWN], in_prompt, still, SHOWN, is_follow_up=depends_on_history(question))
    return [one.hit for one in in_prompt]


def is_found(item: Item, hits: Sequence[Hit], first: int = FIRST) -> bool:
    """Return whether one of the first passages is from a document that answers."""
    return any(hit.document.partition("/latest/")[2] in item.relevant for hit in hits[:first])


def compute_figures(
    items: Sequence[Item], found: Sequence[Sequence[Hit]], in_prompt: Sequence[Sequence[Hit]]
) -> dict[str, dict[str, float]]:
    """Return hit@1, hit@5 and hits in the prompt in percent, by half, language and kind."""
    groups: dict[str, Callable[[Item], bool]] = {
        "whole": lambda _: True,
        "even": lambda item: item.even,
        "odd": lambda item: not item.even,
        **{lang: lambda item, lang=lang: item.lang == lang for lang in ("en", "zh")},  # type: ignore[misc]
        **{kind: lambda item, kind=kind: item.kind == kind for kind in sorted({item.kind for item in items})},  # type: ignore[misc]
    }
    return {
        name: _share([one for one in zip(items, found, in_prompt, strict=True) if belongs(one[0])])
        for name, belongs in groups.items()
    }


def _share(part: Sequence[tuple[Item, Sequence[Hit], Sequence[Hit]]]) -> dict[str, float]:
    count = len(part) or 1
    return {
        "questions": len(part),
        "hit@1": round(100 * sum(is_found(item, hits, 1) for item, hits, _ in part) / count, 1),
        "hit@5": round(100 * sum(is_found(item, hits) for item, hits, _ in part) / count, 1),
        "shown": round(100 * sum(is_found(item, in_prompt, len(in_prompt)) for item, _, in_prompt in part) / count, 1),
    }


def count_rule_errors(items: Sequence[Item]) -> dict[str, int]:
    """Count the rule's errors: new subjects taken for follow-ups, and the reverse."""
    return {
        "new subjects taken for follow-ups": sum(
            depends_on_history(item.question) for item in items if item.kind == "topic"
        ),
        "follow-ups taken for new subjects": sum(
            not depends_on_history(item.question) for item in items if item.kind != "topic"
        ),
    }


def print_table(result: Mapping[str, Mapping[str, Mapping[str, float]]], mistaken: Mapping[str, int]) -> None:
    """Print a table for a person."""
    parts = list(next(iter(result.values())))
    print(f"{'@1/@5/shown':14}" + "".join(f"{part:>15}" for part in parts))
    for name, measures in result.items():
        figures = (f"{one['hit@1']:6.0f}/{one['hit@5']:.0f}/{one['shown']:.1f}" for one in measures.values())
        print(f"{name:14}" + "".join(f"{figure:>15}" for figure in figures))
    counts = next(iter(result.values())).values()
    print(f"{'questions':14}" + "".join(f"{one['questions']:15.0f}" for one in counts))
    print("; ".join(f"{name}: {count}" for name, count in mistaken.items()))


def show_misses(items: Sequence[Item], outcome: Mapping[str, Any]) -> None:
    """Print the queries without a hit, if the question asked alone has one."""
    for name, one in outcome.items():
        for n, item in enumerate(items):
            if not is_found(item, one["found"][n]):
                where = ", ".join(hit.document for hit in one["found"][n][:3])
                print(f"{name}: {item.id} {one['queries'][n]}\n   {where}", file=sys.stderr)


async def run_evaluation(options: argparse.Namespace) -> dict[str, Any]:
    """Ask in all ways and print the figures."""
    async with AsyncExitStack() as stack:
        client = None
        if options.engine:
            client = EngineClient(ServerEndpoint(options.engine, model=options.model, thinks=options.thinks))
            stack.push_async_callback(client.close)
        return await ask_all(options.store, folder_or_exit(), options.scratch, client)


def main() -> None:
    """Measure and print; the exit status is 2 without the documents."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--store", choices=list(STORES), default="lancedb")
    parser.add_argument("--scratch", type=Path, default=Path(tempfile.gettempdir()) / "kvasir-eval")
    parser.add_argument("--engine", help="the address of an SGLang server")
    parser.add_argument("--model", default="default")
    parser.add_argument("--thinks", action="store_true", help="the engine's model thinks before it answers")
    parser.add_argument("--misses", action="store_true", help="name the questions whose document was not found")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args()
    with provide_store(options.store):
        outcome, items = asyncio.run(run_evaluation(options)), load_items()
    result = {name: compute_figures(items, one["found"], one["shown"]) for name, one in outcome.items()}
    if options.json:
        print(json.dumps({"ways": result, "rule": count_rule_errors(items)}))
    else:
        print_table(result, count_rule_errors(items))
    if options.misses:
        show_misses(items, outcome)


if __name__ == "__main__":
    main()
