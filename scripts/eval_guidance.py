"""Compare answers from guidelines alone with those of a plain prompt, on the questions of PubMedQA.

Each question comes with its abstract, which is its only guideline, so both sides read the same: neither searches.
Kvasir's side is the product behind the search: prompt, engine and checker, as a channel with a profile uses them. The
plain side asks the same model with one prompt, and shows whatever it writes. An answer is right if its first "yes",
"no" or "maybe" is the reference's. An answer without any of them is undecided, and neither right nor a wrong claim.

A sentence without a source is one that is shown outside quotes, headings and lead-ins and has no citation.

    KVASIR_EVAL_DIR=… scripts/eval_guidance.py [--limit 40]

The first questions are asked. Answers are written at once, so that an interrupted run continues.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
import sys
import tempfile
from collections.abc import Mapping
from contextlib import AsyncExitStack, aclosing
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))

from bot import logs
from bot.answering.answer import Answerer
from bot.answering.asker import Asker, restrict_to_guidelines
from bot.answering.events import Finished, Question, Text
from bot.answering.retrieval.retriever import Search
from bot.answering.support.calibration import Calibrations
from bot.answering.support.judge import Judges
from bot.app import create_answerer, create_engine
from bot.config.settings import load_settings
from bot.library_opening import open_configured_library
from bot.profiles.guidance.guidance import WarningRules, select_guidelines
from engine.interfaces import EngineState
from knowledge.interfaces import Hit, SearchResult
from scripts.answer_sides import KeptLines, TeeEngine, complete_prompt

ASKED = "{question} Begin with yes, no or maybe, and say why in one sentence."
PLAIN = "{passages}\n\nQuestion: " + ASKED
_ENGINE_S, _PATIENT_S = 1800.0, 1800.0
_DECISION = re.compile(r"\b(yes|no|maybe)\b", re.IGNORECASE)
_SENTENCE_END = re.compile(r"(?<=[.!?])(?<!\b[A-Z]\.)(?:\s+(?!\[)|$)")


def find_decision(text: str) -> str:
    """Return the first decision of an answer, "" if it has none."""
    found = _DECISION.search(text)
    return found[1].lower() if found else ""


def count_unsourced(text: str) -> int:
    """Return how many sentences of a shown answer have no citation."""
    lines = [line.strip() for line in text.splitlines() if not re.match(r"\s*(?:>|#|\*\*[^*]+\*\*$)", line)]
    sentences = [one for line in lines for one in _SENTENCE_END.split(line) if re.search(r"\w", one)]
    return sum(not re.search(r"\[\d+\]", one) and not one.endswith(":") for one in sentences)


def make_search(item: Mapping[str, Any], key: str) -> Search:
    """Return a search that finds the abstract of a question."""
    now = datetime.now(UTC)
    hit = Hit(key, "abstracts", key, "", "", None, "\n\n".join(item["CONTEXTS"]), 1.0, 1.0, now)

    async def search(query: str, **_: object) -> SearchResult:
        return SearchResult(query, (hit,), 0.0, answerable=True)

    return search


async def ask_kvasir(answerer: Answerer, rules: WarningRules, question: str, name: str) -> dict[str, Any]:
    """Return what is shown, and what the model's own part of it is."""
    asker = restrict_to_guidelines(Asker(depth="off"), rules, datetime.now(UTC))
    shown, end = list[Text](), None
    async with aclosing(answerer.answer(Question(ASKED.format(question=question), id=name, asker=asker))) as events:
        async for event in events:
            if isinstance(event, Text):
                shown.append(event)
            elif isinstance(event, Finished):
                end = event
    assert end is not None
    own = "".join(one.markdown for one in shown if not one.is_extract) if end.route == "engine" else ""
    whole = "".join(one.markdown for one in shown)
    return {"text": own, "shown": whole, "route": end.route, "removed": end.removed_count}


