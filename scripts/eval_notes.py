"""Write notes of visits from conversations of ACI-Bench, and compare them with a plain prompt of the same model.

Kvasir's side is ``kvasir note``: one request for each section, with the parts of the conversation that fit it, and the
checker drops what no line supports. The plain side gives the same model the whole conversation and asks for the same
sections. Figures of each side, over all of its sentences:

    supported   the checker finds lines that support the sentence
    recall      the share of the reference note's words, without function words, that the note has
    rouge-l     the F-score of the longest common subsequence of words with the reference note

    KVASIR_EVAL_DIR=… scripts/eval_notes.py [--limit 8] [--sentences sentences.txt]

The checker has decided already what Kvasir shows, so that its figure is no evidence: ``--sentences`` writes sentences
with their lines for a person to read.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from bot import logs
from bot.answering.events import Passage
from bot.answering.support.calibration import Calibrations
from bot.answering.support.checker import feature_checkers
from bot.answering.support.claims import content_words
from bot.answering.support.judge import Judges
from bot.answering.support.quantities import normalise_text
from bot.app import create_answerer, create_engine
from bot.config.settings import load_settings
from bot.library_opening import open_configured_library
from bot.profiles.notes.note import read_note_rules, search_conversation, write_sections
from bot.profiles.notes.transcript import make_material, read_transcript
from bot.profiles.registry import Profiles
from engine.interfaces import EngineState
from knowledge.interfaces import Material
from knowledge.library import Library
from scripts.answer_sides import KeptLines, TeeEngine, complete_prompt

PLAIN = """{conversation}

