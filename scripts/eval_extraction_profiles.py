"""Compare extraction by the shipped profiles with a plain prompt to the same model over the same passages.

``contracts`` scores clauses as CUAD does: a value is right if it shares half of its words with a marked clause.
``records`` scores entities of Chinese records strictly: type, beginning and end. Contracts 000 to 069 tuned the rules.
Records 1 to 150 are the dictionary of the side ``dictionary``: the longest label wins, with its most frequent type. The
words of the profile come from elsewhere. Each reply of the model is written at once, so that an interrupted
run continues. The engine is that of KVASIR_ENGINE_URL, else the one of KVASIR_HOME.

    scripts/eval_extraction_profiles.py --contracts FOLDER --records FOLDER [--limit 10]

The folder of contracts has ``clauses.csv`` of CUAD and ``txt``. That of records is ``data_origin`` of CCKS 2017, which
must not be committed. A task without its folder is left out.
"""

from __future__ import annotations

import argparse
import asyncio
import csv
import hashlib
import os
import re
import sys
import tempfile
from ast import literal_eval
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from bot import logs
from bot.app import create_engine
from bot.config.settings import load_settings
from bot.library_opening import open_configured_library
from bot.profiles.document_reader import ReadDocument, read_document
from bot.profiles.extraction.extractor import Extractor
from bot.profiles.extraction.profile import ExtractionProfile
from bot.profiles.registry import Profiles
from engine.interfaces import ChatMessage, ContentDelta, EngineState, Sampling
from engine.service import Engine
from knowledge.library import Library
from scripts.answer_sides import KeptLines

CLAUSES = {
    "parties": "Parties",
    "agreement_date": "Agreement Date",
    "effective_date": "Effective Date",
    "expiration_date": "Expiration Date",
    "governing_law": "Governing Law",
    "renewal_term": "Renewal Term",
    "notice_to_end_renewal": "Notice Period To Terminate Renewal",
    "termination_for_convenience": "Termination For Convenience",
    "liability_cap": "Cap On Liability",
    "anti_assignment": "Anti-Assignment",
}
"""The fields of the profile, and the columns of the marked clauses."""
ENTITIES = {
    "findings": "症状和体征",
    "body_parts": "身体部位",
    "diagnoses": "疾病和诊断",
    "examinations": "检查和检验",
    "treatments": "治疗",
}
"""The fields of the profile, and the types of the marked entities."""
HELD_OUT_CONTRACTS = 70
HELD_OUT_RECORDS = 151
PLAIN_PASSAGES = 3
PLAIN_TOKENS = 160
PLAIN_CLAUSE = """Below are passages of a contract.

{passages}

{question}
Copy the exact text that answers it from the passages, one clause a line.
If the passages do not state it, write: None"""
PLAIN_ENTITIES = """请从下面的病历中抽取实体。类型有：{types}。
每行一个实体，格式为“类型：实体”，实体逐字摘自病历。

{text}"""
_ENGINE_S = 1_800.0


@dataclass
class Counts:
    """Values of one field: right ones, wrong ones and missing ones."""

    right: int = 0
    wrong: int = 0
    missing: int = 0

    @property
    def f1(self) -> float:
        """Return the F1, 0 without any value."""
        return 2 * self.right / max(1, 2 * self.right + self.wrong + self.missing)


@dataclass
class Sides:
    """The counts of both sides, by field."""

    counts: dict[str, dict[str, Counts]] = field(default_factory=dict)

    def add(self, side: str, name: str, right: int, wrong: int, missing: int) -> None:
        """Add the values of a field of one document."""
        count = self.counts.setdefault(side, {}).setdefault(name, Counts())
        count.right, count.wrong, count.missing = count.right + right, count.wrong + wrong, count.missing + missing

    def show(self, title: str) -> None:
        """Print a table of F1 by field, and of all values together."""
        print(f"\n{title:32}" + "".join(f"{side:>24}" for side in self.counts))
        for name in next(iter(self.counts.values())):
            cells = [_format_cell(of_side.get(name, Counts())) for of_side in self.counts.values()]
            print(f"  {name:30}" + "".join(cells))
        totals = [_sum_counts(of_side.values()) for of_side in self.counts.values()]
        print(f"  {'all values':30}" + "".join(map(_format_cell, totals)))
        means = [sum(one.f1 for one in of_side.values()) / len(of_side) for of_side in self.counts.values()]
        print(f"  {'mean of the fields':30}" + "".join(f"{100 * one:>24.1f}" for one in means))


