"""Compare Kvasir's answers with those of a plain recipe on the same model, against known references.

Kvasir's side is the product: retrieval, prompt, engine, checker, with the shipped settings. The plain side takes the
five nearest chunks of the same store by the same embedder. It asks for [n] and "I don't know", and checks nothing. Both
ask one engine at temperature 0: that of KVASIR_ENGINE_URL and KVASIR_ENGINE_API_KEY, else the one that Kvasir starts.

A third side, ``extracts``, is the plain answer followed by its first three passages, cut to the characters that Kvasir
showed. It is made from the answers of the other two.

Each answer is written at once, so that an interrupted run continues. The key of an answer is its question, the model,
and the code behind it (``code_tag``), or ``--tag`` for Kvasir's side. With ``--replay`` also the model's completions
are kept: after a change of the code, the model is asked only for prompts that it has not seen. Medians of seconds leave
out replayed answers.

    KVASIR_EVAL_DIR=… scripts/eval_answers.py [--sets xquad-en,gateway] [--answerable 200] [--report]

``--feedback votes.jsonl`` asks the questions that people rated instead, over the library of ``--config`` as it is now
(``scripts/answer_feedback.py`` says what counts as a good answer):

    kvasir feedback export votes.jsonl && scripts/eval_answers.py --feedback votes.jsonl --config kvasir.toml
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))

from bot import logs
from bot.answering.support.calibration import Calibrations
from bot.answering.support.judge import Judges
from bot.app import create_answerer, create_engine
from bot.config.settings import Settings, load_settings
from bot.library_opening import open_configured_library
from engine.interfaces import EngineState
from scripts.answer_feedback import make_feedback_set, read_votes, summarise_votes
from scripts.answer_scores import (
    KIND_FIGURES,
    NEAR_MISS_FIGURES,
    OWN_WORDS,
    Item,
    Record,
    add_passages,
    differences,
    score,
    summarise,
)
from scripts.answer_sets import NAMES, ROOT, AnswerSet, expand_names, load_set
from scripts.answer_sides import (
    PLAIN_PROMPT,
    Completions,
    Dense,
    KeptLines,
    TeeEngine,
    ask_kvasir,
    ask_plain,
    record_json,
    record_of,
)
from scripts.eval_sets import folder_or_exit
from scripts.own_words import SHORT_NAMES

SIDES = ("kvasir", "plain")
COLUMNS = (*SIDES, "extracts")
_CHUNKS_CODE = ("knowledge/chunking", "knowledge/embedding", "knowledge/parsing")
_KVASIR_CODE = (*_CHUNKS_CODE, "bot/answering", "knowledge/lexical", "knowledge/search")
_ENGINE_S = 900.0
_PATIENT_S = 1200.0
"""Several questions at once share a CPU, so the product's deadlines do not apply."""


class Answers(KeptLines):
    """Answers on disk, one JSON line each."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, "record")

    def get(self, key: str) -> Record | None:
        """Return a stored answer, None if there is none."""
        found = self.read(key)
        return record_of(found) if found is not None else None

    def add(self, key: str, record: Record) -> None:
        """Store an answer."""
        self.write(key, record_json(record))


def key_of(item: Item, side: str, model: str, tag: str) -> str:
    """Return a hash of what an answer depends on."""
    return hashlib.sha256(repr((side, item.set, item.id, item.question, model, tag)).encode()).hexdigest()[:24]


def code_tag(side: str, set_name: str) -> str:
    """Return a hash of the code and documents behind a side's answers, uncommitted changes included."""
    own = ("docs",) if set_name == "newcomer" else ()
    parts = (*own, *(_KVASIR_CODE if side == "kvasir" else _CHUNKS_CODE))
    trees = _git("rev-parse", *(f"HEAD:{part}" for part in parts)) + _git("diff", "HEAD", "--", *parts)
    new_files = _git("ls-files", "--others", "--exclude-standard", "--", *parts).splitlines()
    texts = [trees, *((ROOT / name).read_text(encoding="utf-8", errors="replace") for name in new_files)]
    prompt = json.dumps(PLAIN_PROMPT) if side == "plain" else ""
    return hashlib.sha256("\0".join([*texts, prompt]).encode()).hexdigest()[:12]


def _git(*arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=ROOT, check=True, capture_output=True, text=True).stdout  # noqa: S607


def settings_of(one: AnswerSet, scratch: Path, config: Path | None = None) -> Settings:
    """Return the settings of a set's library: those of ``config`` for rated answers, else new ones in ``scratch``."""
    if one.name == "feedback":
        return load_settings(os.environ, Path.cwd(), config=config)
    home = scratch / f"home-{one.library or one.name}"
    home.mkdir(parents=True, exist_ok=True)
    if one.name == "newcomer":  # as `make run` configures it
        return load_settings({**os.environ, "KVASIR_HOME": str(home)}, home, docs=ROOT / "docs")
    tables = [f'[[source]]\nname = "{name}"\nkind = "folder"\npath = "{path}"\n' for name, path in one.corpora]
    (home / "kvasir.toml").write_text("\n".join([*tables, '[web]\nmode = "off"\n']), encoding="utf-8")
    return load_settings({**os.environ, "KVASIR_HOME": str(home)}, home)


