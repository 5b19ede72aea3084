"""Measure masking: recall of planted personal data, and false hits in texts that have none.

``scripts/eval_masking.py [FOLDER …]`` reads Markdown under the folders, by default ``docs``, paragraph by paragraph.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from knowledge.masking import PERSONAL, PRIVATE, Kind, Recogniser
from tests.masking.planted import CHECKED, CONTEXT, HELD_OUT, NAMES, TUNING, list_planted

ROOT = Path(__file__).parents[1]


def list_paragraphs(folders: list[Path]) -> Iterator[str]:
    """Yield the paragraphs of all Markdown files, also those with components."""
    for folder in folders:
        for file in sorted(folder.rglob("*.md*")):
            yield from (one for one in file.read_text(encoding="utf-8").split("\n\n") if one.strip())


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folders", nargs="*", type=Path, default=[ROOT / "docs"])
    parser.add_argument("--count", type=int, default=200, help="sentences of each kind")
    parser.add_argument("--tuning", action="store_true", help="the sentences that the patterns were tuned on")
    parser.add_argument("--misses", type=int, default=0, help="print so many sentences of each kind that are missed")
    arguments = parser.parse_args()
    recogniser = Recogniser()
    sentences = TUNING if arguments.tuning else HELD_OUT
    times: list[float] = []
    for title, kinds in (("checksum and context", CHECKED), ("context alone", CONTEXT), ("listed names", NAMES)):
        found, missed = defaultdict(int), defaultdict(list)
        for one in list_planted(kinds, sentences, arguments.count):
            began = time.perf_counter()
            is_found = one.is_found(recogniser, [one.value] if kinds is NAMES else ())
            times.append(time.perf_counter() - began)
            if is_found:
                found[one.kind] += 1
            else:
                missed[one.kind].append(one.text)
        total = sum(found.values()) / (arguments.count * len(kinds))
        print(f"{title}: recall {100 * total:.1f} %")
        for kind in kinds:
            print(f"  {kind:28} {100 * found[kind] / arguments.count:5.1f} %")
            for text in missed[kind][: arguments.misses]:
                print(f"    missed: {text}")
    print(f"a question: {1_000 * statistics.median(times):.2f} ms p50")
    paragraphs = list(list_paragraphs(arguments.folders))
    for title, wanted in (("personal data", PERSONAL), ("with secrets", PRIVATE), ("with internal", frozenset(Kind))):
        hits = [(one, findings) for one in paragraphs if (findings := recogniser.find(one, wanted))]
        share = 100 * len(hits) / max(1, len(paragraphs))
        print(f"found in documentation, {title}: {len(hits)} of {len(paragraphs)} texts ({share:.2f} %)")
        for text, findings in hits[: arguments.misses]:
            print("  " + ", ".join(f"{one.kind} {text[one.start : one.end]!r}" for one in findings))


if __name__ == "__main__":
    main()