def _format_cell(count: Counts) -> str:
    return f"{100 * count.f1:>10.1f} ({count.right:>4}+{count.wrong:>3}-{count.missing:>3})"


def _sum_counts(counts: Iterable[Counts]) -> Counts:
    total = Counts()
    for one in counts:
        total = Counts(total.right + one.right, total.wrong + one.wrong, total.missing + one.missing)
    return total


def share_words(one: str, other: str) -> float:
    """Return the Jaccard similarity of the words of two texts, as CUAD computes it."""
    mine, theirs = (set(re.sub(r"[^\w\s]", " ", text.lower()).split()) for text in (one, other))
    return len(mine & theirs) / len(mine | theirs) if mine | theirs else 0.0


def count_clauses(marked: Sequence[str], found: Sequence[str]) -> tuple[int, int, int]:
    """Return how many marked clauses were found, values that are none, and clauses that are missing."""
    marked = [one.replace("<omitted>", " ") for one in marked]
    right = sum(any(share_words(one, value) >= 0.5 for value in found) for one in marked)
    wrong = sum(not any(share_words(one, value) >= 0.5 for one in marked) for value in found)
    return right, wrong, len(marked) - right


class Plain:
    """The plain prompt; replies are kept on disk."""

    def __init__(self, engine: Engine, path: Path, at_once: int) -> None:
        self._engine = engine
        self._kept = KeptLines(path, "text")
        self._places = asyncio.Semaphore(at_once)

    async def ask(self, prompt: str) -> str:
        """Return the reply to a prompt, at temperature 0."""
        model = self._engine.status().model
        key = hashlib.sha256(repr((model, prompt, PLAIN_TOKENS)).encode()).hexdigest()[:24]
        if (kept := self._kept.read(key)) is not None:
            return str(kept)
        async with self._places:
            sampling = Sampling(temperature=0.0, top_p=1.0, max_tokens=PLAIN_TOKENS, thinking_tokens=0)
            async with aclosing(
                self._engine.stream([ChatMessage("user", prompt)], sampling, request_id="plain")
            ) as deltas:
                text = "".join([one.text async for one in deltas if isinstance(one, ContentDelta)])
        self._kept.write(key, text)
        print(".", end="", file=sys.stderr, flush=True)
        return text


Tools = tuple[Extractor, Plain | None]


def read_lines(reply: str) -> list[str]:
    """Return the values of a plain reply, one a line, without marks of a list."""
    lines = [re.sub(r"^(?:[-*•]|\d{1,2}[.)])\s+", "", line.strip()).strip("\"'“” ") for line in reply.splitlines()]
    return [line for line in dict.fromkeys(lines) if line and line.lower().strip(". ") != "none"]


async def score_contract(
    sides: Sides,
    profile: ExtractionProfile,
    document: ReadDocument,
    row: Mapping[str, str],
    tools: Tools,
) -> None:
    """Add the counts of one contract."""
    extractor, plain = tools
    extraction = await extractor.extract(profile, document)
    for one in profile.fields:
        marked = literal_eval(row[CLAUSES[one.name]] or "[]")
        found = [value.text for value in extraction.list_values(one.name)]
        if plain is not None:
            passages = await document.find_passages(one.question["en"], PLAIN_PASSAGES)
            listing = "\n\n".join(f"[{passage.n}] {passage.text}" for passage in passages)
            reply = await plain.ask(PLAIN_CLAUSE.format(passages=listing, question=one.question["en"]))
            sides.add("plain", one.name, *count_clauses(marked, read_lines(reply)))
        sides.add("kvasir", one.name, *count_clauses(marked, found))


