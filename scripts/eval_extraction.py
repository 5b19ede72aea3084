"""Measure the extraction of a page's main text on trafilatura's own evaluation pages.

990 pages are annotated with segments that belong to the main text and segments that do not. They are counted as in
trafilatura's ``tests/eval_common.py``: a segment is found if the text has it, with blanks normalised. All segments of
all pages make one precision, recall, accuracy and F-score. "trafilatura" is its plain call with the options of its own
evaluation; "kvasir" is the text of which passages would be made (headings and text). All pages have a text, so those
that Kvasir takes for a blocked page (a login, a consent, …) are counted and named.

The pages are those of https://github.com/adbar/trafilatura at the commit below, and are not part of Kvasir.

    git clone https://github.com/adbar/trafilatura && cd trafilatura && git checkout COMMIT
    KVASIR_EVAL_PAGES=…/trafilatura/tests scripts/eval_extraction.py [--misses]
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

import trafilatura

from knowledge.parsing.formats.main_text import MAIN_TEXT
from knowledge.parsing.formats.web_page import parse_html
from knowledge.web.reading.article import read_article

COMMIT = "e90b0ef51ab026fdb905fb6c5b3c84dd3d784fd5"
CHECKSUM = "b443dcaae4d0aa2097a1abc780495635786b5cb2b33a01787f20879a25a8e133"
"""The checksum of annotations and pages, as trafilatura's ``tests/eval_gate.py`` computes it."""
PUBLISHED_F = 0.924
"""The F-score that trafilatura 2.2.0 (standard) published on 2026-08-04."""
_BLANKS = re.compile(r"\s+")

Extract = Callable[[bytes], str]


@dataclass(frozen=True, slots=True)
class Page:
    """A page with its annotations."""

    url: str
    data: bytes
    wanted: tuple[str, ...]
    unwanted: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Score:
    """Counts of segments: wanted and found, unwanted and found, wanted and missed, unwanted and dropped."""

    right: int
    wrong: int
    missed: int
    left_out: int
    seconds: float

    def __str__(self) -> str:
        """Return one line of figures."""
        precision, recall = self.right / (self.right + self.wrong), self.right / (self.right + self.missed)
        accuracy = (self.right + self.left_out) / (self.right + self.wrong + self.missed + self.left_out)
        return f"precision {precision:.3f}, recall {recall:.3f}, accuracy {accuracy:.3f}, F-score {self.f:.4f}"

    @property
    def f(self) -> float:
        """Return the F-score, 0 to 1."""
        return 2 * self.right / (2 * self.right + self.wrong + self.missed)


def load_pages_or_exit() -> list[Page]:
    """Return the pages of KVASIR_EVAL_PAGES; if they are missing or differ, print where to get them and exit with 2."""
    folder = os.environ.get("KVASIR_EVAL_PAGES")
    pages, checksum = _read(Path(folder)) if folder and (Path(folder) / "evaldata.json").is_file() else ([], "")
    if checksum == CHECKSUM:
        return pages
    reason = f"KVASIR_EVAL_PAGES ({folder}) lacks them or holds others" if folder else "KVASIR_EVAL_PAGES is not set"
    print(
        f"This needs trafilatura's evaluation pages, and {reason}. It names the folder tests of\n"
        f"  https://github.com/adbar/trafilatura at commit {COMMIT}\n"
        f"    sha256 {CHECKSUM} (of annotations and pages, as its eval_gate.py makes it)",
        file=sys.stderr,
    )
    sys.exit(2)


def _read(folder: Path) -> tuple[list[Page], str]:
    written = (folder / "evaldata.json").read_bytes()
    digest = hashlib.sha256(written)
    pages = []
    for url, item in sorted(json.loads(written).items()):
        place = next(
            (f"{sub}/{item['file']}" for sub in ("cache", "eval") if (folder / sub / item["file"]).is_file()), ""
        )
        data = (folder / place).read_bytes() if place else b""
        digest.update(place.encode() + data)
        pages.append(Page(url, data, tuple(map(_even, item["with"])), tuple(map(_even, item["without"]))))
    return pages, digest.hexdigest()


def _even(text: str) -> str:
    return _BLANKS.sub(" ", text).strip()


def extract_with_kvasir(data: bytes) -> str:
    """Return the text of which Kvasir makes passages."""
    document = parse_html(data, "page.html", f"text/html; {MAIN_TEXT}")
    return "\n\n".join(part for section in document.sections for part in (*section.headings[-1:], section.text))


def extract_with_trafilatura(data: bytes) -> str:
    """Return the text that trafilatura extracts by itself."""
    found = trafilatura.extract(data, include_comments=False, include_tables=True, include_formatting=False)
    return found or ""


def score_pages(extract: Extract, pages: Sequence[Page], tell: Callable[[str], None]) -> Score:
    """Extract all pages and count their segments."""
    right = wrong = missed = left_out = 0
    seconds = 0.0
    for page in pages:
        began = time.process_time()
        text = extract(page.data)
        seconds += time.process_time() - began
        text = _even(text)
        absent = [segment for segment in page.wanted if segment not in text]
        present = [segment for segment in page.unwanted if segment in text]
        right, missed = right + len(page.wanted) - len(absent), missed + len(absent)
        wrong, left_out = wrong + len(present), left_out + len(page.unwanted) - len(present)
        if absent or present:
            tell(f"{page.url}\n  missed {absent}\n  taken {present}")
    return Score(right, wrong, missed, left_out, seconds)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--misses", action="store_true", help="print what Kvasir misses and takes too much")
    tell_misses = parser.parse_args().misses
    pages = load_pages_or_exit()
    segments = sum(len(page.wanted) for page in pages), sum(len(page.unwanted) for page in pages)
    print(f"{len(pages)} pages, {segments[0]} wanted and {segments[1]} unwanted segments; published: {PUBLISHED_F}")
    silent: Callable[[str], None] = lambda _: None  # noqa: E731
    for name, extract in (("trafilatura", extract_with_trafilatura), ("kvasir", extract_with_kvasir)):
        tell = partial(print, flush=True) if tell_misses and extract is extract_with_kvasir else silent
        score = score_pages(extract, pages, tell)
        print(f"{name}: {score}, {len(pages) / score.seconds:.1f} pages a second on one core", flush=True)
    walls = [(page.url, why) for page in pages if (why := read_article(page.data, page.url, "text/html").unreadable)]
    print(
        f"walls: {len(walls)} of {len(pages)} pages taken for one", *(f"  {url}: {why}" for url, why in walls), sep="\n"
    )


if __name__ == "__main__":
    main()