def find_eval_dir(names: Sequence[str]) -> Path:
    """Return KVASIR_EVAL_DIR; exit with 2 if it lacks the public question sets and some of these sets need them."""
    if all(name == "newcomer" or name.startswith(OWN_WORDS) for name in names):
        return Path(os.environ.get("KVASIR_EVAL_DIR", ""))
    return folder_or_exit()


async def run_set(one: AnswerSet, arguments: argparse.Namespace, answers: Answers) -> dict[str, dict[str, Record]]:
    """Answer a set's questions on both sides; return the records by side and item."""
    settings = settings_of(one, arguments.scratch, arguments.config)
    done: dict[str, dict[str, Record]] = {side: {} for side in arguments.sides}
    async with AsyncExitStack() as stack:
        engine = create_engine(settings)
        stack.push_async_callback(engine.stop)
        await engine.start()
        library = await stack.enter_async_context(open_configured_library(settings))
        if one.corpora:
            print(f"{one.name}: reading its documents …", file=sys.stderr, flush=True)
            await library.refresh()
        status = await engine.wait_until_ready(_ENGINE_S)
        if status.state is not EngineState.READY:
            sys.exit(f"The engine is not ready: {status.state} {status.detail}")
        completions = Completions(arguments.results / "completions.jsonl") if arguments.replay else None
        tee = TeeEngine(engine, small_model=arguments.small_model, completions=completions)
        judges = Judges(tee, Calibrations(settings.home).find_calibration)
        patient = replace(settings.limits, first_token_s=_PATIENT_S, answer_s=_PATIENT_S)
        limits = settings.limits if arguments.concurrency == 1 else patient
        answerer = create_answerer(library, tee, judges=judges, limits=limits)
        dense = Dense.read(settings.home)
        turn = asyncio.Semaphore(arguments.concurrency)
        tags = {side: code_tag(side, one.name) for side in SIDES}
        tags["kvasir"] = arguments.tag or tags["kvasir"]

        async def ask(item: Item, side: str) -> None:
            key = key_of(item, side, f"{status.model}", tags[side])
            if (record := answers.get(key)) is None:
                if arguments.report:
                    return
                async with turn:
                    record = (
                        await ask_kvasir(answerer, tee, item, key)
                        if side == "kvasir"
                        else await ask_plain(dense, library, tee, item, key)
                    )
                answers.add(key, record)
                print(f"{side} {item.id}: {record.total_s:.1f} s", file=sys.stderr, flush=True)
            done[side][item.key] = record

        async with asyncio.TaskGroup() as group:
            for item in one.items:
                for side in arguments.sides:
                    group.create_task(ask(item, side))
    return done


def report_of(items: Sequence[Item], done: Mapping[str, Mapping[str, Record]]) -> dict[str, Any]:
    """Return the figures of each part and side over the questions that all sides answered."""
    parts: dict[str, list[Item]] = {}
    for item in items:
        if all(item.key in records for records in done.values()):
            parts.setdefault(f"{item.set} {item.lang}", []).append(item)
            if not item.set.startswith(OWN_WORDS):
                parts.setdefault(f"all {item.lang}", []).append(item)
    return {name: _report_part(ours, add_extracts_side(done)) for name, ours in sorted(parts.items())}


def add_extracts_side(done: Mapping[str, Mapping[str, Record]]) -> dict[str, Mapping[str, Record]]:
    """Return the records of both sides, and those of the plain answers with passages of Kvasir's length."""
    if not set(SIDES) <= set(done):
        return dict(done)
    kvasir, plain = done["kvasir"], done["plain"]
    return {**done, "extracts": {key: add_passages(kvasir[key], plain[key]) for key in kvasir if key in plain}}


def _report_part(items: Sequence[Item], done: Mapping[str, Mapping[str, Record]]) -> dict[str, Any]:
    """Return the figures of each side over some questions, also by the kind of what answers them."""
    scores = {side: [(item, score(item, records[item.key])) for item in items] for side, records in done.items()}
    sides = {side: summarise([one for _, one in some]) for side, some in scores.items()}
    kinds = {
        kind: {side: summarise([one for item, one in some if item.kind == kind]) for side, some in scores.items()}
        for kind in sorted({item.kind for item in items} - {""})
    }
    return {**sides, "difference": differences(sides), "kinds": kinds}