def read_entities(path: Path) -> Counter[tuple[str, int, int]]:
    """Return the marked entities of a record: type, beginning, end."""
    rows = [line.split("\t") for line in path.read_text(encoding="utf-8").splitlines() if line.count("\t") >= 3]
    return Counter((kind.strip(), int(start), int(end) + 1) for _, start, end, kind, *_ in rows)


def count_entities(
    marked: Counter[tuple[str, int, int]], found: Counter[tuple[str, int, int]], kind: str
) -> tuple[int, int, int]:
    """Return the right, wrong and missing entities of one type."""
    mine, theirs = ({one for one in entities if one[0] == kind} for entities in (found, marked))
    return len(mine & theirs), len(mine - theirs), len(theirs - mine)


def locate_all(text: str, reply: str) -> Counter[tuple[str, int, int]]:
    """Return the entities of a plain reply at each place where the text has them.

    A part of a type's name counts as the type, and a line may have several entities: small models write so.
    """
    found: Counter[tuple[str, int, int]] = Counter()
    for line in reply.splitlines():
        typed, _, values = line.strip("-*• ").replace(":", "：").partition("：")
        kind = next((one for one in ENTITIES.values() if len(typed.strip()) > 1 and typed.strip() in one), None)
        for value in filter(None, re.split(r"[、，,；;。\s]+", values) if kind else ()):
            found.update((str(kind), place.start(), place.end()) for place in re.finditer(re.escape(value), text))
    return found


def read_record(path: Path) -> str:
    """Return the text of a record."""
    return path.with_name(f"{path.name}original.txt").read_text(encoding="utf-8")


def build_dictionary(paths: Iterable[Path]) -> dict[str, str]:
    """Return the most frequent type of each label of the records, the longest label first."""
    types: dict[str, Counter[str]] = {}
    for path in paths:
        text = read_record(path)
        for kind, start, end in read_entities(path):
            types.setdefault(text[start:end], Counter())[kind] += 1
    return {label: types[label].most_common(1)[0][0] for label in sorted(types, key=len, reverse=True) if label}


async def score_record(
    sides: Sides,
    profile: ExtractionProfile,
    library: Library,
    path: Path,
    tools: Tools,
    dictionary: Mapping[str, str],
) -> None:
    """Add the counts of one record."""
    extractor, plain = tools
    text = read_record(path)
    document = await read_document(library, "record.txt", text.encode())
    extraction = await extractor.extract(profile, document)
    offsets = _find_offsets(text, document.texts)
    found = Counter(
        (ENTITIES[one.field], offsets[one.passage.n - 1] + one.span.start, offsets[one.passage.n - 1] + one.span.end)
        for one in extraction.values
        if one.field in ENTITIES
    )
    marked = read_entities(path)
    reply = await plain.ask(PLAIN_ENTITIES.format(types="、".join(ENTITIES.values()), text=text)) if plain else ""
    labels = re.finditer("|".join(map(re.escape, dictionary)) or r"(?!)", text)
    looked_up = Counter((dictionary[one[0]], *one.span()) for one in labels)
    for name, kind in ENTITIES.items():
        if dictionary:
            sides.add("dictionary", name, *count_entities(marked, looked_up, kind))
        if plain is not None:
            sides.add("plain", name, *count_entities(marked, locate_all(text, reply), kind))
        sides.add("kvasir", name, *count_entities(marked, found, kind))


def _find_offsets(text: str, passages: Sequence[str]) -> list[int]:
    """Return where each passage begins in the text."""
    offsets, place = [], 0
    for one in passages:
        place = max(text.find(one, place), 0)
        offsets.append(place)
    return offsets


def list_records(folder: Path, first: int, last: int) -> list[Path]:
    """Return the files of marked entities with numbers from ``first`` to ``last``, of each kind of section."""
    paths = [path for path in folder.glob("*/*-*.txt") if "original" not in path.name]
    numbered = sorted((path.parent.name, int(path.stem.rpartition("-")[2]), path) for path in paths)
    return [path for _, number, path in numbered if first <= number <= last]


