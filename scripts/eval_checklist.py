"""Compare checks of contracts with a plain prompt to the same model over the same passages, on ContractNLI.

Figures of each side, over all statements about all contracts:

    label     the share of right labels: entailed, contradicted, not mentioned
    span F1   of the marked spans: one is found if half of it, or half of a cited clause, lies in the other

``--data`` is ``dev.json`` or ``test.json`` of github.com/stanfordnlp/contract-nli-bert. The rules of the profile were
tuned on ``dev.json`` alone. ``--learn`` names another file of it, for the baseline: it answers each statement with the
label that is most frequent there, and marks no span. Without ``--engine`` only rules answer. A small model is asked
only where a statement has no rules; ``--ask-all`` asks it about all. The model's replies are written at once, so that
an interrupted run continues.

    scripts/eval_checklist.py --data test.json --learn dev.json [--most 20] [--engine URL]
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import os
import re
import sys
import tempfile
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))

from bot import logs
from bot.answering.events import Passage
from bot.app import create_engine
from bot.config.settings import load_settings
from bot.library_opening import open_configured_library
from bot.profiles.checklist.profile import Checklist, Statement, read_checklist
from bot.profiles.checklist.reviewer import Reviewer
from bot.profiles.document_reader import ReadDocument, read_document
from bot.profiles.registry import Profiles
from bot.profiles.spans import FoldedText, Span, find_value, split_clauses
from engine.interfaces import EngineState, EngineStatus
from engine.service import Engine
from scripts.answer_sides import Completions, TeeEngine, complete_prompt

PROFILE = "nda-checklist"
STATEMENTS = {
    "identified_as_confidential": "nda-1",
    "technical_information_only": "nda-2",
    "spoken_information": "nda-3",
    "limited_use": "nda-4",
    "sharing_with_employees": "nda-5",
    "sharing_with_advisers": "nda-7",
    "notice_of_compelled_disclosure": "nda-8",
    "agreement_is_confidential": "nda-10",
    "no_reverse_engineering": "nda-11",
    "own_development": "nda-12",
    "information_of_others": "nda-13",
    "no_licence": "nda-15",
    "return_or_destruction": "nda-16",
    "copies": "nda-17",
    "no_solicitation": "nda-18",
    "survival": "nda-19",
    "retained_copies": "nda-20",
}
"""The statements of the profile, and those of the data."""
LABELS = {
    "true": "entailed", "false": "contradicted", "na": "not_mentioned",
    "Entailment": "entailed", "Contradiction": "contradicted", "NotMentioned": "not_mentioned",
}  # fmt: skip
"""The labels of the data, in its two versions."""
PLAIN_PASSAGES, PLAIN_TOKENS = 3, 200
PLAIN = """Below are passages of a contract.

{passages}

Statement: {statement}
Does the contract entail the statement, contradict it, or not mention it?
Write Entailment, Contradiction or NotMentioned.
Then copy the exact text that shows it from the passages, one clause a line."""
_ENGINE_S = 1_800.0


@dataclass(frozen=True)
class Answer:
    """A label, and the numbers of spans of the data."""

    label: str
    spans: frozenset[int] = frozenset()


class Contract:
    """A contract of the data, in whose spans clauses of passages are found again by their letters."""

    def __init__(self, given: Mapping[str, Any]) -> None:
        self.name = f"{given['id']}.txt"
        self.text: str = given["text"]
        marked = given["annotation_sets"][0]["annotations"]
        self.marked = {
            name: Answer(LABELS[marked[key]["choice"]], frozenset(marked[key]["spans"]))
            for name, key in STATEMENTS.items()
        }
        self._letters, places = FoldedText(self.text).letters
        self._spans = [(bisect_left(places, start), bisect_left(places, end)) for start, end in given["spans"]]

    def locate_passages(self, passages: Sequence[Passage]) -> list[int]:
        """Return where the letters of each passage begin."""
        starts, place = [], 0
        for one in passages:
            found = self._letters.find(FoldedText(one.text).letters[0], place)
            starts.append(found)
            place = found if found >= 0 else place
        return starts

    def find_spans(self, passage: Passage, span: Span, start: int) -> set[int]:
        """Return the spans that share half of themselves, or half of the clause, with a clause of a passage."""
        _, places = FoldedText(passage.text).letters
        begin, end = start + bisect_left(places, span.start), start + bisect_left(places, span.end)
        found = set()
        for number, (first, last) in enumerate(self._spans):
            shared = min(end, last) - max(begin, first)
            if start >= 0 and shared > 0 and 2 * shared >= min(end - begin, last - first):
                found.add(number)
        return found


class AskedEngine(TeeEngine):
    """An engine whose completions are kept; a small one may be asked what only larger ones are."""

    def __init__(self, engine: Engine, path: Path, *, asks_all: bool) -> None:
        super().__init__(engine, small_model=False, completions=Completions(path))
        self._asks_all = asks_all

    def status(self) -> EngineStatus:
        """Return the engine's status."""
        status = super().status()
        return replace(status, small_model=False) if self._asks_all else status