def show(result: Mapping[str, Any]) -> None:
    """Print one table for each part, and one for each kind in it."""
    for name, part in result.items():
        columns = [side for side in COLUMNS if side in part]
        _show_table(name, part, columns, part[columns[0]])
        for side, points in part["difference"].items():
            for figure, value in points.items():
                print(f"  {figure}, Kvasir minus {side}: {value:+g} points")
        for kind, sides in part["kinds"].items():
            _show_table(f"{name}, {kind}", sides, columns, NEAR_MISS_FIGURES if kind == "none" else KIND_FIGURES)


def _show_table(title: str, sides: Mapping[str, Any], columns: Sequence[str], figures: Iterable[str]) -> None:
    print(f"\n{title:32}" + "".join(f"{side:>10}" for side in columns))
    for figure in figures:
        print(f"  {figure:30}" + "".join(f"{_cell(sides[side][figure]):>10}" for side in columns))


def _cell(value: float | None) -> str:
    return "–" if value is None else f"{value:g}"


def write_failures(path: Path, items: Sequence[Item], done: Mapping[str, Mapping[str, Record]]) -> None:
    """Write each answer that is not good into a file for a person."""
    with path.open("w", encoding="utf-8") as file:
        for item in items:
            for side, records in done.items():
                record = records.get(item.key)
                if record is None or (how := score(item, record)).good:
                    continue
                expected = " | ".join(item.references) or json.dumps(item.facts, ensure_ascii=False)
                file.write(
                    f"=== {side} {item.set} {item.id}: {item.question}\n"
                    f"wanted: {expected} {item.pages or ''}\n"
                    f"right {how.right}, unverified {how.right_unverified}, found {how.found}, refused {how.refused}, "
                    f"extract {how.extract}, cited {how.cited_right} of {how.cited}, marked {how.marked}, "
                    f"removed {how.removed}\nraw: {record.raw}\nshown: {record.text}\n"
                    f"extracts: {record.extracts}\n"
                    f"notices: {' / '.join(record.notices)[:600]}\n"
                    f"passages: {[(n, document, text[:60]) for n, document, text in record.passages]}\n\n"
                )


async def main(arguments: argparse.Namespace) -> None:
    """Answer, score, print."""
    if arguments.feedback is not None:
        votes = read_votes(arguments.feedback)
        sets = [make_feedback_set(votes)]
        print(json.dumps(summarise_votes(votes), ensure_ascii=False, indent=2), file=sys.stderr)
    else:
        eval_dir = find_eval_dir(arguments.sets)
        counts = (arguments.answerable, arguments.unanswerable)
        sets = [load_set(name, eval_dir, arguments.scratch, *counts) for name in arguments.sets]
    if arguments.limit:
        sets = [replace(one, items=one.items[:: max(1, len(one.items) // arguments.limit)]) for one in sets]
    answers = Answers(arguments.results / "answers.jsonl")
    items: list[Item] = []
    done: dict[str, dict[str, Record]] = {side: {} for side in arguments.sides}
    for one in sets:
        for side, records in (await run_set(one, arguments, answers)).items():
            done[side] |= records
        items += one.items
    result = report_of(items, done)
    print(json.dumps(result, ensure_ascii=False)) if arguments.json else show(result)
    if arguments.failures:
        write_failures(arguments.failures, items, done)


if __name__ == "__main__":
    scratch = Path(tempfile.gettempdir()) / "kvasir-eval-answers"
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    names = ", ".join((*NAMES, *SHORT_NAMES))
    options.add_argument("--sets", type=expand_names, default=list(NAMES), help=f"by commas, of {names}")
    options.add_argument("--feedback", type=Path, help="an export of votes, whose questions are asked instead")
    options.add_argument("--config", type=Path, help="of the library for --feedback (./kvasir.toml)")
    options.add_argument("--answerable", type=int, default=200, help="questions of each set and language, at most")
    options.add_argument("--unanswerable", type=int, default=60)
    options.add_argument("--limit", type=int, help="about so many of each set, evenly spread")
    options.add_argument(
        "--only", dest="sides", type=lambda given: [given], default=list(SIDES), help="kvasir or plain"
    )
    options.add_argument("--concurrency", type=int, default=4)
    options.add_argument("--small-model", action="store_true", help="treat the engine's model as the CPU's small one")
    options.add_argument("--tag", help="stands for the code of Kvasir's side in the cache's keys")
    options.add_argument("--scratch", type=Path, default=scratch, help="corpora and indexes, kept")
    options.add_argument("--replay", action="store_true", help="ask the model for no prompt twice")
    options.add_argument("--results", type=Path, default=scratch, help="the folder of answers.jsonl")
    options.add_argument("--failures", type=Path, help="write every answer that is not good to this file")
    options.add_argument("--report", action="store_true", help="score what was answered before, ask nothing")
    options.add_argument("--json", action="store_true")
    logs.configure_logging(sys.stderr, level=logs.WARNING)
    asyncio.run(main(options.parse_args()))