def summarise(items: Mapping[str, Any], answers: Mapping[str, Any]) -> dict[str, float]:
    """Return the figures of a side: shares are of all questions, except that of the decided ones."""
    decisions = {key: find_decision(one["text"]) for key, one in answers.items()}
    right = sum(decision == items[key]["final_decision"] for key, decision in decisions.items())
    decided = sum(map(bool, decisions.values()))
    return {
        "questions": len(answers),
        "right": right / max(1, len(answers)),
        "undecided": 1 - decided / max(1, len(answers)),
        "right of the decided": right / max(1, decided),
        "without any words of the model": sum(not one["text"].strip() for one in answers.values()),
        "removed sentences": sum(one.get("removed", 0) for one in answers.values()),
        "sentences without a source": sum(count_unsourced(one["text"]) for one in answers.values()),
    }


async def main(arguments: argparse.Namespace) -> None:
    """Ask, and print the figures of both sides."""
    path = Path(os.environ.get("KVASIR_EVAL_DIR", "")) / "profiles" / "pubmedqa" / "dev.json"
    if not path.is_file():
        sys.exit(f"This needs the questions of PubMedQA (pubmedqa.github.io) as {path}. Set KVASIR_EVAL_DIR.")
    items = dict(list(json.loads(path.read_text(encoding="utf-8")).items())[: arguments.limit])
    home = arguments.scratch / f"pubmedqa-{len(items)}"
    (home / "abstracts").mkdir(parents=True, exist_ok=True)
    table = '[[source]]\nname = "abstracts"\nkind = "folder"\npath = "abstracts"\nkind_of = "guideline"\n'
    (home / "kvasir.toml").write_text(f'{table}[web]\nmode = "off"\n', encoding="utf-8")
    settings = load_settings({**os.environ, "KVASIR_HOME": str(home)}, home)
    rules = select_guidelines(WarningRules(()), settings.configuration.guidelines, "this evaluation")
    kept = {side: KeptLines(home / f"{side}.jsonl", "answer") for side in ("kvasir", "plain")}
    async with AsyncExitStack() as stack:
        engine = create_engine(settings)
        stack.push_async_callback(engine.stop)
        await engine.start()
        library = await stack.enter_async_context(open_configured_library(settings))
        status = await engine.wait_until_ready(_ENGINE_S)
        if status.state is not EngineState.READY:
            sys.exit(f"The engine is not ready: {status.state} {status.detail}")
        tee = TeeEngine(engine, small_model=False)
        limits = replace(settings.limits, first_token_s=_PATIENT_S, answer_s=_PATIENT_S)
        judges = Judges(tee, Calibrations(settings.home).find_calibration)
        places = asyncio.Semaphore(arguments.concurrency)

        async def ask(key: str) -> None:
            async with places:
                question = items[key]["QUESTION"]
                if kept["kvasir"].read(key) is None:
                    search = make_search(items[key], key)
                    answerer = create_answerer(library, tee, search, judges=judges, limits=limits)
                    kept["kvasir"].write(key, await ask_kvasir(answerer, rules, question, f"k{key}"))
                if kept["plain"].read(key) is None:
                    prompt = PLAIN.format(passages="\n\n".join(items[key]["CONTEXTS"]), question=question)
                    kept["plain"].write(key, {"text": await complete_prompt(tee, prompt, 224, f"p{key}")})
                print(key, file=sys.stderr, flush=True)

        async with asyncio.TaskGroup() as group:
            for key in items:
                group.create_task(ask(key))
    sides = {side: summarise(items, {key: lines.read(key) for key in items}) for side, lines in kept.items()}
    for figure in sides["kvasir"]:
        print(f"{figure:34}" + "".join(f"{side}: {figures[figure]:<12.4g}" for side, figures in sides.items()))


if __name__ == "__main__":
    logs.configure_logging(sys.stderr, level=logs.WARNING)
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--limit", type=int, default=40, help="how many questions are asked")
    options.add_argument("--concurrency", type=int, default=4)
    options.add_argument("--scratch", type=Path, default=Path(tempfile.gettempdir()) / "kvasir-eval-guidance")
    asyncio.run(main(options.parse_args()))