class Figures:
    """The figures of one side."""

    def __init__(self) -> None:
        self.labels: dict[str, Counter[bool]] = {name: Counter() for name in STATEMENTS}
        self.spans: dict[str, Counter[str]] = {name: Counter() for name in STATEMENTS}

    def add(self, name: str, marked: Answer, given: Answer) -> None:
        """Count one answer."""
        self.labels[name][marked.label == given.label] += 1
        self.spans[name].update(
            right=len(marked.spans & given.spans),
            wrong=len(given.spans - marked.spans),
            missing=len(marked.spans - given.spans),
        )

    def format(self, names: Iterable[str]) -> str:
        """Return accuracy and F1 in percent over some statements."""
        labels, spans = Counter[bool](), Counter[str]()
        for name in names:
            labels += self.labels[name]
            spans += self.spans[name]
        accuracy = labels[True] / max(1, labels.total())
        f1 = 2 * spans["right"] / max(1, 2 * spans["right"] + spans["wrong"] + spans["missing"])
        return f"{100 * accuracy:>14.1f}{100 * f1:>9.1f}"


def show(sides: Mapping[str, Figures], count: int) -> None:
    """Print the figures by statement and of all."""
    print(f"\n{f'{count} contracts':32}" + "".join(f"  {f'{side}: label':>14}{'span F1':>9}" for side in sides))
    for name in STATEMENTS:
        print(f"  {name:32}" + "".join(f"  {of_side.format([name])}" for of_side in sides.values()))
    print(f"  {'all':32}" + "".join(f"  {of_side.format(STATEMENTS)}" for of_side in sides.values()), flush=True)


