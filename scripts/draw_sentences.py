"""Draw sentences of the documentation, so that somebody checks each against the code.

    scripts/draw_sentences.py --seed 1 --count 30

Sentences and rows of tables come from README.md, CONTRIBUTING.md, ARCHITECTURE.md and docs, without code blocks and
heads of tables. They are spread evenly: the text is divided into as many parts of equal length as are drawn, and each
part gives one. The same seed draws the same ones of the same text.
"""

from __future__ import annotations

import argparse
import random
import re
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path

ROOT = Path(__file__).parents[1]
_SENTENCE_END = re.compile(r"(?<=[.!?])[)\"]*\s+(?=[A-Z`\[*\"(])|(?<=[。！？])")
_SHORTEST = 20


def list_pages() -> list[Path]:
    """Return the pages, in a stable order."""
    return [
        *(ROOT / f"{name}.md" for name in ("README", "CONTRIBUTING", "ARCHITECTURE")),
        *sorted(ROOT.glob("docs/*.md")),
    ]


def split_blocks(text: str) -> Iterator[tuple[int, str]]:
    """Yield paragraphs, items of lists and rows of tables, each with the number of its first line."""
    lines, fenced, start, block = text.splitlines(), False, 1, list[str]()
    for number, line in enumerate([*lines, ""], 1):
        fence = line.lstrip().startswith("```")
        row = line.startswith("|")
        if block and (fence or row or not line.strip() or re.match(r"\s*(?:[-*>#]|\d+\.)\s", line)):
            yield start, " ".join(block)
            block = []
        fenced ^= fence
        follows = lines[number] if number < len(lines) else ""
        if fence or fenced or not line.strip() or line.startswith(("#", "| ---", "!")):
            continue
        if row:
            if not follows.startswith("| ---"):
                yield number, line
        else:
            start, block = (start, block) if block else (number, [])
            block.append(line.strip())


def list_sentences(page: Path) -> Iterator[str]:
    """Yield the sentences and rows of a page, each after its file and line."""
    for line, block in split_blocks(page.read_text(encoding="utf-8")):
        place = f"{page.relative_to(ROOT)}:{line}"
        parts = [block] if block.startswith("|") else _SENTENCE_END.split(block)
        yield from (f"{place}: {part.strip()}" for part in parts if len(part.strip()) >= _SHORTEST)


def draw_evenly(sentences: Sequence[str], count: int, seed: int) -> list[str]:
    """Return one sentence out of each of ``count`` parts of equal length."""
    dice, size = random.Random(seed), len(sentences)
    bounds = [size * part // count for part in range(count + 1)]
    return [sentences[dice.randrange(low, high)] for low, high in pairwise(bounds) if low < high]


def main() -> None:
    """Print the sentences."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--count", type=int, default=30)
    options = parser.parse_args()
    sentences = [sentence for page in list_pages() for sentence in list_sentences(page)]
    print("\n".join(draw_evenly(sentences, max(1, options.count), options.seed)))


if __name__ == "__main__":
    main()