async def main(arguments: argparse.Namespace) -> None:
    """Score the chosen tasks."""
    home = Path(os.environ.get("KVASIR_HOME") or arguments.scratch / "home")
    (home / "documents").mkdir(parents=True, exist_ok=True)
    (home / "kvasir.toml").write_text(
        '[[source]]\nname = "documents"\nkind = "folder"\npath = "documents"\n[web]\nmode = "off"\n', encoding="utf-8"
    )
    settings = load_settings({**os.environ, "KVASIR_HOME": str(home)}, home)
    async with AsyncExitStack() as stack:
        engine = create_engine(settings)
        stack.push_async_callback(engine.stop)
        await engine.start()
        library = await stack.enter_async_context(open_configured_library(settings))
        plain = None
        if "plain" in arguments.sides:
            if (await engine.wait_until_ready(_ENGINE_S)).state is not EngineState.READY:
                sys.exit(f"The engine is not ready: {engine.status().detail}")
            plain = Plain(engine, arguments.scratch / "plain.jsonl", arguments.concurrency)
        tools = Extractor(engine), plain
        if arguments.contracts:
            await run_contracts(arguments, library, tools)
        if arguments.records:
            await run_records(arguments, library, tools)


async def run_contracts(arguments: argparse.Namespace, library: Library, tools: Tools) -> None:
    """Score contracts and print the table."""
    sides, turn = Sides(), asyncio.Semaphore(arguments.concurrency)
    profile = Profiles(None).load_profile("contract")
    with (arguments.contracts / "clauses.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    rows = rows[:HELD_OUT_CONTRACTS] if arguments.tuning else rows[HELD_OUT_CONTRACTS:]

    texts = arguments.contracts / "txt"
    if arguments.longest:
        rows = [row for row in rows if (texts / row["Filename"]).stat().st_size <= arguments.longest]

    async def run_contract(row: Mapping[str, str]) -> None:
        async with turn:
            document = await read_document(library, row["Filename"], (texts / row["Filename"]).read_bytes())
            await score_contract(sides, profile, document, row, tools)

    chosen = rows[:: _step(rows, arguments.limit)]
    await asyncio.gather(*map(run_contract, chosen))
    sides.show(f"contracts, {len(chosen)} documents")


async def run_records(arguments: argparse.Namespace, library: Library, tools: Tools) -> None:
    """Score records and print the table."""
    sides, turn = Sides(), asyncio.Semaphore(arguments.concurrency)
    profile = Profiles(None).load_profile("medical-record")
    bounds = (1, HELD_OUT_RECORDS - 1) if arguments.tuning else (HELD_OUT_RECORDS, 10_000)
    paths = list_records(arguments.records, *bounds)

    tuning = list_records(arguments.records, 1, HELD_OUT_RECORDS - 1)
    dictionary = build_dictionary(tuning) if "dictionary" in arguments.sides else {}

    async def run_record(path: Path) -> None:
        async with turn:
            await score_record(sides, profile, library, path, tools, dictionary)

    chosen = paths[:: _step(paths, arguments.limit)]
    await asyncio.gather(*map(run_record, chosen))
    sides.show(f"records, {len(chosen)} documents")


def _step(items: Sequence[object], limit: int | None) -> int:
    return max(1, len(items) // limit) if limit else 1


if __name__ == "__main__":
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--contracts", type=Path, help="a folder with clauses.csv and txt")
    options.add_argument("--records", type=Path, help="the folder data_origin")
    options.add_argument("--sides", type=lambda given: given.split(","), default=["kvasir", "plain", "dictionary"])
    options.add_argument("--limit", type=int, help="about so many documents of each task, evenly spread")
    options.add_argument("--longest", type=int, help="leave out contracts of more bytes, to save time")
    options.add_argument("--tuning", action="store_true", help="the documents on which the profiles were tuned")
    options.add_argument("--concurrency", type=int, default=8)
    options.add_argument("--scratch", type=Path, default=Path(tempfile.gettempdir()) / "kvasir-eval-profiles")
    logs.configure_logging(sys.stderr, level=logs.WARNING)
    asyncio.run(main(options.parse_args()))
