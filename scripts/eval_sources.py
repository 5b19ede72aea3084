"""Measure without a model what decision support and notes of visits show: people's sentences stand for a model's.

Each question of PubMedQA, and each conversation of ACI-Bench, gets two texts that people wrote: its own conclusion or
note, and that of the next one, no sentence of which has a source here. Figures:

    own        the share of the own sentences that is shown; conclusions often say more than their abstract does
    foreign    the share of the other sentences that is shown: each of them is wrong here, unless it is commonplace
    unsourced  how many sentences are shown without a citation

The first goes through the whole answerer, the second through the checker and, as ``kvasir note``, the other rules.

    KVASIR_EVAL_DIR=… scripts/eval_sources.py [--questions 100] [--visits 10] [--sentences sentences.txt]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
import tempfile
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))

from bot import logs
from bot.answering.answer import Answerer
from bot.answering.events import Passage
from bot.answering.support.checker import feature_checkers
from bot.app import create_answerer
from bot.config.settings import load_settings
from bot.library_opening import open_configured_library
from bot.profiles.guidance.guidance import WarningRules, select_guidelines
from bot.profiles.notes.note import stands_in
from bot.profiles.notes.transcript import list_said, make_material, read_transcript
from engine.interfaces import ContentDelta, Delta, EngineState, EngineStatus, StreamEnd
from knowledge.library import Library
from scripts.eval_guidance import ask_kvasir, count_unsourced, make_search
from scripts.eval_notes import split_sentences


class Repeater:
    """A ``ChatEngine`` that writes a given text."""

    context_tokens = 32_768

    def __init__(self) -> None:
        self.text = ""

    def status(self) -> EngineStatus:
        """Return that it is ready."""
        return EngineStatus(EngineState.READY, model="people")

    def count_tokens(self, text: str) -> int:
        """Return about how many tokens a text has."""
        return len(text) // 4 + 1

    async def stream(self, *_: object, **__: object) -> AsyncIterator[Delta]:
        """Yield the text."""
        yield ContentDelta(self.text)
        yield StreamEnd("stop")


def read_set(name: str) -> Any:
    """Return a set of KVASIR_EVAL_DIR; exit if there is none."""
    path = Path(os.environ.get("KVASIR_EVAL_DIR", "")) / "profiles" / name
    if not path.is_file():
        sys.exit(f"This needs {path}. Set KVASIR_EVAL_DIR.")
    return json.loads(path.read_text(encoding="utf-8"))


async def measure_guidance(library: Library, items: Mapping[str, Any]) -> str:
    """Return the figures of decision support."""
    rules = select_guidelines(WarningRules(()), ("abstracts",), "this evaluation")
    shown, counts, unsourced = {"own": 0, "foreign": 0}, {"own": 0, "foreign": 0}, 0
    keys, engine = list(items), Repeater()
    for key, other in zip(keys, [*keys[1:], keys[0]], strict=True):
        texts = {"own": items[key]["LONG_ANSWER"], "foreign": items[other]["LONG_ANSWER"]}
        engine.text = " ".join(texts.values())
        answerer: Answerer = create_answerer(library, engine, make_search(items[key], key))  # type: ignore[arg-type]
        answer = await ask_kvasir(answerer, rules, items[key]["QUESTION"], key)
        unsourced += count_unsourced(answer["text"])
        for kind, text in texts.items():
            sentences = split_sentences(text)
            counts[kind] += len(sentences)
            shown[kind] += sum(one[:60] in answer["text"] for one in sentences)
    shares = "  ".join(f"{kind} {shown[kind]}/{count} {shown[kind] / count:.1%}" for kind, count in counts.items())
    return f"decision support: questions {len(items)}  {shares}  unsourced {unsourced}"


async def measure_notes(library: Library, items: Sequence[Mapping[str, str]], lines: list[str]) -> str:
    """Return the figures of notes; ``lines`` gets each own sentence that is shown, with what it comes from."""
    accepted = {f"{kind}, {by}": 0 for kind in ("own", "foreign") for by in ("checker", "note")}
    counts = {"own": 0, "foreign": 0}
    new_checker = feature_checkers(library.embedder.embed_symmetric, library.calibration.support)
    for n, item in enumerate(items):
        said = read_transcript(item["src"])
        parts = make_material(said, f"visit {n + 1}").chunks
        checker = new_checker(None)
        await checker.prepare(
            [Passage(at, "", one.title, "", one.heading, None, one.text) for at, one in enumerate(parts, 1)]
        )
        for kind, text in {"own": item["tgt"], "foreign": items[(n + 1) % len(items)]["tgt"]}.items():
            for sentence in split_sentences(text):
                counts[kind] += 1
                verdict = await checker.check_sentence(sentence)
                found = [one for at in verdict.passages for one in list_said(said, parts[at - 1].heading)]
                is_supported = verdict.kind == "supported"
                is_shown = is_supported and stands_in(sentence, found)
                accepted[f"{kind}, checker"] += is_supported
                accepted[f"{kind}, note"] += is_shown
                if is_shown:
                    lines += [f"{kind} {n + 1}: {sentence}", *(f"    {one.speaker}: {one.text}" for one in found), ""]
    shares = "  ".join(f"{name} {count / counts[name.split(',')[0]]:.1%}" for name, count in accepted.items())
    return f"notes: visits {len(items)}  sentences {counts}  {shares}"


async def main(arguments: argparse.Namespace) -> None:
    """Print both lines of figures."""
    questions, visits = read_set("pubmedqa/dev.json"), read_set("visits/train.json")
    visits = visits if isinstance(visits, list) else visits["data"]
    arguments.scratch.mkdir(parents=True, exist_ok=True)
    table = f'[[source]]\nname = "none"\nkind = "folder"\npath = "{arguments.scratch}"\n'
    (arguments.scratch / "kvasir.toml").write_text(table, encoding="utf-8")
    settings = load_settings({**os.environ, "KVASIR_HOME": str(arguments.scratch)}, arguments.scratch)
    lines: list[str] = []
    async with open_configured_library(settings) as library:
        print(await measure_guidance(library, dict(list(questions.items())[: arguments.questions])), flush=True)
        print(await measure_notes(library, visits[: arguments.visits], lines), flush=True)
    if arguments.sentences:
        arguments.sentences.write_text("\n".join(lines), encoding="utf-8")


if __name__ == "__main__":
    logs.configure_logging(sys.stderr, level=logs.WARNING)
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--questions", type=int, default=100)
    options.add_argument("--visits", type=int, default=10)
    options.add_argument("--sentences", type=Path, help="write the sentences that a note would show to this file")
    options.add_argument("--scratch", type=Path, default=Path(tempfile.gettempdir()) / "kvasir-eval-sources")
    asyncio.run(main(options.parse_args()))