def load_contracts(path: Path, most: int | None) -> list[Contract]:
    """Return the contracts of a file, or ``most`` of them, evenly spread."""
    documents = json.loads(path.read_text(encoding="utf-8"))["documents"]
    count = min(most or len(documents), len(documents))
    return [Contract(documents[n * len(documents) // count]) for n in range(count)]


def find_majorities(contracts: Iterable[Contract]) -> dict[str, Answer]:
    """Return the most frequent label of each statement, without spans."""
    labels = {name: Counter[str]() for name in STATEMENTS}
    for contract in contracts:
        for name, answer in contract.marked.items():
            labels[name][answer.label] += 1
    return {name: Answer(counted.most_common(1)[0][0]) for name, counted in labels.items()}


async def answer_by_kvasir(
    reviewer: Reviewer, checklist: Checklist, document: ReadDocument, contract: Contract
) -> dict[str, Answer]:
    """Return Kvasir's answers; "unsure" is no label of the data, and so is wrong."""
    review = await reviewer.review(checklist, document)
    starts = contract.locate_passages(document.passages)
    return {
        one.statement.name: Answer(
            one.label,
            frozenset(
                number
                for clause in one.clauses
                for number in contract.find_spans(clause.passage, clause.span, starts[clause.passage.n - 1])
            ),
        )
        for one in review.answers
    }


async def answer_plainly(engine: TeeEngine, statement: Statement, document: ReadDocument, contract: Contract) -> Answer:
    """Return the answer of the plain prompt."""
    passages = await document.find_passages(statement.search["en"], PLAIN_PASSAGES)
    listing = "\n\n".join(f"[{passage.n}] {passage.text}" for passage in passages)
    prompt = PLAIN.format(passages=listing, statement=statement.text["en"])
    key = hashlib.sha256(prompt.encode()).hexdigest()[:24]
    reply = await complete_prompt(engine, prompt, PLAIN_TOKENS, key)
    return read_plain(reply, passages, contract, contract.locate_passages(document.passages))


def read_plain(reply: str, passages: Sequence[Passage], contract: Contract, starts: Sequence[int]) -> Answer:
    """Return the first label of a reply, and the spans of its lines; without a label, nothing is mentioned."""
    named = re.search(r"entail|contradict|not ?mention", reply, re.IGNORECASE)
    label = (
        {"e": "entailed", "c": "contradicted"}.get(named[0][0].lower(), "not_mentioned") if named else "not_mentioned"
    )
    spans: set[int] = set()
    for line in reply.splitlines() if label != "not_mentioned" else ():
        quote = re.sub(r"^(?:[-*•]|\[?\d{1,2}[\].)])\s+", "", line.strip()).strip("\"'“” ")
        for passage in passages:
            if quote and (found := find_value(FoldedText(passage.text), quote)) is not None:
                for clause in split_clauses(passage.text):
                    if clause.overlaps(found):
                        spans |= contract.find_spans(passage, clause, starts[passage.n - 1])
                break
    return Answer(label, frozenset(spans))


def check_files(data: Path, learn: Path | None) -> None:
    """Exit if a file is missing, or if the baseline would learn from the contracts that are reported."""
    for path in (data, learn):
        if path is not None and not path.is_file():
            sys.exit(f"This needs ContractNLI (github.com/stanfordnlp/contract-nli-bert, data/test.json) as {path}.")
    if learn is not None and learn.read_bytes() == data.read_bytes():
        sys.exit("--learn and --data are the same contracts. Learn the majority labels from another file.")


async def main(arguments: argparse.Namespace) -> None:
    """Score the contracts, and print the figures after each tenth."""
    check_files(arguments.data, arguments.learn)
    learned = find_majorities(load_contracts(arguments.learn, None)) if arguments.learn else {}
    home: Path = arguments.scratch
    (home / "documents").mkdir(parents=True, exist_ok=True)
    table = '[[source]]\nname = "none"\nkind = "folder"\npath = "documents"\n[web]\nmode = "off"\n'
    (home / "kvasir.toml").write_text(table, encoding="utf-8")
    engine_url = {"KVASIR_ENGINE_URL": arguments.engine} if arguments.engine else {}
    settings = load_settings({**os.environ, "KVASIR_HOME": str(home), **engine_url}, home)
    checklist = read_checklist(Profiles(None).find_profile(PROFILE))
    contracts = load_contracts(arguments.data, arguments.most)
    async with AsyncExitStack() as stack:
        engine = create_engine(settings)
        stack.push_async_callback(engine.stop)
        library = await stack.enter_async_context(open_configured_library(settings))
        sides = {"rules": Figures()}
        if arguments.engine:
            await engine.start()
            status = await engine.wait_until_ready(_ENGINE_S)
            if status.state is not EngineState.READY:
                sys.exit(f"The engine is not ready: {status.state} {status.detail}")
            sides = {"kvasir": Figures(), "plain": Figures()}
        if learned:
            sides["majority"] = Figures()
        tee = AskedEngine(engine, home / "completions.jsonl", asks_all=arguments.ask_all)
        reviewer = Reviewer(tee)
        for n, contract in enumerate(contracts, 1):
            document = await read_document(library, contract.name, contract.text.encode())
            answers = await answer_by_kvasir(reviewer, checklist, document, contract)
            for one in checklist.statements:
                marked = contract.marked[one.name]
                next(iter(sides.values())).add(one.name, marked, answers[one.name])
                if learned:
                    sides["majority"].add(one.name, marked, learned[one.name])
                if "plain" in sides:
                    sides["plain"].add(one.name, marked, await answer_plainly(tee, one, document, contract))
            if n % 10 == 0 or n == len(contracts):
                show(sides, n)


if __name__ == "__main__":
    logs.configure_logging(sys.stderr, level=logs.WARNING)
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--data", type=Path, required=True, help="dev.json or test.json of ContractNLI")
    options.add_argument("--learn", type=Path, help="another file of it, from which the majority labels are learned")
    options.add_argument("--most", type=int, help="so many contracts, evenly spread")
    options.add_argument("--engine", metavar="URL", help="the model's server; without it only rules answer")
    options.add_argument("--ask-all", action="store_true", help="ask a small model about statements with rules, too")
    options.add_argument("--scratch", type=Path, default=Path(tempfile.gettempdir()) / "kvasir-eval-checklist")
    asyncio.run(main(options.parse_args()))