Write the note of this visit in short sentences. Use these sections: {sections}."""
_ENGINE_S, _PATIENT_S = 1800.0, 1800.0
_PLAIN_TOKENS = 400


def split_sentences(text: str) -> list[str]:
    """Return the sentences of a plain note without headings and marks of lists."""
    lines = [re.sub(r"^[\s\-*•\d.]+", "", line).replace("**", "") for line in text.splitlines()]
    lines = [line for line in lines if not (line.startswith("#") or line.rstrip().endswith(":") or line.isupper())]
    return [one.strip() for line in lines for one in re.split(r"(?<=[.!?])\s+", line) if len(one.split()) > 1]


def measure_rouge(note: str, reference: str) -> float:
    """Return ROUGE-L, the F-score."""
    one, other = (re.findall(r"\w+", text.lower()) for text in (note, reference))
    row = [0] * (len(other) + 1)
    for word in one:
        before = row
        row = [0] * (len(other) + 1)
        for place, known in enumerate(other, 1):
            row[place] = before[place - 1] + 1 if word == known else max(before[place], row[place - 1])
    return 2 * row[-1] / max(1, len(one) + len(other))


async def count_supported(library: Library, material: Material, sentences: Sequence[str]) -> int:
    """Return how many sentences the checker finds supported by the conversation."""
    checker = feature_checkers(library.embedder.embed_symmetric, library.calibration.support)(None)
    passages = [
        Passage(n, "", material.title, "", one.heading, None, one.text) for n, one in enumerate(material.chunks, 1)
    ]
    await checker.prepare(passages)
    return sum([(await checker.check_sentence(one)).kind == "supported" for one in sentences])


async def main(arguments: argparse.Namespace) -> None:
    """Write the notes, and print the figures of both sides."""
    path = Path(os.environ.get("KVASIR_EVAL_DIR", "")) / "profiles" / "visits" / "train.json"
    if not path.is_file():
        sys.exit(
            f"This needs the conversations of ACI-Bench (github.com/wyim/aci-bench) as {path}. Set KVASIR_EVAL_DIR."
        )
    loaded = json.loads(path.read_text(encoding="utf-8"))
    items: list[dict[str, str]] = (loaded if isinstance(loaded, list) else loaded["data"])[: arguments.limit]
    home = arguments.scratch
    home.mkdir(parents=True, exist_ok=True)
    table = f'[[source]]\nname = "none"\nkind = "folder"\npath = "{home}"\n[web]\nmode = "off"\n'
    (home / "kvasir.toml").write_text(table, encoding="utf-8")
    settings = load_settings({**os.environ, "KVASIR_HOME": str(home)}, home)
    rules = read_note_rules(Profiles(None).find_profile("visit-note"))
    titles = [one.title["en"] for one in rules.sections]
    kept = {side: KeptLines(home / f"{side}.jsonl", "note") for side in ("kvasir", "plain")}
    figures: dict[str, list[dict[str, float]]] = {side: [] for side in kept}
    lines: list[str] = []
    async with AsyncExitStack() as stack:
        engine = create_engine(settings)
        stack.push_async_callback(engine.stop)
        await engine.start()
        library = await stack.enter_async_context(open_configured_library(settings))
        status = await engine.wait_until_ready(_ENGINE_S)
        if status.state is not EngineState.READY:
            sys.exit(f"The engine is not ready: {status.state} {status.detail}")
        tee = TeeEngine(engine, small_model=False)
        judges = Judges(tee, Calibrations(settings.home).find_calibration)
        limits = replace(settings.limits, first_token_s=_PATIENT_S, answer_s=_PATIENT_S, unsupported="drop")
        for n, item in enumerate(items):
            said = read_transcript(item["src"])
            material = make_material(said, f"visit {n + 1}")
            if (sentences := kept["kvasir"].read(f"{n}")) is None:
                search = search_conversation(await library.index_material(material))
                answerer = create_answerer(library, tee, search, judges=judges, limits=limits)
                written = [one async for one in write_sections(rules, answerer, said, "en")]
                sentences = [[one.text, "; ".join(one.lines)] for part in written for one in part.sentences]
                kept["kvasir"].write(f"{n}", sentences)
                print(f"visit {n + 1}: {len(sentences)} sentences", file=sys.stderr, flush=True)
            if (plain := kept["plain"].read(f"{n}")) is None:
                prompt = PLAIN.format(conversation=item["src"], sections=", ".join(titles))
                plain = await complete_prompt(tee, prompt, _PLAIN_TOKENS, f"p{n}")
                kept["plain"].write(f"{n}", plain)
            notes = {"kvasir": [text for text, _ in sentences], "plain": split_sentences(plain)}
            for side, note in notes.items():
                figures[side].append(await _score_note(library, material, note, item["tgt"]))
            lines += _quote_lines(n + 1, item["src"].splitlines(), sentences)
    if arguments.sentences:
        arguments.sentences.write_text("\n".join(lines), encoding="utf-8")
    for side, rows in figures.items():
        print(f"{side:8}", _sum_up(rows))


def _quote_lines(visit: int, said: Sequence[str], sentences: Sequence[Sequence[str]]) -> list[str]:
    lines: list[str] = []
    for text, cited in sentences:
        quoted = [said[at - 1] for part in cited.split("; ") for at in _list_numbers(part)]
        lines += [f"visit {visit}: {text} [{cited}]", *(f"    {one}" for one in quoted), ""]
    return lines


def _list_numbers(cited: str) -> range:
    numbers = [int(one) for one in re.findall(r"\d+", cited)]
    return range(numbers[0], numbers[-1] + 1)


async def _score_note(library: Library, material: Material, note: Sequence[str], reference: str) -> dict[str, float]:
    words, wanted = (content_words(normalise_text(text)) for text in (" ".join(note), reference))
    return {
        "sentences": len(note),
        "supported": await count_supported(library, material, note),
        "recall": len(words & wanted) / max(1, len(wanted)),
        "rouge-l": measure_rouge(" ".join(note), reference),
    }


def _sum_up(rows: Sequence[Mapping[str, float]]) -> str:
    sentences = sum(row["sentences"] for row in rows)
    means = {name: sum(row[name] for row in rows) / max(1, len(rows)) for name in ("recall", "rouge-l")}
    share = sum(row["supported"] for row in rows) / max(1, sentences)
    return f"notes {len(rows)}  sentences {sentences:g}  supported {share:.1%}  " + "  ".join(
        f"{name} {value:.3f}" for name, value in means.items()
    )


if __name__ == "__main__":
    logs.configure_logging(sys.stderr, level=logs.WARNING)
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--limit", type=int, default=8, help="how many visits")
    options.add_argument("--sentences", type=Path, help="write Kvasir's sentences with their lines to this file")
    options.add_argument("--scratch", type=Path, default=Path(tempfile.gettempdir()) / "kvasir-eval-notes")
    asyncio.run(main(options.parse_args()))
